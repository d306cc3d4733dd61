// Where a disk is in use: mounted, as swap, directly or through what sits on it.
import type { Tree } from './tree.ts';

export interface MountPoint {
  /** `major:minor`; file systems on several devices have one of their own, 0:N. */
  readonly device: string;
  readonly source: string;
  /** Path, or `swap`. */
  readonly at: string;
}

const plain = (word: string): string =>
  word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** /proc/self/mountinfo (proc(5)) and /proc/swaps. */
export function readMountInfo(mountinfo: string, swaps: string): MountPoint[] {
  const found: MountPoint[] = [];
  for (const line of mountinfo.split('\n')) {
    const words = line.split(' ');
    const dash = words.indexOf('-', 6);
    const [device, at, source] = [words[2], words[4], words[dash + 2]];
    if (dash > 0 && device && at && source) found.push({ device, at: plain(at), source: plain(source) });
  }
  for (const line of swaps.split('\n').slice(1)) {
    const source = line.split(/\s+/)[0];
    if (source) found.push({ device: '', at: 'swap', source: plain(source) });
  }
  return found;
}

/** What is mounted and swapped on. */
export interface Mounts {
  readonly points: readonly MountPoint[];
  /** All of it was read. Otherwise what isn't among them may be in use all the same. */
  readonly whole: boolean;
}

/** Of this machine; what can't be read is noted. */
export async function mountPoints(tree: Tree): Promise<Mounts> {
  let whole = true;
  const read = async (path: string, needed: boolean): Promise<string> => {
    try {
      return (await tree.source.read(path)).toString('utf8');
    } catch (error) {
      if (!needed && (error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      whole = false;
      tree.note(path, error, true);
      return '';
    }
  };
  const mountinfo = await read('/proc/self/mountinfo', true);
  // A kernel that can't swap has no such file.
  const swaps = await read('/proc/swaps', false);
  return { points: readMountInfo(mountinfo, swaps), whole };
}

/** Undefined: it could not be told. */
export function isInUse(
  { holders, mountedAt }: { readonly holders: readonly string[]; readonly mountedAt: readonly string[] },
  { whole }: Pick<Mounts, 'whole'>,
): boolean | undefined {
  return holders.length > 0 || mountedAt.length > 0 || (whole ? false : undefined);
}

/** Everything that is stacked on the given devices, at most eight layers. */
async function stackedOn(tree: Tree, holders: readonly string[]): Promise<string[]> {
  const all = new Set<string>();
  let layer = holders;
  for (let depth = 0; depth < 8 && layer.length > 0; depth += 1) {
    const next: string[] = [];
    for (const name of layer) {
      if (all.has(name)) continue;
      all.add(name);
      next.push(...(await tree.list(`/sys/class/block/${name}/holders`)));
    }
    layer = next;
  }
  return [...all];
}

/** @returns sorted paths, `swap` among them */
export async function mountsOf(
  tree: Tree,
  { points }: Mounts,
  name: string,
  partitions: readonly string[],
  holders: readonly string[],
): Promise<string[]> {
  const stacked = await stackedOn(tree, holders);
  const numbers = new Set<string>();
  const sources = new Set<string>();
  const add = async (device: string, folder: string): Promise<void> => {
    sources.add(`/dev/${device}`);
    const number = await tree.value(`${folder}/dev`);
    if (number !== undefined) numbers.add(number);
    const mapped = await tree.value(`${folder}/dm/name`);
    if (mapped !== undefined) sources.add(`/dev/mapper/${mapped}`);
  };
  await add(name, `/sys/block/${name}`);
  for (const partition of partitions) await add(partition, `/sys/block/${name}/${partition}`);
  for (const device of stacked) await add(device, `/sys/class/block/${device}`);
  const at = new Set<string>();
  for (const mount of points) {
    if (numbers.has(mount.device) || sources.has(mount.source)) at.add(mount.at);
    else if (mount.source.startsWith('/dev/disk/')) {
      const target = (await tree.link(mount.source))?.split('/').pop();
      if (target !== undefined && sources.has(`/dev/${target}`)) at.add(mount.at);
    }
  }
  return [...at].sort();
}
