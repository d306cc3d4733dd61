// Makes a recorded tree of a machine while its inventory is collected: exactly the files that were read, the links that led to them, and
// the outputs of the programs that were run. Nothing is left out of them: serial numbers and addresses are part of what a machine is.
import { lstat, mkdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Outcome } from '../child.ts';
import { agentVersion } from '../version.ts';
import { kernelError } from './kernel-errors.ts';
import { type Record, type RecordedLook, recordFile, recordLook } from './recorded.ts';
import type { Source } from './source.ts';

export const recordNote =
  'The serial numbers, MAC and IP addresses, UUIDs, disk labels and the kernel command line (without tokens and keys) of the machine are in these files as they were read. Look through them before you give them away.';

/** @param cleanCommandLine takes secrets out of /proc/cmdline before it is written */
export function recordingSource(
  source: Source,
  folder: string,
  cleanCommandLine: (line: string) => string,
): { source: Source; finish(): Promise<void> } {
  const failures = new Map<string, string>();
  const programs = new Map<string, Partial<Outcome>>();
  const disks = new Map<string, RecordedLook>();
  let kernelErrors: Record['kernel_errors'] = [];
  const now = source.now();

  /** Records the links on the way. @returns where the path ends, as a path of the machine */
  const follow = async (path: string, last: 'follow' | 'keep' = 'follow'): Promise<string> => {
    let rest = path.split('/').filter(Boolean);
    let at = '/';
    for (let links = 0; rest.length > 0; ) {
      const [name, ...others] = rest;
      const next = join(at, name!);
      rest = others;
      const place = join(source.root, next);
      if ((last === 'follow' || rest.length > 0) && (await lstat(place)).isSymbolicLink()) {
        if (++links > 40) throw Object.assign(new Error(path), { code: 'ELOOP' });
        const target = await keepLink(next, await readlink(place));
        rest = [...join(at, target).split('/').filter(Boolean), ...rest];
        at = '/';
      } else at = next;
    }
    return at;
  };
  /** @returns the target as it was written: relative, so that it stays in the tree */
  const keepLink = async (path: string, target: string): Promise<string> => {
    const way = target.startsWith('/') ? relative(dirname(path), target) : target;
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await symlink(way, join(folder, path)).catch(ignoreExists);
    return way;
  };
  /** What a machine can't be read for later must not make the inventory worse now. */
  const keep = async (path: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: NodeJS.ErrnoException) => failures.set(path, error.code ?? 'error'));
  };
  const noted = async <T>(path: string, work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      const { code = 'error' } = error as NodeJS.ErrnoException;
      // Of what wasn't there nothing is there.
      if (code !== 'ENOENT') failures.set(path, code);
      throw error;
    }
  };

  return {
    source: {
      root: source.root,
      async read(path) {
        const bytes = await noted(path, source.read(path));
        const clean = path === '/proc/cmdline' ? Buffer.from(cleanCommandLine(bytes.toString('utf8'))) : bytes;
        await keep(path, async () => {
          const at = join(folder, await follow(path));
          await mkdir(dirname(at), { recursive: true });
          await writeFile(at, clean);
        });
        return bytes;
      },
      async list(path) {
        const names = await noted(path, source.list(path));
        await keep(path, async () => {
          const at = await follow(path);
          await mkdir(join(folder, at), { recursive: true });
          for (const name of names) {
            const entry = join(at, name);
            const what = await lstat(join(source.root, entry));
            if (what.isSymbolicLink()) await keepLink(entry, await readlink(join(source.root, entry)));
            else if (what.isDirectory()) await mkdir(join(folder, entry), { recursive: true });
            else await writeFile(join(folder, entry), '', { flag: 'wx' }).catch(ignoreExists);
          }
        });
        return names;
      },
      async link(path) {
        const target = await noted(path, source.link(path));
        await keep(path, async () => keepLink(await follow(path, 'keep'), target));
        return target;
      },
      async real(path) {
        const end = await noted(path, source.real(path));
        await keep(path, async () => {
          const at = await follow(path);
          const folderLike = (await lstat(join(source.root, at))).isDirectory();
          await mkdir(join(folder, folderLike ? at : dirname(at)), { recursive: true });
          if (!folderLike) await writeFile(join(folder, at), '', { flag: 'wx' }).catch(ignoreExists);
        });
        return end;
      },
      async run(argv, deadlineMs) {
        const { code, stdout, why } = await source.run(argv, deadlineMs);
        programs.set(argv.join(' '), {
          ...(code === undefined ? {} : { code }),
          ...(why === undefined ? {} : { why }),
          ...(stdout === '' ? {} : { stdout }),
        });
        return { code, stdout, stderr: '', ...(why === undefined ? {} : { why }) };
      },
      arch: () => source.arch(),
      // One moment for the whole record.
      now: () => now,
      addresses: () => source.addresses(),
      async kernelErrors() {
        try {
          const found = await source.kernelErrors();
          kernelErrors = found.map((each) => {
            const { uptimeMs, severity, text } = kernelError(each);
            return [Number(uptimeMs), severity, text];
          });
          return found;
        } catch (error) {
          kernelErrors = (error as NodeJS.ErrnoException).code ?? 'error';
          throw error;
        }
      },
      async lookAt(path, look) {
        // In case it never comes back.
        disks.set(path, { error: 'deadline' });
        const found = await source.lookAt(path, look);
        disks.set(path, recordLook(found));
        return found;
      },
    },
    async finish() {
      const sorted = <T>(map: ReadonlyMap<string, T>): { [key: string]: T } =>
        Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
      const record = {
        note: recordNote,
        agent_version: agentVersion,
        arch: source.arch(),
        clock_unix_ms: now,
        addresses: sorted(source.addresses()),
        failures: sorted(failures),
        programs: sorted(programs),
        kernel_errors: kernelErrors,
        disks: sorted(disks),
      };
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, recordFile), `${JSON.stringify(record, null, 2)}\n`);
    },
  };
}

function ignoreExists(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
