// May the disks of this machine be written to? The last question before disko, asked of a fresh inventory. Pure.
import type { Disk, Inventory } from '@nixie/proto/inventory';
import type { ExpectDisk, Host } from './host.ts';

export interface Consent {
  /** `--reinstall NAME` or `"wipe": true`. */
  readonly loseData: boolean;
}

/** Disks that disko will write to, or every reason why it must not. */
export type DiskVerdict = { ok: true; targets: readonly Disk[] } | { ok: false; reasons: readonly string[] };

/**
 * @param declared device paths of the host's disko layout; undefined when the flake doesn't tell, then every fixed disk counts as a target
 * @param registered the inventory that came with the registration of this boot
 * @param now the inventory read just now
 */
export function judgeDisks(
  host: Host,
  declared: readonly string[] | undefined,
  registered: Inventory,
  now: Inventory,
  consent: Consent,
): DiskVerdict {
  const reasons: string[] = [];
  const changed = changedDisks(registered.disks, now.disks);
  if (changed !== undefined) reasons.push(changed);
  const targets: Disk[] = [];
  if (declared === undefined) {
    targets.push(...now.disks.filter((disk) => disk.removable !== true && disk.readOnly !== true));
    if (targets.length === 0) reasons.push('it has no fixed disk');
  } else {
    for (const device of declared) {
      const found = now.disks.filter((disk) => names(disk).includes(device));
      if (found.length === 1) targets.push(found[0]!);
      else if (found.length === 0)
        reasons.push(`its layout names ${device}, which is no whole disk of this machine; it has ${list(now.disks)}`);
      else reasons.push(`its layout names ${device}, which is more than one disk: ${list(found)}`);
    }
  }
  for (const disk of targets) {
    if (disk.readOnly === true) reasons.push(`${describe(disk)} is read-only`);
    if (disk.removable === true) reasons.push(`${describe(disk)} is removable`);
    if (disk.mountedAt.length > 0) reasons.push(`${describe(disk)} is in use at ${disk.mountedAt.join(', ')}`);
    if (!consent.loseData) {
      if (disk.hasData === undefined)
        reasons.push(`${describe(disk)} could not be read, so nobody knows what is on it`);
      else if (disk.hasData)
        reasons.push(
          `${describe(disk)} holds data (${contents(disk)}); to lose it: --reinstall ${host.name}, or "wipe": true in the hosts file`,
        );
    }
  }
  host.expectDisks.forEach((expected, index) => {
    const met = now.disks.filter((disk) => meets(disk, expected));
    if (met.length !== 1)
      reasons.push(
        `expect_disks[${index}] (${JSON.stringify(expected)}) is met by ${met.length === 0 ? 'no disk' : list(met)}; it has ${list(now.disks)}`,
      );
  });
  return reasons.length === 0 ? { ok: true, targets } : { ok: false, reasons };
}

/** Every path under which a disk may be named. */
export function names(disk: Disk): string[] {
  return [...disk.byId, ...(disk.byPath === undefined ? [] : [disk.byPath]), disk.path];
}

export function describe(disk: Disk): string {
  const id = disk.serial ?? disk.wwn;
  return `${disk.path} (${gigabytes(disk.sizeBytes)}${disk.model ? `, ${disk.model}` : ''}${id ? `, ${id}` : ''})`;
}

function list(disks: readonly Disk[]): string {
  return disks.length === 0 ? 'no disk' : disks.map(describe).join('; ');
}

function contents(disk: Disk): string {
  const parts: string[] = [];
  if (disk.table !== undefined && disk.table !== 'none') parts.push(`${disk.table} partition table`);
  for (const partition of disk.partitions)
    if (partition.fs) parts.push(`${partition.fs}${partition.label ? ` "${partition.label}"` : ''}`);
  parts.push(...disk.signatures);
  return parts.length === 0 ? 'of a kind that is not known' : parts.join(', ');
}

function gigabytes(bytes: bigint): string {
  return `${(Number(bytes) / 1e9).toFixed(1)} GB`;
}

function meets(disk: Disk, expected: ExpectDisk): boolean {
  const same = (have: string | undefined, want: string | undefined) =>
    want === undefined || have?.trim().toLowerCase() === want.trim().toLowerCase();
  const size = Number(disk.sizeBytes);
  return (
    same(disk.serial, expected.serial) &&
    same(disk.wwn, expected.wwn) &&
    (expected.minSizeBytes === undefined || size >= expected.minSizeBytes) &&
    (expected.maxSizeBytes === undefined || size <= expected.maxSizeBytes) &&
    (expected.rotational === undefined || disk.rotational === expected.rotational)
  );
}

/** Identity of the disks, in any order: serial, else wwn, else path, with the size. */
function changedDisks(before: readonly Disk[], after: readonly Disk[]): string | undefined {
  const key = (disk: Disk) => `${disk.serial ?? disk.wwn ?? disk.byPath ?? disk.path}/${disk.sizeBytes}`;
  const [a, b] = [before.map(key).sort(), after.map(key).sort()];
  return a.join() === b.join()
    ? undefined
    : `its disks are not those it registered with: then ${list(before)}; now ${list(after)}`;
}
