// The network cards: what hangs on a bus, not bridges, tunnels and the like.
import type { Nic } from '@nixie/proto/inventory';
import { readMac } from '../cmdline.ts';
import { pciAddress } from './pci.ts';
import type { Tree } from './tree.ts';

export interface NicSurroundings {
  /** From `ip -d -j link`: permanent addresses that differ from the present ones. */
  readonly permanent: ReadonlyMap<string, string>;
  /** Addresses with prefix length by card. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  readonly bootMac: string | undefined;
  /** The local address that reached the controller. */
  readonly reachedBy: string | undefined;
}

/** `ip -d -j link` as text; what is not understood is left out. */
export function readPermanent(json: string): Map<string, string> {
  const found = new Map<string, string>();
  let list: unknown;
  try {
    list = JSON.parse(json);
  } catch {
    return found;
  }
  if (!Array.isArray(list)) return found;
  for (const entry of list as { ifname?: unknown; permaddr?: unknown }[]) {
    const mac = typeof entry?.permaddr === 'string' ? readMac(entry.permaddr) : undefined;
    if (mac && mac !== '00:00:00:00:00:00' && typeof entry.ifname === 'string') found.set(entry.ifname, mac);
  }
  return found;
}

export async function collectNics(tree: Tree, around: NicSurroundings): Promise<Nic[]> {
  const nics: Nic[] = [];
  for (const name of (await tree.list('/sys/class/net')).slice(0, 1024)) {
    const base = `/sys/class/net/${name}`;
    const device = await tree.real(`${base}/device`);
    if (device === undefined) continue;
    const mac = readMac((await tree.value(`${base}/address`)) ?? '');
    const real = mac === '00:00:00:00:00:00' ? undefined : mac;
    // 0: the address came with the hardware (include/uapi/linux/netdevice.h, NET_ADDR_PERM).
    const fromHardware = (await tree.count(`${base}/addr_assign_type`)) === 0;
    const speed = await tree.count(`${base}/speed`);
    const addresses = [...(around.addresses.get(name) ?? [])];
    const permanentMac = around.permanent.get(name) ?? (fromHardware ? real : undefined);
    const { bootMac, reachedBy } = around;
    nics.push({
      name,
      mac: real,
      permanentMac,
      driver: (await tree.link(`${base}/device/driver`))?.split('/').pop(),
      pciAddress: pciAddress(device),
      // 4294967295 is -1 in the eyes of some drivers.
      speedMbps: speed !== undefined && speed > 0 && speed < 4_294_967_295 ? speed : undefined,
      carrier: await tree.flag(`${base}/carrier`),
      mtu: await tree.count(`${base}/mtu`),
      addresses,
      lldp: [],
      booted: bootMac === undefined ? undefined : bootMac === real || bootMac === permanentMac,
      reached: reachedBy === undefined ? undefined : addresses.some((cidr) => cidr.split('/')[0] === reachedBy),
    });
  }
  // By bus position, so that equal hardware is listed equally.
  return nics.sort((a, b) => compare(a.pciAddress ?? '~', b.pciAddress ?? '~') || compare(a.name, b.name));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
