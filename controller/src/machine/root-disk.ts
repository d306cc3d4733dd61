// Which disk of a machine the hints of its hosts file mean: exactly one, or a reason that speaks of every disk. Pure.
import type { Disk } from '@nixie/proto/inventory';
import type { DiskHints, Host } from './host.ts';
import { loneWays } from './ways.ts';

/**
 * The name under which a layout finds the disk that the hints mean: a link that the agent makes right before disko. It lies below /dev
 * because nixos-install takes /dev into the new system, and /run it doesn't: a boot loader is installed under that name, too.
 */
export const hintedDevice = '/dev/nixie/disk';

export type RootDisk = { ok: true; disk: Disk } | { ok: false; reason: string };

/** All hints must hold, for one disk and no other. Without hints there is nothing to choose by. */
export function resolveRootDisk(host: Pick<Host, 'disk' | 'allowRemovable'>, disks: readonly Disk[]): RootDisk {
  const { disk: hints } = host;
  if (hints === undefined) return { ok: false, reason: noHints };
  const looked = disks.map((disk) => ({ disk, misses: missesOf(disk, hints, host.allowRemovable === true) }));
  const fitting = looked.filter(({ misses }) => misses.length === 0);
  if (fitting.length === 1) return { ok: true, disk: fitting[0]!.disk };
  const wanted = JSON.stringify(asWritten(hints));
  const each = looked.map(
    ({ disk, misses }) =>
      `${describe(disk)} ${misses.length === 0 ? 'fits' : `does not fit: ${misses.map((miss) => miss.text).join(', ')}`}`,
  );
  const found = fitting.length === 0 ? 'none' : `${fitting.length}`;
  const next =
    fitting.length > 1
      ? `; say more, such as ${distinction(fitting.map(({ disk }) => disk))}`
      : looked.some(({ misses }) => misses.length > 0 && misses.every(({ kind }) => kind === 'removable'))
        ? '; "allow_removable": true would let it count'
        : '';
  const list = each.length === 0 ? 'it has no disk' : each.join('; ');
  return {
    ok: false,
    reason: `"disk" (${wanted}) must mean one disk, and ${found} of its disks ${fitting.length > 1 ? 'fit' : 'fits'}: ${list}${next}`,
  };
}

const noHints = `its layout names ${hintedDevice}, and its entry in the hosts file has no "disk" that says which one that is`;

/**
 * Why hints and layout don't belong together; undefined when they do.
 * @param declared device paths of the disko layout; undefined when the flake doesn't tell
 */
export function hintsUnused(host: Pick<Host, 'disk'>, declared: readonly string[] | undefined): string | undefined {
  if (declared === undefined || declared.length === 0) return undefined;
  const named = declared.includes(hintedDevice);
  if (named && host.disk === undefined) return noHints;
  if (!named && host.disk !== undefined)
    return `its entry in the hosts file has "disk", but its layout names ${declared.join(', ')}: the disk that is meant is found as ${hintedDevice}, so give that as the device`;
  return undefined;
}

export function describe(disk: Disk): string {
  const id = disk.serial ?? disk.wwn;
  return `${disk.path} (${gigabytes(disk.sizeBytes)}${disk.model ? `, ${disk.model}` : ''}${id ? `, ${id}` : ''})`;
}

function gigabytes(bytes: bigint): string {
  return `${(Number(bytes) / 1e9).toFixed(1)} GB`;
}

interface Miss {
  readonly kind: 'hint' | 'removable' | 'read-only' | 'ways';
  readonly text: string;
}

function missesOf(disk: Disk, hints: DiskHints, removableToo: boolean): Miss[] {
  const misses: Miss[] = [];
  const miss = (text: string, kind: Miss['kind'] = 'hint') => void misses.push({ kind, text });
  // Many sticks say that they are not removable; that they are on USB they can't hide.
  if (!removableToo && disk.removable === true) miss('it is removable', 'removable');
  else if (!removableToo && disk.transport === 'usb') miss('it is on USB', 'removable');
  if (disk.readOnly === true) miss('it is read-only', 'read-only');
  const lone = loneWays(disk);
  if (lone !== undefined) miss(lone, 'ways');
  const { minSizeBytes, maxSizeBytes, rotational } = hints;
  if (minSizeBytes !== undefined && disk.sizeBytes < BigInt(minSizeBytes))
    miss(`its ${disk.sizeBytes} bytes are below min_size ${minSizeBytes}`);
  if (maxSizeBytes !== undefined && disk.sizeBytes > BigInt(maxSizeBytes))
    miss(`its ${disk.sizeBytes} bytes are above max_size ${maxSizeBytes}`);
  if (rotational !== undefined && disk.rotational !== rotational)
    miss(
      disk.rotational === undefined
        ? 'whether it is rotational is not known'
        : disk.rotational
          ? 'it is rotational'
          : 'it is not rotational',
    );
  const text = (name: string, wanted: string | undefined, has: string | undefined) => {
    if (wanted === undefined || (has !== undefined && matches(wanted, has))) return;
    miss(has === undefined ? `it has no ${name}` : `its ${name} is ${JSON.stringify(has)}`);
  };
  text('model', hints.model, disk.model);
  text('serial', hints.serial, disk.serial);
  text('wwn', hints.wwn, disk.wwn);
  text(
    'by_path',
    hints.byPath === undefined ? undefined : lastPart(hints.byPath),
    disk.byPath && lastPart(disk.byPath),
  );
  return misses;
}

function lastPart(path: string): string {
  return path.replace(/^\/dev\/disk\/by-path\//, '');
}

/** The whole text, in either case, blanks at its ends apart; `*` stands for any text. */
function matches(wanted: string, has: string): boolean {
  const [first, ...rest] = plain(wanted).split('*');
  const text = plain(has);
  if (rest.length === 0) return text === first;
  const last = rest.pop()!;
  if (!text.startsWith(first!) || !text.endsWith(last) || text.length < first!.length + last.length) return false;
  // The leftmost place of each part leaves the most room for those behind it.
  const end = text.length - last.length;
  let at = first!.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

function plain(text: string): string {
  return text.trim().toLowerCase();
}

/** Hints that tell these disks apart. */
function distinction(disks: readonly Disk[]): string {
  const apart = (name: string, of: (disk: Disk) => string | undefined): string[] => {
    const values = disks.map(of);
    const all = values.every((value) => value !== undefined && value !== '');
    return all && new Set(values).size === values.length ? [`"${name}": ${JSON.stringify(values[0])}`] : [];
  };
  return (
    [
      ...apart('serial', (disk) => disk.serial),
      ...apart('wwn', (disk) => disk.wwn),
      ...apart('by_path', (disk) => disk.byPath),
    ][0] ?? 'a narrower size'
  );
}

/** In the words of the hosts file. */
function asWritten(hints: DiskHints): Record<string, unknown> {
  const { minSizeBytes, maxSizeBytes, rotational, model, serial, wwn, byPath } = hints;
  return {
    min_size: minSizeBytes,
    max_size: maxSizeBytes,
    rotational,
    model,
    serial,
    wwn,
    by_path: byPath,
  };
}
