// Resolves and locks a flake once, so that all that is asked later is asked of the same tree, whatever happens in the folder meanwhile.
import { NixAnswerError, parseAnswer } from './answer-error.ts';
import type { RunNix } from './command.ts';
import { failureOf, NixError } from './failure.ts';
import type { FlakeRef } from './flake-ref.ts';
import { nixLog } from './log.ts';
import type { NixProgress, PinnedFlake } from './types.ts';

export interface PinOptions {
  readonly run: RunNix;
  readonly nowMs: () => number;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: NixProgress) => void;
}

/** Rejects with {@link NixError} when nix can't read the flake. */
export async function pin(ref: FlakeRef, options: PinOptions): Promise<PinnedFlake> {
  const log = nixLog();
  const call = {
    program: 'nix',
    // A lock file that is missing stays so: the checkout is the operator's, and is only read.
    args: ['flake', 'metadata', '--json', '--no-write-lock-file', '--log-format', 'internal-json', ref.url],
    deadlineMs: options.deadlineMs,
    ...(options.signal ? { signal: options.signal } : {}),
    onLine: (line: string) => {
      const progress = log.line(line, options.nowMs());
      if (progress) options.onProgress?.(progress);
    },
  } as const;
  const result = await options.run(call);
  if (result.code !== 0) throw new NixError(`read flake ${ref.url}`, failureOf(call, result, log, 'not-a-flake'));
  let pinned: PinnedFlake & { readonly moving?: string };
  try {
    pinned = readMetadata(ref.url, result.stdout);
  } catch (error) {
    const text = `cannot read what it said: ${(error as Error).message}`;
    throw new NixError(`read flake ${ref.url}`, { cause: 'unknown', text, log: [] });
  }
  const { moving, ...flake } = pinned;
  if (moving === undefined) return flake;
  // nix 2.8 has no `dir` for a path: then the folder itself is read at each call.
  const again = await options.run({ ...call, args: [...call.args.slice(0, -1), flake.url], onLine: () => {} });
  return again.code === 0 ? flake : { ...flake, url: moving };
}

/**
 * From `nix flake metadata --json`. Throws NixAnswerError when it isn't that. `moving` is there when `url` is of a form that older versions don't know: a
 * reference that they do know, to a tree that may change.
 */
export function readMetadata(given: string, json: string): PinnedFlake & { readonly moving?: string } {
  const command = 'nix flake metadata';
  const value = record(parseAnswer(command, json));
  if (value === undefined) throw new NixAnswerError(command, 'not an object');
  const locked = record(value.locked) ?? {};
  const resolved = record(value.resolved) ?? {};
  const url = string(value.url);
  const path = string(value.path);
  const revision = string(locked.rev);
  const narHash = string(locked.narHash);
  const checkout = string(locked.type) === 'git' || string(resolved.type) === 'git';
  const dirty = revision === undefined && (checkout || string(value.dirtyRevision) !== undefined);
  const dir = string(locked.dir) ?? string(resolved.dir);
  // By store path `self.rev` would be gone and with it the toplevel's hash would differ from the operator's own build, so the URL is better
  // wherever it names a commit or a fixed download. A folder's URL would be read again at each call.
  const fixed = revision !== undefined || string(locked.type) === 'tarball' || string(locked.type) === 'file';
  const byPath = path === undefined ? undefined : `path:${path}${dir ? `?dir=${encodeURIComponent(dir)}` : ''}`;
  const chosen = fixed ? (url ?? byPath) : (byPath ?? url);
  if (chosen === undefined) throw new NixAnswerError(command, 'neither url nor path in it');
  return {
    given,
    url: chosen,
    dirty,
    ...(narHash ? { narHash } : {}),
    ...(revision ? { revision } : {}),
    ...(path ? { path } : {}),
    ...(chosen === byPath && dir && url ? { moving: url } : {}),
  };
}

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function string(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
