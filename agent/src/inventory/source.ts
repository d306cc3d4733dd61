// Where the facts come from: the machine itself, or a tree that lies below a folder.
import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { machine, networkInterfaces } from 'node:os';
import { join, relative } from 'node:path';
import { type Outcome, run } from '../child.ts';
import type { KernelRecord } from '../kmsg.ts';
import type { Look } from './disk-look.ts';
import { readKernelErrors } from './kernel-errors.ts';
import { linkNow, listNow, looksAtOnce, readNow, readsAtOnce, realNow } from './kernel-memory.ts';

export type RecordedError = Omit<KernelRecord, 'sequence'>;

export interface Source {
  /** Where the machine's `/` lies. */
  readonly root: string;
  /** These four reject with what the system said: an error with `code`. */
  read(path: string): Promise<Buffer>;
  /** Names, sorted. */
  list(path: string): Promise<string[]>;
  link(path: string): Promise<string>;
  /** Where a path really leads, as a path of the machine: `/sys/devices/pci0000:00/…`. */
  real(path: string): Promise<string>;
  /** Runs a program of the machine. Never rejects. */
  run(argv: readonly string[], deadlineMs: number): Promise<Outcome>;
  /** As `uname -m` says it; undefined when a tree doesn't tell. */
  arch(): string | undefined;
  /** Milliseconds since 1970 by the machine's clock. */
  now(): number | undefined;
  /** Addresses with prefix length, by card. */
  addresses(): ReadonlyMap<string, readonly string[]>;
  /** What the kernel said of errors and worse. Rejects with what the system said. */
  kernelErrors(): Promise<readonly RecordedError[]>;
  /** What is on a disk. `look` does the looking, where the disk itself is there. */
  lookAt(path: string, look: () => Promise<Look>): Promise<Look>;
}

/** Programs answer with this many characters at most; what is longer is cut, and then it is no JSON any more. */
const mostOutput = 12 << 20;

/** This machine. */
export const machineSource: Source = {
  root: '/',
  read: async (path) => (readsAtOnce(path) ? readNow(path) : await readFile(path)),
  list: async (path) => (looksAtOnce(path) ? listNow(path) : (await readdir(path)).sort()),
  link: async (path) => (looksAtOnce(path) ? linkNow(path) : await readlink(path)),
  real: async (path) => (looksAtOnce(path) ? realNow(path) : await realpath(path)),
  run: (argv, deadlineMs) => run(argv, { deadlineMs, most: mostOutput }),
  arch: machine,
  now: Date.now,
  addresses: () =>
    new Map(
      Object.entries(networkInterfaces()).map(([name, entries]) => [
        name,
        (entries ?? []).flatMap(({ cidr }) => (cidr === null ? [] : [cidr])),
      ]),
    ),
  kernelErrors: () => readKernelErrors('/dev/kmsg'),
  lookAt: (_, look) => look(),
};

/** No file that a collector reads comes near it. */
const mostFileBytes = 64 << 20;

/**
 * The files below a folder and nothing else: no program is run, and no link leads out of it. A pipe, which nobody may ever write to, and what
 * is larger than any such file are not read: `no-file`, `too-large`.
 */
export function folderSource(root: string): Source {
  const inside = async (path: string): Promise<string> => {
    const [whole, base] = await Promise.all([realpath(join(root, path)), realpath(root)]);
    const way = relative(base, whole);
    if (way === '..' || way.startsWith('../'))
      throw Object.assign(new Error(`${path} leads out of ${root}`), { code: 'outside' });
    return way;
  };
  return {
    root,
    read: async (path) => {
      const at = join(root, await inside(path));
      const what = await stat(at);
      // A folder is told as the system tells it.
      if (!what.isFile() && !what.isDirectory())
        throw Object.assign(new Error(`${path} is no file`), { code: 'no-file' });
      if (what.size > mostFileBytes)
        throw Object.assign(new Error(`${path} has ${what.size} bytes`), { code: 'too-large' });
      return await readFile(at);
    },
    list: async (path) => (await readdir(join(root, await inside(path)))).sort(),
    link: (path) => readlink(join(root, path)),
    real: async (path) => `/${await inside(path)}`,
    run: async () => ({ code: undefined, stdout: '', stderr: '', why: 'not-recorded' }),
    arch: () => undefined,
    now: () => undefined,
    addresses: () => new Map(),
    kernelErrors: async () => [],
    lookAt: async (path, look) => {
      try {
        await inside(path);
      } catch (error) {
        // Whoever looks has a word for what isn't there.
        if ((error as NodeJS.ErrnoException).code === 'outside') return { partitions: [], signatures: [], error };
      }
      return await look();
    },
  };
}
