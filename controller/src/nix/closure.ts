// What there is to copy: each path of a closure, its size and hash, and the paths that it refers to.
import { NixAnswerError, parseAnswer } from './answer-error.ts';
import type { RunNix } from './command.ts';
import { failureOf, NixError } from './failure.ts';
import { fromNix32 } from './nix32.ts';

/** What the store knows of one path. */
export interface PathInfo {
  /** Bytes of its NAR. */
  readonly narSize: number;
  /** SHA-256 of its NAR, 64 hex digits. Absent: not told, or another kind of hash. */
  readonly narHash?: string;
  /** Full paths, itself among them where it refers to itself. Absent: not told. */
  readonly references?: readonly string[];
}

export interface Closure {
  /** Sum over all paths. */
  readonly bytes: number;
  /** narSize by store path. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly paths: ReadonlyMap<string, PathInfo>;
}

export interface ClosureOptions {
  readonly run: RunNix;
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
}

/** Everything that `out` needs to run, itself included. Rejects with {@link NixError} when a path isn't in the store. */
export async function closureOf(out: string, options: ClosureOptions): Promise<Closure> {
  const call = {
    program: 'nix',
    args: ['path-info', '--json', '-r', '-s', out],
    deadlineMs: options.deadlineMs ?? 10 * 60_000,
    ...(options.signal ? { signal: options.signal } : {}),
  } as const;
  const result = await options.run(call);
  const verb = `sum up the closure of ${out}`;
  if (result.code !== 0) throw new NixError(verb, failureOf(call, result));
  try {
    const paths = readPathInfo(result.stdout);
    const sizes = new Map([...paths].map(([path, { narSize }]) => [path, narSize]));
    return { bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0), sizes, paths };
  } catch (error) {
    throw new NixError(verb, { cause: 'unknown', text: (error as Error).message, log: [] });
  }
}

/**
 * Reads `nix path-info --json -s`: an array with `path` in it (2.8), an object by path (from 2.19), or the versioned form that names paths
 * without the store's folder (2.32). Throws NixAnswerError when a path is told to be invalid or the text isn't of these forms. Hash and
 * references are left out where they are not of a known form: they are needed by nothing but the binary cache.
 */
export function readPathInfo(json: string): Map<string, PathInfo> {
  const command = 'nix path-info';
  const value = parseAnswer(command, json);
  const paths = new Map<string, PathInfo>();
  const add = (path: unknown, entry: unknown, folder?: string) => {
    const info = (entry && typeof entry === 'object' ? entry : {}) as Record<string, unknown>;
    const { narSize } = info;
    if (typeof path !== 'string') throw new NixAnswerError(command, 'an entry without path');
    if (typeof narSize !== 'number' || !Number.isSafeInteger(narSize) || narSize < 0)
      throw new NixAnswerError(command, `${path} is not in the store`);
    const narHash = readHash(info.narHash);
    const references = readReferences(info.references, folder);
    paths.set(path, {
      narSize,
      ...(narHash === undefined ? {} : { narHash }),
      ...(references === undefined ? {} : { references }),
    });
  };
  if (Array.isArray(value)) {
    for (const entry of value) add((entry as { path?: unknown } | null)?.path, entry);
  } else if (value && typeof value === 'object') {
    const { info, storeDir, version } = value as { info?: unknown; storeDir?: unknown; version?: unknown };
    if (typeof version === 'number' && info && typeof info === 'object') {
      const folder = typeof storeDir === 'string' ? storeDir : '/nix/store';
      for (const [name, entry] of Object.entries(info))
        add(name.startsWith('/') ? name : `${folder}/${name}`, entry, folder);
    } else for (const [path, entry] of Object.entries(value)) add(path, entry);
  } else throw new NixAnswerError(command, 'neither array nor object');
  return paths;
}

/** `sha256-<base64>`, `sha256:<nix32 or hex>`, or the parts by name (2.32) → hex. */
function readHash(value: unknown): string | undefined {
  if (value && typeof value === 'object') {
    const { algorithm, format, hash } = value as Record<string, unknown>;
    if (algorithm !== 'sha256' || typeof hash !== 'string') return undefined;
    return readHash(format === 'base64' ? `sha256-${hash}` : `sha256:${hash}`);
  }
  if (typeof value !== 'string') return undefined;
  const base64 = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(value)?.[1];
  if (base64 !== undefined) return Buffer.from(base64, 'base64').toString('hex');
  const other = /^sha256:(.*)$/.exec(value)?.[1];
  if (other === undefined) return undefined;
  if (/^[0-9a-f]{64}$/.test(other)) return other;
  const bytes = fromNix32(other, 32);
  return bytes && Buffer.from(bytes).toString('hex');
}

function readReferences(value: unknown, folder: string | undefined): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const names = value.filter((name): name is string => typeof name === 'string');
  if (names.length !== value.length) return undefined;
  if (names.every((name) => name.startsWith('/'))) return names;
  return folder === undefined ? undefined : names.map((name) => (name.startsWith('/') ? name : `${folder}/${name}`));
}
