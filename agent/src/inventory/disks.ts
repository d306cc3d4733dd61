// The disks: whole ones that could carry a system, each looked at on its own, so that one that hangs costs only itself.
import type { Disk } from '@nixie/proto/inventory';
import { withDeadline } from './deadline.ts';
import { identifyDisk } from './disk-identity.ts';
import { type Look, lookAtDisk } from './disk-look.ts';
import { type DiskNames, diskNames } from './disk-names.ts';
import { type DiskReader, openDisk } from './disk-reader.ts';
import { mayHoldSystem } from './foreign-system.ts';
import { findLuns, multipathHolder, partitionMaps } from './luns.ts';
import { isInUse, type Mounts, mountPoints, mountsOf } from './mount-info.ts';
import { byPlace } from './order.ts';
import type { Tree } from './tree.ts';

/** Not disks of the machine: in memory, made of other disks, optical, or parts of a memory card that hold no system. */
const skipped = /^(loop|ram|zram|fd|dm-|md|sr|nbd|mtdblock|pmem_s)|^mmcblk\d+(boot\d+|rpmb|gp\d+)$/;

/** Whose NixOS a file system holds: see `nixosOn`. */
export type FindSystem = (device: string, fs: string) => Promise<string | undefined>;

/** For all file systems of a disk together. */
const findSystemMs = 8000;
/** What sysfs says of a disk, besides the look at it. */
const factsMs = 3000;

/** `collectDisks` has ended by then, whatever hangs: a disk, and after it the device that joins the ways to another. */
export function disksMs(deadlineMs: number, findSystem: boolean): number {
  return 2 * deadlineMs + factsMs + (findSystem ? findSystemMs : 0) + 2000;
}

/**
 * @param look replaced by tests that need a disk which hangs
 * @param findSystem absent: nobody looks for systems
 */
export async function collectDisks(
  tree: Tree,
  deadlineMs: number,
  look = lookInto,
  findSystem?: FindSystem,
): Promise<Disk[]> {
  const all = await tree.list('/sys/block');
  const names = all.filter((name) => !skipped.test(name)).slice(0, 4096);
  if (names.length === 0) return [];
  const mounts = await mountPoints(tree);
  const links = await diskNames(tree);
  const surroundings = { links, mounts, all };
  // What comes in after a deadline must not change what was reported: copies.
  const shown = (
    await Promise.all(
      names.map(async (name) => {
        const disk = emptyDisk(name);
        await endsBy(tree, disk, deadlineMs + factsMs, collectDisk(tree, disk, surroundings, deadlineMs, look));
        return { ...disk };
      }),
    )
  ).filter(({ sizeBytes }) => sizeBytes > 0n);
  const luns = await findLuns(tree, shown, mounts, links.byId);
  const legs = new Set(luns.flatMap((lun) => lun.legs));
  const disks = await Promise.all(
    [...shown.filter((disk) => !legs.has(disk)), ...luns.map((lun) => lun.disk)].map(async (disk) => {
      // Nobody has looked over a way.
      if (disk.multipath !== undefined && disk.name.startsWith('dm-'))
        await endsBy(tree, disk, deadlineMs + 1000, lookInside(tree, disk, deadlineMs, look));
      if (findSystem !== undefined) await endsBy(tree, disk, findSystemMs, nameSystem(tree, disk, findSystem));
      return { ...disk };
    }),
  );
  return disks.sort(byPlace);
}

/** A disk that doesn't answer, or answers oddly, costs only itself. */
async function endsBy(tree: Tree, disk: Disk, milliseconds: number, work: Promise<void>): Promise<void> {
  try {
    if (await withDeadline(work, milliseconds)) tree.note(disk.path, 'deadline');
  } catch (error) {
    tree.note(disk.path, error, true);
  }
}

function emptyDisk(name: string): Disk {
  return {
    name,
    // The kernel writes / in names as !.
    path: `/dev/${name.replace(/!/g, '/')}`,
    sizeBytes: 0n,
    byId: [],
    partitions: [],
    signatures: [],
    holders: [],
    mountedAt: [],
    paths: [],
  };
}

interface DiskSurroundings {
  readonly links: DiskNames;
  readonly mounts: Mounts;
  /** All names in /sys/block. */
  readonly all: readonly string[];
}

/** Fills in the disk step by step, the cheap and harmless first. */
async function collectDisk(
  tree: Tree,
  disk: Disk,
  { links, mounts, all }: DiskSurroundings,
  deadlineMs: number,
  look: typeof lookInto,
): Promise<void> {
  const base = `/sys/block/${disk.name}`;
  if (await tree.flag(`${base}/hidden`)) return;
  const sectors = await tree.count(`${base}/size`);
  if (!sectors) return;
  disk.sizeBytes = BigInt(sectors) * 512n; // in 512 bytes whatever the disk's blocks are
  disk.byId = links.byId.get(disk.name) ?? [];
  disk.byPath = links.byPath.get(disk.name)?.[0];
  disk.logicalBlockBytes = await tree.small(`${base}/queue/logical_block_size`, 1);
  disk.physicalBlockBytes = await tree.small(`${base}/queue/physical_block_size`, 1);
  disk.rotational = await tree.flag(`${base}/queue/rotational`);
  disk.removable = await tree.flag(`${base}/removable`);
  disk.readOnly = await tree.flag(`${base}/ro`);

  const parts = (await tree.list(base)).filter((name) => name.startsWith(disk.name) && name !== disk.name);
  const partitions: string[] = [];
  for (const name of parts) if ((await tree.count(`${base}/${name}/partition`)) !== undefined) partitions.push(name);
  const holders = new Set<string>();
  for (const folder of [base, ...partitions.map((name) => `${base}/${name}`)])
    for (const holder of await tree.list(`${folder}/holders`)) holders.add(holder);
  disk.holders = [...holders].sort();
  disk.mountedAt = await mountsOf(tree, mounts, disk.name, partitions, disk.holders);
  const multipath = await multipathHolder(tree, disk.holders);
  // The kernel found partitions, or something sits on it: whatever a look at the bytes says or fails to say.
  const held = disk.holders.some((holder) => holder !== multipath);
  if (partitions.length > 0 || held || disk.mountedAt.length > 0) disk.hasData = true;
  disk.inUse = isInUse(disk, mounts);

  if (await withDeadline(identifyDisk(tree, disk, base, all), 2000)) tree.note(base, 'deadline');
  // A way that stands by answers with errors, or late.
  if (multipath === undefined) await lookInside(tree, disk, deadlineMs, look);
}

/** Fills in what lies on it. */
async function lookInside(tree: Tree, disk: Disk, deadlineMs: number, lookAt: typeof lookInto): Promise<void> {
  const look = await withDeadlineValue(lookAt(tree, disk), deadlineMs);
  if (look === undefined) {
    tree.note(disk.path, 'deadline');
    return;
  }
  if (look.error !== undefined) tree.note(disk.path, look.error, true);
  disk.table = look.table;
  disk.partitions = look.partitions;
  disk.signatures = look.signatures;
  disk.hasData = disk.hasData === true ? true : look.hasData;
}

/** A disk in use, or of which that could not be told, is left alone: what holds it is told already. */
async function nameSystem(tree: Tree, disk: Disk, findSystem: FindSystem): Promise<void> {
  if (disk.hasData !== true || disk.inUse !== false) return;
  const base = `/sys/block/${disk.name}`;
  const places: [device: string, fs: string][] = [];
  const whole = disk.signatures.find(mayHoldSystem);
  if (whole !== undefined && disk.partitions.length === 0) places.push([disk.path, whole]);
  const numbers = await partitionMaps(tree, await tree.list(`${base}/holders`));
  for (const name of (await tree.list(base)).filter((each) => each.startsWith(disk.name)))
    numbers.set(name, (await tree.count(`${base}/${name}/partition`)) ?? -1);
  for (const [name, number] of numbers) {
    const fs = disk.partitions.find((each) => each.number === number)?.fs;
    if (mayHoldSystem(fs)) places.push([`/dev/${name}`, fs]);
  }
  for (const [device, fs] of places.slice(0, 16)) {
    const name = await findSystem(tree.at(device), fs);
    if (name !== undefined) disk.nixosHost = name;
    if (name) return;
  }
}

async function withDeadlineValue<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  let value: T | undefined;
  await withDeadline(
    work.then((done) => {
      value = done;
    }),
    ms,
  );
  return value;
}

/** Looks, or tells what was seen when the tree was recorded. */
export function lookInto(tree: Tree, disk: Disk): Promise<Look> {
  return tree.source.lookAt(disk.path, () => openAndLook(tree, disk, true));
}

/** The same without the proof that a disk is blank, which is most of the work. */
export function lookBriefly(tree: Tree, disk: Disk): Promise<Look> {
  return tree.source.lookAt(disk.path, () => openAndLook(tree, disk, false));
}

/** Opens the disk for reading only and looks. An error is part of the answer. */
async function openAndLook(tree: Tree, disk: Disk, proveBlank: boolean): Promise<Look> {
  let reader: DiskReader | undefined;
  try {
    const size = Number(disk.sizeBytes);
    reader = await openDisk(tree.at(disk.path), size);
    return await lookAtDisk(size, disk.logicalBlockBytes ?? 512, reader.readAt, proveBlank);
  } catch (error) {
    // ENOENT is no quiet absence here: a disk without its device file could not be looked at.
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    return {
      partitions: [],
      signatures: [],
      error: code === 'ENOENT' ? 'no-device-file' : code === 'ENXIO' ? 'no-device' : error,
    };
  } finally {
    await reader?.close();
  }
}
