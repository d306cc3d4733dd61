// The PCI bus: places on it, and what sits there.
import type { PciDevice } from '@nixie/proto/inventory';
import type { Tree } from './tree.ts';

/** The nearest PCI function above a device: virtio and USB hang one or more levels below it. */
export function pciAddress(device: string): string | undefined {
  return device.match(/[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?=\/|$)/g)?.pop();
}

const bus = '/sys/bus/pci/devices';

/** The node that a PCI function is near to; absent where there is but one, or nobody knows. */
export async function numaNodeOf(tree: Tree, address: string | undefined): Promise<number | undefined> {
  return address === undefined ? undefined : tree.small(`${bus}/${address}/numa_node`);
}

/** By address. */
export async function collectPci(tree: Tree): Promise<PciDevice[]> {
  const addresses = (await tree.list(bus)).slice(0, 4096);
  return Promise.all(
    addresses.map(async (address): Promise<PciDevice> => {
      const at = `${bus}/${address}`;
      const group = await tree.linkName(`${at}/iommu_group`);
      const revision = await tree.hex(`${at}/revision`, 2);
      return {
        address,
        class: await tree.hex(`${at}/class`, 6),
        vendorId: await tree.hex(`${at}/vendor`, 4),
        deviceId: await tree.hex(`${at}/device`, 4),
        subsystemVendorId: subsystem(await tree.hex(`${at}/subsystem_vendor`, 4)),
        subsystemDeviceId: subsystem(await tree.hex(`${at}/subsystem_device`, 4)),
        revision: revision === undefined ? undefined : Number.parseInt(revision, 16),
        driver: await tree.linkName(`${at}/driver`),
        iommuGroup: /^\d{1,9}$/.test(group ?? '') ? Number(group) : undefined,
        numaNode: await tree.small(`${at}/numa_node`),
        label: await tree.value(`${at}/label`),
        index: await tree.small(`${at}/index`, 1),
        linkMtps: readLinkSpeed(await tree.value(`${at}/current_link_speed`)),
        // 0 and 255 are "no link".
        linkLanes: lanes(await tree.count(`${at}/current_link_width`)),
        maxLinkMtps: readLinkSpeed(await tree.value(`${at}/max_link_speed`)),
        maxLinkLanes: lanes(await tree.count(`${at}/max_link_width`)),
      };
    }),
  );
}

/** Bridges have none: 0000. */
function subsystem(id: string | undefined): string | undefined {
  return id === '0000' || id === 'ffff' ? undefined : id;
}

function lanes(count: number | undefined): number | undefined {
  return count !== undefined && count > 0 && count <= 32 ? count : undefined;
}

/** `8.0 GT/s PCIe` → 8000. `Unknown` → absent. */
export function readLinkSpeed(text: string | undefined): number | undefined {
  const gigatransfers = /^(\d{1,3}(?:\.\d)?) GT\/s/.exec(text ?? '')?.[1];
  return gigatransfers === undefined ? undefined : Math.round(Number(gigatransfers) * 1000);
}
