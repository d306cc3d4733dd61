// How much there is to copy.
import { NixAnswerError, parseAnswer } from './answer-error.ts';
import type { RunNix } from './command.ts';
import { failureOf, NixError } from './failure.ts';

export interface Closure {
  /** Sum over all paths. */
  readonly bytes: number;
  /** narSize by store path. */
  readonly sizes: ReadonlyMap<string, number>;
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
    const sizes = readPathInfo(result.stdout);
    return { bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0), sizes };
  } catch (error) {
    throw new NixError(verb, { cause: 'unknown', text: (error as Error).message, log: [] });
  }
}

/**
 * Reads `nix path-info --json -s`: an array with `path` in it (2.8), an object by path (from 2.19), or the versioned form that names paths
 * without the store's folder (2.32). Throws NixAnswerError when a path is told to be invalid or the text isn't of these forms.
 */
export function readPathInfo(json: string): Map<string, number> {
  const command = 'nix path-info';
  const value = parseAnswer(command, json);
  const sizes = new Map<string, number>();
  const add = (path: unknown, info: unknown) => {
    const size = info && typeof info === 'object' ? (info as { narSize?: unknown }).narSize : undefined;
    if (typeof path !== 'string') throw new NixAnswerError(command, 'an entry without path');
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      throw new NixAnswerError(command, `${path} is not in the store`);
    sizes.set(path, size);
  };
  if (Array.isArray(value)) {
    for (const entry of value) add((entry as { path?: unknown } | null)?.path, entry);
  } else if (value && typeof value === 'object') {
    const { info, storeDir, version } = value as { info?: unknown; storeDir?: unknown; version?: unknown };
    if (typeof version === 'number' && info && typeof info === 'object') {
      const folder = typeof storeDir === 'string' ? storeDir : '/nix/store';
      for (const [name, entry] of Object.entries(info)) add(name.startsWith('/') ? name : `${folder}/${name}`, entry);
    } else for (const [path, entry] of Object.entries(value)) add(path, entry);
  } else throw new NixAnswerError(command, 'neither array nor object');
  return sizes;
}
