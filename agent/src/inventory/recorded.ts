// A recorded machine: a tree of the files that were read, and beside it, in one file, what files can't say.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome } from '../child.ts';
import type { Look } from './disk-look.ts';
import { folderSource, type Source } from './source.ts';

export const recordFile = 'nixie-record.json';

/** What stands in `nixie-record.json`. */
export interface Record {
  readonly note: string;
  readonly agent_version: string;
  readonly arch?: string;
  readonly clock_unix_ms?: number;
  readonly addresses?: { readonly [nic: string]: readonly string[] };
  /** Paths that could not be read, with the word for why. */
  readonly failures?: { readonly [path: string]: string };
  /** By the words of the command, blanks between. */
  readonly programs?: { readonly [command: string]: Partial<Outcome> };
  /** What the kernel said of errors: milliseconds since its start, severity, text. Or the word for why it could not be read. */
  readonly kernel_errors?: readonly (readonly [uptimeMs: number, severity: number, text: string])[] | string;
  /** What was found on disks; the bytes of a disk are not recorded. */
  readonly disks?: { readonly [path: string]: RecordedLook };
}

/** A look in which JSON can carry everything. */
export interface RecordedLook {
  readonly table?: Look['table'];
  readonly partitions?: readonly {
    readonly number: number;
    readonly size_bytes?: number;
    readonly type?: string;
    readonly fs?: string;
    readonly label?: string;
  }[];
  readonly signatures?: readonly string[];
  readonly has_data?: boolean;
  readonly error?: string;
}

export function recordLook(look: Look): RecordedLook {
  const { table, partitions, signatures, hasData, error } = look;
  return {
    ...(table === undefined ? {} : { table }),
    partitions: partitions.map(({ sizeBytes, ...others }) => ({
      ...others,
      ...(sizeBytes === undefined ? {} : { size_bytes: Number(sizeBytes) }),
    })),
    signatures,
    ...(hasData === undefined ? {} : { has_data: hasData }),
    ...(error === undefined
      ? {}
      : { error: typeof error === 'string' ? error : ((error as NodeJS.ErrnoException).code ?? 'error') }),
  };
}

function readLook({ table, partitions = [], signatures = [], has_data, error }: RecordedLook): Look {
  return {
    ...(table === undefined ? {} : { table }),
    partitions: partitions.map(({ number, size_bytes, type, fs, label }) => ({
      number,
      sizeBytes: size_bytes === undefined ? undefined : BigInt(size_bytes),
      type,
      fs,
      label,
    })),
    signatures: [...signatures],
    ...(has_data === undefined ? {} : { hasData: has_data }),
    ...(error === undefined ? {} : { error }),
  };
}

/**
 * The tree below a folder, with what was recorded beside it.
 * @throws when the folder isn't there, or its `nixie-record.json` can't be read
 */
export function recordedSource(root: string): Source {
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`--root ${root}: found no folder there; nixie-agent --record DIR makes one`);
  const folder = folderSource(root);
  let record: Record;
  try {
    const file = join(root, recordFile);
    // A pipe would keep us for ever.
    if (!statSync(file).isFile()) throw new Error('it is no file');
    const read: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof read !== 'object' || read === null || Array.isArray(read)) throw new Error('found no object');
    record = read as Record;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return folder;
    throw new Error(`read ${join(root, recordFile)}: ${(error as Error).message}`, { cause: error });
  }
  const { failures = {}, programs = {}, disks } = record;
  const orFailure = async <T>(path: string, work: (path: string) => Promise<T>): Promise<T> => {
    const code = Object.hasOwn(failures, path) ? failures[path] : undefined;
    if (code !== undefined) throw Object.assign(new Error(`${path}: ${code} when it was recorded`), { code });
    return work(path);
  };
  return {
    root,
    read: (path) => orFailure(path, folder.read),
    list: (path) => orFailure(path, folder.list),
    link: (path) => orFailure(path, folder.link),
    real: (path) => orFailure(path, folder.real),
    run: async (argv) => {
      const command = argv.join(' ');
      const ran = Object.hasOwn(programs, command) ? programs[command] : { why: 'not-recorded' };
      return { code: undefined, stdout: '', stderr: '', ...ran };
    },
    arch: () => record.arch,
    now: () => record.clock_unix_ms,
    addresses: () => new Map(Object.entries(record.addresses ?? {})),
    kernelErrors: async () => {
      const { kernel_errors = [] } = record;
      if (typeof kernel_errors === 'string') throw Object.assign(new Error(kernel_errors), { code: kernel_errors });
      return kernel_errors.map(([monotonicMs, severity, text]) => ({ monotonicMs, severity, text }));
    },
    lookAt: async (path, look) => {
      if (disks === undefined) return folder.lookAt(path, look);
      return readLook(Object.hasOwn(disks, path) ? disks[path]! : { error: 'not-recorded' });
    },
  };
}
