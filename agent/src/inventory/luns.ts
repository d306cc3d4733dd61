// One LUN that is reached over several ways is one disk: each way shows up as a disk of its own, with the same worldwide name and the same bytes
// behind it. Where a multipath device of the device mapper holds them, that device is the disk; where none does, no name reaches the LUN safely.
import type { Disk, DiskPath } from '@nixie/proto/inventory';
import { isInUse, type Mounts, mountsOf } from './mount-info.ts';
import { byPlace } from './order.ts';
import type { Tree } from './tree.ts';

export interface Lun {
  /** What is to be shown in the place of its legs. Its contents aren't known when a device holds them: nobody has looked yet. */
  readonly disk: Disk;
  readonly legs: readonly Disk[];
}

const mostLegs = 64;

/** Where two ways to one disk are usual. Two sticks with one worldwide name are two sticks. */
const shared = /^(fc|iscsi|sas|scsi|nvme-.*)$/;

/** The multipath device that holds a disk, by its kernel name. */
export async function multipathHolder(tree: Tree, holders: readonly string[]): Promise<string | undefined> {
  for (const holder of holders)
    if (/^mpath-/.test((await tree.value(`/sys/class/block/${holder}/dm/uuid`)) ?? '')) return holder;
  return undefined;
}

/** kpartx and multipathd put a device of its own on each partition. @returns partition number by the kernel name of its device */
export async function partitionMaps(tree: Tree, holders: readonly string[]): Promise<Map<string, number>> {
  const maps = new Map<string, number>();
  for (const holder of holders) {
    const number = /^part(\d{1,4})-mpath-/.exec((await tree.value(`/sys/class/block/${holder}/dm/uuid`)) ?? '')?.[1];
    if (number !== undefined) maps.set(holder, Number(number));
  }
  return maps;
}

/** Which of these disks are ways to the same one. @returns groups of two and more, and legs of a multipath device also alone */
async function groupLegs(tree: Tree, disks: readonly Disk[]): Promise<{ holder: string | undefined; legs: Disk[] }[]> {
  const groups: { holder: string | undefined; legs: Disk[] }[] = [];
  const rest: Disk[] = [];
  for (const disk of [...disks].sort(byPlace)) {
    const holder = await multipathHolder(tree, disk.holders);
    const group = groups.find((each) => each.holder === holder);
    // NVMe has joined its own already.
    if (holder === undefined && disk.multipath !== undefined) continue;
    if (holder === undefined) rest.push(disk);
    else if (group === undefined) groups.push({ holder, legs: [disk] });
    else group.legs.push(disk);
  }
  for (const disk of rest) {
    if (disk.wwn === undefined || (disk.transport !== undefined && !shared.test(disk.transport))) continue;
    const group = groups.find(({ legs }) => legs.some((leg) => sameLun(leg, disk)));
    if (group === undefined) groups.push({ holder: undefined, legs: [disk] });
    else group.legs.push(disk);
  }
  return groups.filter(({ holder, legs }) => holder !== undefined || legs.length > 1);
}

/** Some makers give one worldwide name to a whole batch; then serial numbers or sizes still tell their disks apart. */
function sameLun(a: Disk, b: Disk): boolean {
  const sameSerial = a.serial === undefined || b.serial === undefined || a.serial === b.serial;
  return a.wwn === b.wwn && a.sizeBytes === b.sizeBytes && sameSerial;
}

/**
 * @param disks all of the machine, as sysfs shows them, with what sits on each
 * @param byId links below /dev/disk/by-id, by kernel name
 */
export async function findLuns(
  tree: Tree,
  disks: readonly Disk[],
  mounts: Mounts,
  byId: ReadonlyMap<string, readonly string[]>,
): Promise<Lun[]> {
  const luns: Lun[] = [];
  for (const { holder, legs } of await groupLegs(tree, disks)) {
    const paths: DiskPath[] = [];
    for (const { name, transport, pciAddress } of legs.slice(0, mostLegs))
      paths.push({ name, transport, pciAddress, state: await tree.value(`/sys/block/${name}/device/state`) });
    const same = <T>(of: (disk: Disk) => T | undefined): T | undefined =>
      new Set(legs.map(of)).size === 1 ? of(legs[0]!) : undefined;
    const some = <T>(of: (disk: Disk) => T | undefined): T | undefined =>
      legs.map(of).find((value) => value !== undefined);
    const running = legs.find((_, index) => /^(running|live)$/.test(paths[index]?.state ?? '')) ?? legs[0]!;
    // What sits on any way sits on the disk.
    const onLegs = [...new Set(legs.flatMap((leg) => leg.holders))].filter((each) => each !== holder);
    const common: Disk = {
      ...running,
      // Of a way, not of the disk.
      byPath: undefined,
      hctl: undefined,
      pciAddress: same((leg) => leg.pciAddress),
      numaNode: same((leg) => leg.numaNode),
      transport: same((leg) => leg.transport),
      wwn: some((leg) => leg.wwn),
      serial: some((leg) => leg.serial),
      model: some((leg) => leg.model),
      vendor: some((leg) => leg.vendor),
      paths,
      holders: onLegs.sort(),
      mountedAt: [...new Set(legs.flatMap((leg) => leg.mountedAt))].sort(),
      byId: [...new Set(legs.flatMap((leg) => leg.byId))].sort(),
      hasData: legs.some((leg) => leg.hasData === true) ? true : some((leg) => leg.hasData),
      multipath: undefined,
    };
    const disk = holder === undefined ? common : await heldBy(tree, holder, common, mounts, byId);
    disk.inUse = isInUse(disk, mounts);
    luns.push({ disk, legs });
  }
  return luns;
}

/** The disk that a multipath device is. */
async function heldBy(
  tree: Tree,
  holder: string,
  legs: Disk,
  mounts: Mounts,
  byId: ReadonlyMap<string, readonly string[]>,
): Promise<Disk> {
  const base = `/sys/class/block/${holder}`;
  const label = await tree.value(`${base}/dm/name`);
  const sectors = await tree.count(`${base}/size`);
  const above = await tree.list(`${base}/holders`);
  const maps = await partitionMaps(tree, above);
  const holders = new Set([...legs.holders, ...above.filter((each) => !maps.has(each))]);
  for (const map of maps.keys())
    for (const each of await tree.list(`/sys/class/block/${map}/holders`)) holders.add(each);
  const mountedAt = new Set([...legs.mountedAt, ...(await mountsOf(tree, mounts, holder, [], above))]);
  return {
    ...legs,
    name: holder,
    // What udev would have to write in another way has its kernel name only.
    path: label !== undefined && /^[A-Za-z0-9_-]{1,127}$/.test(label) ? `/dev/mapper/${label}` : `/dev/${holder}`,
    sizeBytes: sectors ? BigInt(sectors) * 512n : legs.sizeBytes,
    readOnly: (await tree.flag(`${base}/ro`)) ?? legs.readOnly,
    multipath: label ?? holder,
    // A link to a way is no name of the disk: what opens it is told that it is busy.
    byId: [...(byId.get(holder) ?? [])],
    holders: [...holders].sort(),
    mountedAt: [...mountedAt].sort(),
    // What was seen over a way is looked at again over the device that all ways lead through.
    table: undefined,
    partitions: [],
    signatures: [],
    hasData: legs.hasData === true || maps.size > 0 || holders.size > 0 || mountedAt.size > 0 ? true : undefined,
  };
}
