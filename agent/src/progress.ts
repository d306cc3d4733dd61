// What the agent itself sees of an install: partitions and file systems appear, the target gets mounted, bytes land on it, the profile and the boot
// loader are there, it is unmounted. Only looks: no program is run, and no disk is read but by stat and statfs of what is mounted.
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Progress } from '@nixie/proto/agent';
import type { Clock } from './host.ts';
import { withDeadline } from './inventory/deadline.ts';
import { installMounts, landedBytes } from './mounts.ts';

/** Names of partitions in proc(5) `partitions`, with their sizes: a table that is written anew changes them. */
export function readPartitions(text: string): Set<string> {
  const partitions = text.split('\n').flatMap((line) => {
    const [, , blocks, name] = line.trim().split(/\s+/);
    return name !== undefined && /^(?:(?:sd|vd|xvd|hd)[a-z]+\d+|(?:nvme\d+n\d+|mmcblk\d+|md\d+)p\d+)$/.test(name)
      ? [`${name} ${blocks}`]
      : [];
  });
  return new Set(partitions);
}

/** `ext4 UUID`: what udev(7) found on a device, by its record. With the UUID: a file system that is made anew is another. */
export function readUdevFormat(record: string): string | undefined {
  const type = /^E:ID_FS_TYPE=(.+)$/m.exec(record)?.[1];
  return type === undefined ? undefined : `${type} ${/^E:ID_FS_UUID=(.+)$/m.exec(record)?.[1] ?? ''}`;
}

/** `b8:1 ext4 UUID` of each block device with a file system, swap and the like. */
function formattedNow(root: string): Set<string> {
  const folder = join(root, 'run/udev/data');
  const found = new Set<string>();
  try {
    for (const name of readdirSync(folder)) {
      const format = /^b\d+:\d+$/.test(name) ? readUdevFormat(readFileSync(join(folder, name), 'utf8')) : undefined;
      if (format !== undefined) found.add(`${name} ${format}`);
    }
  } catch {
    // no udev
  }
  return found;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** What an install leaves on the target once its system is there; what is not there yet is absent. */
export interface Landed {
  readonly profile?: string;
  readonly bootLoader?: string;
}

/** Where the usual boot loaders put themselves. */
const bootLoaders = ['EFI/systemd', 'EFI/BOOT', 'EFI/NixOS-boot', 'grub', 'extlinux', 'limine', 'loader/entries'];

async function landedNow(root: string): Promise<Landed> {
  const absent = () => undefined;
  const profile = await readlink(join(root, 'mnt/nix/var/nix/profiles/system')).catch(absent);
  // Before there is a profile, a boot partition that was kept may hold another system's.
  if (profile === undefined) return {};
  for (const place of ['mnt/boot', 'mnt/boot/efi', 'mnt/efi'])
    for (const name of bootLoaders) {
      const entries = await readdir(join(root, place, name)).catch(absent);
      if (entries !== undefined && entries.length > 0) return { profile, bootLoader: `/${place}/${name}` };
    }
  return { profile };
}

const isNew = (now: ReadonlySet<string>, before: ReadonlySet<string>): boolean =>
  [...now].some((each) => !before.has(each));

/**
 * Looks once a second and tells what changed, until the signal fires. `done_bytes` are those that came since the mount.
 */
export async function watchInstall(
  root: string,
  found: (progress: Progress) => void,
  clock: Clock,
  signal: AbortSignal,
  look: (root: string) => Promise<Landed> = landedNow,
  patienceMs = 2000,
): Promise<void> {
  const tell = (stage: string, step: string, note: string, doneBytes = 0): void =>
    found({ stage, step, note, doneBytes: BigInt(doneBytes), totalBytes: undefined });
  const partitionsNow = () => readPartitions(text(join(root, 'proc/partitions')));
  let partitions = partitionsNow();
  let formatted = formattedNow(root);
  let empty: number | undefined;
  let last = -1;
  let steps = new Set<string>();
  let looking: Promise<void> | undefined;
  const once = (step: string, note: string | undefined): void => {
    if (note === undefined || steps.has(step)) return;
    steps.add(step);
    tell('install', step, note);
  };
  while (!signal.aborted) {
    const used = await landedBytes(root);
    if (used === undefined) {
      const parts = partitionsNow();
      if (isNew(parts, partitions))
        tell('disko', 'partitioned', [...parts].map((each) => each.split(' ')[0]).join(', '));
      partitions = parts;
      const systems = formattedNow(root);
      if (isNew(systems, formatted))
        tell('disko', 'formatted', [...systems].map((each) => each.split(' ')[1]).join(', '));
      formatted = systems;
    }
    if (used !== undefined) {
      if (empty === undefined) {
        empty = used;
        steps = new Set();
        const devices = [...new Set(installMounts(root).map(({ device }) => device))].join(', ');
        tell('disko', 'mounted', `mounted at /mnt: ${devices}`);
      }
      const done = Math.max(0, used - empty);
      if (done !== last) tell('copy', '', '', done);
      last = done;
      // One look at a time: on a disk that hangs it has no end, and everything else goes on.
      const ofThisMount = steps;
      looking ??= look(root)
        .then(({ profile, bootLoader }) => {
          if (steps !== ofThisMount) return;
          once('profile', profile);
          once('boot-loader', bootLoader);
        })
        .finally(() => {
          looking = undefined;
        });
      await withDeadline(looking, patienceMs);
    } else if (empty !== undefined && installMounts(root).length === 0) {
      empty = undefined;
      last = -1;
      tell('install', 'unmounted', '/mnt was unmounted');
    }
    await clock.sleep(1000, signal);
  }
}
