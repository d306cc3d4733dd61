// May the disks of this machine be written to? The last question before disko, asked of a fresh inventory. Pure.
import type { Disk, Inventory } from '@nixie/proto/inventory';
import type { ExpectDisk, Host } from './host.ts';
import { describe, hintedDevice, hintsUnused, resolveRootDisk } from './root-disk.ts';
import { loneWays, wayTo } from './ways.ts';

export interface Consent {
  /** `--reinstall NAME` or `"wipe": true`. */
  readonly loseData: boolean;
  /** An install has used it up. */
  readonly usedUp?: boolean;
  /** Identities of disks that were blank earlier in this run, before it began to write to them: what they hold now is its own. */
  readonly begun?: ReadonlySet<string>;
}

/** Disks that disko will write to, or every reason why it must not. */
export type DiskVerdict =
  /** `hinted`: the one that its hints mean. */
  { ok: true; targets: readonly Disk[]; hinted?: Disk } | { ok: false; reasons: readonly string[] };

/**
 * @param declared device paths of the host's disko layout; undefined or empty when the flake doesn't tell, then every fixed disk counts as a
 *   target: a layout that names nothing must not make all disks free
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
  const hinted = host.disk === undefined ? undefined : resolveRootDisk(host, now.disks);
  const unused = hintsUnused(host, declared);
  if (unused !== undefined) reasons.push(unused);
  if (declared === undefined || declared.length === 0) {
    // A script that tells nothing of its disks may use the link all the same.
    if (hinted?.ok === false) reasons.push(hinted.reason);
    targets.push(
      ...now.disks.filter(
        (disk) => (disk.removable !== true || host.allowRemovable === true) && disk.readOnly !== true,
      ),
    );
    if (targets.length === 0) reasons.push('it has no fixed disk');
  } else {
    const namedBy = new Map<Disk, string>();
    for (const device of declared) {
      if (device === hintedDevice && hinted?.ok !== true) {
        if (hinted !== undefined) reasons.push(hinted.reason);
        continue;
      }
      const found =
        device === hintedDevice && hinted?.ok
          ? [hinted.disk]
          : now.disks.filter((disk) => names(disk).includes(device));
      const disk = found[0];
      if (disk === undefined) reasons.push(`its layout names ${device}, which is ${notADisk(device, now.disks)}`);
      else if (found.length > 1)
        reasons.push(`its layout names ${device}, which is more than one disk: ${list(found)}`);
      else if (namedBy.has(disk))
        reasons.push(`its layout names one disk twice: ${namedBy.get(disk)} and ${device} are both ${describe(disk)}`);
      else {
        namedBy.set(disk, device);
        targets.push(disk);
      }
    }
    if (consent.loseData) reasons.push(...loosely(host, namedBy, now.disks));
  }
  for (const disk of targets) {
    if (disk.readOnly === true) reasons.push(`${describe(disk)} is read-only`);
    const lone = loneWays(disk);
    if (lone !== undefined) reasons.push(`${describe(disk)}: ${lone}`);
    if (disk.removable === true && host.allowRemovable !== true)
      reasons.push(`${describe(disk)} is removable, and the hosts file doesn't say "allow_removable": true`);
    if (disk.mountedAt.length > 0) reasons.push(`${describe(disk)} is in use at ${disk.mountedAt.join(', ')}`);
    // No consent to lose data covers what somebody works with.
    else if (disk.inUse === undefined)
      reasons.push(`${describe(disk)}: nobody can tell whether it is in use${unreadOf(now)}`);
    if (!consent.loseData && !begunByUs(disk, consent)) {
      if (disk.hasData === undefined)
        reasons.push(`${describe(disk)} could not be read, so nobody knows what is on it`);
      else if (disk.hasData)
        reasons.push(
          `${describe(disk)} ${holds(disk, host)} (${contents(disk)}); to lose it${consent.usedUp === true ? ` once more, for an install has used the consent up: nixie retry ${host.name}` : `: --reinstall ${host.name}, or "wipe": true in the hosts file`}`,
        );
    }
  }
  host.expectDisks.forEach((expected, index) => {
    const met = now.disks.filter((disk) => meets(disk, expected));
    if (met.length !== (expected.count ?? 1))
      reasons.push(
        `expect_disks[${index}] (${JSON.stringify(expected)}) is met by ${met.length === 0 ? 'no disk' : `${expected.count === undefined ? '' : `${met.length}: `}${list(met)}`}; it has ${list(now.disks)}`,
      );
  });
  if (reasons.length > 0) return { ok: false, reasons };
  return { ok: true, targets, ...(hinted?.ok === true ? { hinted: hinted.disk } : {}) };
}

/** What its agent needed for that and couldn't read. */
function unreadOf({ errors }: Inventory): string {
  const unread = errors.find(({ section, path }) => section === 'disks' && path.startsWith('/proc/'));
  return unread === undefined ? '' : `, for its agent could not read ${unread.path} (${unread.code})`;
}

/** Every path under which a disk may be named. */
export function names(disk: Disk): string[] {
  return [...disk.byId, ...(disk.byPath === undefined ? [] : [disk.byPath]), disk.path];
}

function list(disks: readonly Disk[]): string {
  return disks.length === 0 ? 'no disk' : disks.map(describe).join('; ');
}

/** Another host's system is named: that is what nobody wants to lose by a cable in the wrong port. */
function holds(disk: Disk, host: Host): string {
  if (disk.nixosHost === undefined) return 'holds data';
  if (disk.nixosHost === '') return 'holds a NixOS that does not say whose';
  return disk.nixosHost === host.name
    ? `holds the NixOS of "${host.name}", this very host`
    : `holds the NixOS of "${disk.nixosHost}", another host`;
}

function contents(disk: Disk): string {
  const parts: string[] = [];
  if (disk.table !== undefined && disk.table !== 'none') parts.push(`${disk.table} partition table`);
  for (const partition of disk.partitions)
    if (partition.fs) parts.push(`${partition.fs}${partition.label ? ` "${partition.label}"` : ''}`);
  parts.push(...disk.signatures);
  return parts.length === 0 ? 'of a kind that is not known' : parts.join(', ');
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

/**
 * What tells a disk from others over a restart of its machine; undefined for one without serial number and WWN: its name alone says nothing
 * tomorrow.
 */
export function diskIdentity(disk: Disk): string | undefined {
  const id = disk.serial || disk.wwn;
  return id ? `${id}/${disk.sizeBytes}` : undefined;
}

function begunByUs(disk: Disk, consent: Consent): boolean {
  const identity = diskIdentity(disk);
  return identity !== undefined && consent.begun?.has(identity) === true;
}

function notADisk(device: string, disks: readonly Disk[]): string {
  const whole = disks.find((disk) =>
    names(disk).some(
      (name) => device.startsWith(name) && /^(?:-part|p)?\d+$/.test(device.slice(name.length)) && device !== name,
    ),
  );
  const way = wayTo(device, disks);
  if (way !== undefined) return `one of the ways to ${describe(way)}: ${loneWays(way) ?? 'name that'}`;
  const part = whole === undefined ? '' : `, but looks like a partition of ${describe(whole)}`;
  return `no whole disk of this machine${part}; it has ${list(disks)}`;
}

/** Names that the kernel gives in the order in which it finds disks: another disk may have it tomorrow. */
const byOrder = /^\/dev\/(?:sd[a-z]+|[vhx]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;

/** With the operator's consent data will be lost: then the name must not be one that may mean another disk that holds data, too. */
function loosely(host: Host, namedBy: ReadonlyMap<Disk, string>, disks: readonly Disk[]): string[] {
  const others = disks.filter(
    (disk) => !namedBy.has(disk) && (disk.removable !== true || host.allowRemovable === true) && disk.hasData !== false,
  );
  if (others.length === 0) return [];
  // One that several disks meet tells a disk from the others only when the layout names them all.
  const onlyNamed = (expected: ExpectDisk) => disks.every((disk) => namedBy.has(disk) || !meets(disk, expected));
  return [...namedBy].flatMap(([disk, device]) =>
    !byOrder.test(device) || host.expectDisks.some((expected) => meets(disk, expected) && onlyNamed(expected))
      ? []
      : [
          `its layout names ${device}, which may be another disk at each start, and it has more that hold data (${list(others)}): name it by ${disk.byId[0] ?? disk.byPath ?? '/dev/disk/by-path/…'}, or say in expect_disks which disk it must be`,
        ],
  );
}

/** Identity of the disks with the name that each has, in any order: names that changed hands are a change, too. */
function changedDisks(before: readonly Disk[], after: readonly Disk[]): string | undefined {
  // What has several ways is called after the first, or after what joins them, which may come a moment after the agent.
  const name = (disk: Disk) => (disk.paths.length > 1 ? 'ways' : disk.path);
  const key = (disk: Disk) => `${name(disk)} ${disk.serial || disk.wwn || disk.byPath || ''} ${disk.sizeBytes}`;
  const [a, b] = [before.map(key).sort(), after.map(key).sort()];
  return a.join() === b.join()
    ? undefined
    : `its disks are not those it registered with: then ${list(before)}; now ${list(after)}`;
}
