// The network cards: what hangs on a bus, not bridges, tunnels and the like.
import type { LldpNeighbour, Nic } from '@nixie/proto/inventory';
import { readMac } from '../cmdline.ts';
import { withDeadline } from './deadline.ts';
import { askEthtool } from './ethtool.ts';
import { askNeighbours } from './lldp.ts';
import { byPlace } from './order.ts';
import { numaNodeOf, pciAddress } from './pci.ts';
import { readJson, type Tree } from './tree.ts';

/** For the files of one card. */
const nicMs = 4000;

export interface NicSurroundings {
  readonly bootMac: string | undefined;
  /** The local address that reached the controller. */
  readonly reachedBy: string | undefined;
  /** Ask the programs that take their time, too. */
  readonly full: boolean;
}

/** `ip -d -j link` as text: permanent addresses that differ from the present ones; what is not understood is left out. */
export function readPermanent(json: string): Map<string, string> {
  const found = new Map<string, string>();
  const list = readJson(json);
  if (!Array.isArray(list)) return found;
  for (const entry of list as ({ ifname?: unknown; permaddr?: unknown } | null)[]) {
    const mac = typeof entry?.permaddr === 'string' ? readMac(entry.permaddr) : undefined;
    if (mac && mac !== '00:00:00:00:00:00' && typeof entry?.ifname === 'string') found.set(entry.ifname, mac);
  }
  return found;
}

/** The card of the default route in /proc/net/route: the one with the lowest metric. */
export function defaultRoute(routes: string): string | undefined {
  let best: { name: string; metric: number } | undefined;
  for (const line of routes.split('\n').slice(1)) {
    const [name, destination, , flags, , , metric, mask] = line.trim().split(/\s+/);
    // RTF_UP
    if (!name || destination !== '00000000' || mask !== '00000000' || !(Number.parseInt(flags ?? '', 16) & 1)) continue;
    if (best === undefined || Number(metric) < best.metric) best = { name, metric: Number(metric) };
  }
  return best?.name;
}

interface Surroundings extends NicSurroundings {
  readonly permanent: ReadonlyMap<string, string>;
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  readonly routed: string | undefined;
  readonly routesKnown: boolean;
  readonly neighbours: ReadonlyMap<string, readonly LldpNeighbour[]>;
}

/** Has some card another address than it came with? Only then `ip` knows what files don't tell. */
async function anyRenamed(tree: Tree, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    const base = `/sys/class/net/${name}`;
    if ((await tree.count(`${base}/addr_assign_type`)) !== 0 && (await tree.real(`${base}/device`)) !== undefined)
      return true;
  }
  return false;
}

export async function collectNics(tree: Tree, around: NicSurroundings): Promise<Nic[]> {
  const names = (await tree.list('/sys/class/net')).slice(0, 1024);
  const routes = await tree.text('/proc/net/route');
  const surroundings: Surroundings = {
    ...around,
    permanent:
      around.full || (await anyRenamed(tree, names))
        ? readPermanent((await tree.program(['ip', '-d', '-j', 'link'], 1500)) ?? '')
        : new Map(),
    addresses: tree.source.addresses(),
    routed: defaultRoute(routes ?? ''),
    routesKnown: routes !== undefined,
    neighbours: around.full ? await askNeighbours(tree) : new Map(),
  };
  const nics: Nic[] = [];
  await Promise.all(
    names.map(async (name) => {
      // A driver that doesn't answer costs its card only.
      const late = await withDeadline(
        collectNic(tree, name, surroundings).then((nic) => nic && nics.push(nic)),
        nicMs,
      );
      if (late) tree.note(`/sys/class/net/${name}`, 'deadline');
    }),
  );
  if (around.full)
    await Promise.all(
      nics.map(async (nic) => {
        const { permanentMac, ...facts } = await askEthtool(tree, nic.name);
        Object.assign(nic, facts);
        nic.permanentMac ??= permanentMac;
      }),
    );
  return nics.sort(byPlace);
}

/** 20 octets (RFC 4391 9.1.1); nothing but zeroes is none. */
function readInfiniband(text: string | undefined): string | undefined {
  const address = text?.toLowerCase();
  return address !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){19}$/.test(address) && !/^[0:]+$/.test(address)
    ? address
    : undefined;
}

/** Undefined for what has no device below it. */
async function collectNic(tree: Tree, name: string, around: Surroundings): Promise<Nic | undefined> {
  const base = `/sys/class/net/${name}`;
  const device = await tree.real(`${base}/device`);
  if (device === undefined) return undefined;
  const mac = readMac((await tree.value(`${base}/address`)) ?? '');
  const real = mac === '00:00:00:00:00:00' ? undefined : mac;
  // 0: the address came with the hardware (include/uapi/linux/netdevice.h, NET_ADDR_PERM).
  const fromHardware = (await tree.count(`${base}/addr_assign_type`)) === 0;
  const addresses = [...(around.addresses.get(name) ?? [])];
  const permanentMac = around.permanent.get(name) ?? (fromHardware ? real : undefined);
  const { bootMac, reachedBy } = around;
  const address = pciAddress(device);
  // What hangs on USB has the ids of the USB controller there, which say nothing of the card.
  const onPci = address !== undefined && !/\/usb\d+\//.test(device);
  const duplex = await tree.value(`${base}/duplex`);
  return {
    name,
    mac: real,
    permanentMac,
    driver: await tree.linkName(`${base}/device/driver`),
    pciAddress: address,
    speedMbps: await tree.small(`${base}/speed`, 1),
    carrier: await tree.flag(`${base}/carrier`),
    mtu: await tree.small(`${base}/mtu`, 1),
    addresses,
    booted: bootMac === undefined ? undefined : bootMac === real || bootMac === permanentMac,
    reached: reachedBy === undefined ? undefined : addresses.some((cidr) => cidr.split('/')[0] === reachedBy),
    // ARPHRD_ETHER, ARPHRD_INFINIBAND
    macKind: { 1: 'ethernet', 32: 'infiniband' }[(await tree.count(`${base}/type`)) ?? 0],
    vendorId: onPci ? await tree.hex(`/sys/bus/pci/devices/${address}/vendor`, 4) : undefined,
    deviceId: onPci ? await tree.hex(`/sys/bus/pci/devices/${address}/device`, 4) : undefined,
    duplex: duplex === 'full' || duplex === 'half' ? duplex : undefined,
    devPort: await tree.small(`${base}/dev_port`),
    portName: await tree.value(`${base}/phys_port_name`),
    switchId: await tree.value(`${base}/phys_switch_id`),
    sriovTotalVfs: await tree.small(`${base}/device/sriov_totalvfs`),
    sriovActiveVfs: await tree.small(`${base}/device/sriov_numvfs`),
    defaultRoute: around.routesKnown ? around.routed === name : undefined,
    numaNode: await numaNodeOf(tree, address),
    infinibandAddress: readInfiniband(await tree.value(`${base}/address`)),
    lldp: (around.neighbours.get(name) ?? []).map((each) => ({ ...each })),
  };
}
