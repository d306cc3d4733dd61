// The names under which a disk can be found again, and how it is attached.
import type { Disk } from '@nixie/proto/inventory';
import { pciAddress } from './pci.ts';
import type { Tree } from './tree.ts';

export interface DiskNames {
  /** Kernel name to full paths, sorted. */
  readonly byId: Map<string, string[]>;
  readonly byPath: Map<string, string[]>;
}

/** The links that udev made; none where there is no udev. */
export async function diskNames(tree: Tree): Promise<DiskNames> {
  const read = async (folder: string): Promise<Map<string, string[]>> => {
    const found = new Map<string, string[]>();
    for (const name of await tree.list(folder)) {
      const target = (await tree.link(`${folder}/${name}`))?.split('/').pop();
      if (target === undefined) continue;
      const list = found.get(target) ?? [];
      list.push(`${folder}/${name}`);
      found.set(target, list);
    }
    return found;
  };
  return { byId: await read('/dev/disk/by-id'), byPath: await read('/dev/disk/by-path') };
}

/** Read off the device's place in the tree: the most specific word wins. */
const places: readonly (readonly [RegExp, string])[] = [
  [/\/usb\d+\//, 'usb'],
  [/\/mmc_host\//, 'mmc'],
  [/\/ata\d+\//, 'sata'],
  [/\/session\d+\//, 'iscsi'],
  [/\/rport-\d/, 'fc'],
  [/\/(end_device|expander|phy)-\d/, 'sas'],
  [/\/host\d+\//, 'scsi'],
  [/\/virtio\d+(\/|$)/, 'virtio'],
];

/**
 * @param device where `/sys/block/NAME/device` leads
 * @param place where `/sys/block/NAME` leads
 */
export async function diskTransport(
  tree: Tree,
  name: string,
  device: string,
  place: string | undefined,
): Promise<Pick<Disk, 'transport' | 'pciAddress'>> {
  if (!/^nvme\d+n\d+$/.test(name)) {
    const transport = places.find(([pattern]) => pattern.test(`${device}/`))?.[1];
    return { transport, pciAddress: pciAddress(place ?? device) };
  }
  // With multipath the disk hangs below a subsystem, which has no place on a bus; its controllers have.
  const controllers = /\/nvme-subsys\d+$/.test(device)
    ? (await tree.list(device)).filter((entry) => /^nvme\d+$/.test(entry)).map((entry) => `${device}/${entry}`)
    : [device];
  for (const controller of controllers) {
    const transport = await tree.value(`${controller}/transport`);
    const real = (await tree.real(controller)) ?? controller;
    if (transport !== undefined) return { transport: `nvme-${transport}`, pciAddress: pciAddress(real) };
  }
  return { pciAddress: pciAddress(device) };
}
