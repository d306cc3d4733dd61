// Makes /dev/nixie/disk lead to the disk that the controller means, right after one more look at it. What it leads to is going to be written to,
// so a doubt is a refusal.
import { lstat, mkdir, realpath, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { LinkDisk } from '@nixie/proto/agent';
import type { Disk } from '@nixie/proto/inventory';

const folder = 'dev/nixie';

/** Why this disk must not be linked; undefined when it may. `disks`: all of the machine, looked at just now. */
export function refusal(wanted: LinkDisk, disks: readonly Disk[]): string | undefined {
  const disk = disks.find(({ path }) => path === wanted.path);
  if (disk === undefined) return `there is no whole disk ${wanted.path} any more`;
  const differs = (
    [
      ['size', wanted.sizeBytes, disk.sizeBytes],
      ['serial number', wanted.serial, disk.serial],
      ['WWN', wanted.wwn, disk.wwn],
      ['place', wanted.byPath, disk.byPath],
    ] as const
  ).find(([, want, is]) => want !== undefined && want !== is);
  if (differs !== undefined)
    return `${wanted.path} is another disk by now: its ${differs[0]} was ${differs[1]} and is ${differs[2] ?? 'not known'}`;
  if (disk.readOnly === true) return `${wanted.path} is read-only`;
  if (disk.paths.length > 1 && disk.multipath === undefined)
    return `${wanted.path} is one of ${disk.paths.length} ways to one disk, and no multipath device holds them`;
  if (disk.mountedAt.length > 0) return `${wanted.path} is in use at ${disk.mountedAt.join(', ')}`;
  if (disk.inUse === undefined) return `${wanted.path}: nobody can tell whether it is in use`;
  if (wanted.blank && disk.hasData !== false)
    return `${wanted.path} ${disk.hasData === true ? 'holds data by now' : 'could not be read this time'}`;
  return undefined;
}

/**
 * @param root `/` for this machine
 * @throws Error with the reason; nothing was changed then
 */
export async function linkDisk(root: string, wanted: LinkDisk, disks: readonly Disk[]): Promise<void> {
  // The link must not lead out of /dev, whoever asks.
  if (!/^\/dev\/[A-Za-z0-9!_-]+(?:\/[A-Za-z0-9!_-]+)?$/.test(wanted.path)) throw new Error(`${wanted.path} is no disk`);
  const why = refusal(wanted, disks);
  if (why !== undefined) throw new Error(why);
  const device = root === '/' ? await blockDevice(wanted.path) : wanted.path;
  await mkdir(join(root, folder), { recursive: true, mode: 0o755 });
  const link = join(root, folder, 'disk');
  const fresh = `${link}.new`;
  await rm(fresh, { force: true });
  await symlink(wanted.path, fresh);
  // In one step: nobody ever finds a link to nothing, or to the disk before.
  await rename(fresh, link);
  if (root === '/' && (await realpath(link)) !== device) throw new Error(`/${folder}/disk leads elsewhere`);
}

/** Where a name leads. Devices of the device mapper have theirs through a link of udev; nothing else may be one. */
async function blockDevice(path: string): Promise<string> {
  const device = path.startsWith('/dev/mapper/') ? await realpath(path) : path;
  if (!(await lstat(device)).isBlockDevice()) throw new Error(`${path} is no block device`);
  return device;
}
