// One child process: leader of its own session and group, in the environment that it is given and no other, watched until all of it has gone.
// node:child_process and not a wrapper around it: what counts here is the group. A wrapper's kill reaches the direct child alone, and waiting for
// it hangs as long as any grandchild holds the output.
import { spawn as nodeSpawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { after } from '../clock.ts';
import { addGroup, type GroupKill, removeGroup, signalGroup } from './groups.ts';
import type { ChildUser } from './identity.ts';

export interface ChildRequest {
  readonly program: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absent: `/`. */
  readonly cwd?: string;
  /** Absent: as ourselves. Supplementary groups are dropped with ours. */
  readonly as?: ChildUser;
  /** `merged`: what it says on both, in order, which two pipes would lose. `first`: stdout alone; the other goes nowhere. */
  readonly outputs: 'merged' | 'apart' | 'first';
  /** Open here, and 3, 4, … in the child. */
  readonly descriptors?: readonly number[];
}

export interface SpawnedChild {
  readonly pid: number | undefined;
  readonly output: Readable;
  /** With `apart` only. */
  readonly errors?: Readable | undefined;
  onError(call: (error: NodeJS.ErrnoException) => void): void;
  onExit(call: (status: number | null, signal: NodeJS.Signals | null) => void): void;
  /** After the exit and after the last holder of the outputs has gone. */
  onClose(call: () => void): void;
}

/** Child, clock and timers, for tests. */
export interface ChildSystem {
  spawn(request: ChildRequest): SpawnedChild;
  kill: GroupKill;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Returns what stops it. */
  after(ms: number, call: () => void): () => void;
  /** Where the processes of a session are looked for; absent: /proc. */
  readonly proc?: string;
}

export interface WatchOptions {
  readonly onOutput?: (bytes: Buffer) => void;
  readonly onErrors?: (bytes: Buffer) => void;
  /** Once, when it exits or is stopped, whichever comes first. */
  readonly onEnding?: () => void;
  /** From its start; then it is stopped as `deadline`. */
  readonly deadlineMs?: number;
  /** Stops it as `aborted`; when it was given before, nothing is started. */
  readonly signal?: AbortSignal | undefined;
  /** Between the polite signal and the last one; 0: the last one at once. Absent: five seconds. */
  readonly graceMs?: number;
  /** A grandchild that holds the outputs longer than this after the exit is not waited for; 0: it is killed at the exit. Absent: two seconds. */
  readonly lingerMs?: number;
  readonly system?: ChildSystem;
}

export type ChildEnd<Why> =
  | { readonly kind: 'not-started'; readonly error: NodeJS.ErrnoException }
  | {
      readonly kind: 'ended';
      /** Absent: it didn't end by itself before it was stopped. */
      readonly why?: Why | 'deadline' | 'aborted';
      readonly status: number | null;
      readonly signal: NodeJS.Signals | null;
    };

export interface Watched<Why> {
  /** It was started and has not exited. */
  readonly running: boolean;
  /** Stops it unless it is being stopped or has exited: only the first reason counts. */
  stop(why: Why): void;
  /** Never rejects. By then its outputs are closed, and nobody of its session lives. */
  readonly ended: Promise<ChildEnd<Why>>;
}

const usualGraceMs = 5000;
const usualLingerMs = 2000;

export function watchChild<Why = never>(request: ChildRequest, options: WatchOptions): Watched<Why> {
  const { signal, graceMs = usualGraceMs, lingerMs = usualLingerMs, system = realSystem } = options;
  const { promise: ended, resolve } = Promise.withResolvers<ChildEnd<Why>>();
  const idle = { running: false, stop: () => {}, ended };
  if (signal?.aborted) {
    resolve({ kind: 'ended', why: 'aborted', status: null, signal: null });
    return idle;
  }
  let child: SpawnedChild;
  try {
    child = system.spawn(request);
  } catch (error) {
    // Too many words, a user that may not be taken on.
    resolve({ kind: 'not-started', error: error as NodeJS.ErrnoException });
    return idle;
  }
  const { pid, output, errors } = child;
  if (pid !== undefined) addGroup(pid);
  const signalAll = (name: NodeJS.Signals) => {
    if (pid !== undefined) signalGroup(pid, name, system.kill, system.proc);
  };

  let why: Why | 'deadline' | 'aborted' | undefined;
  let exited = false;
  let finished = false;
  let status: number | null = null;
  let by: NodeJS.Signals | null = null;
  const stops = new Map<'deadline' | 'kill' | 'linger', () => void>();
  const disarm = (name: 'deadline' | 'kill' | 'linger') => {
    stops.get(name)?.();
    stops.delete(name);
  };
  const ending = () => {
    disarm('deadline');
    signal?.removeEventListener('abort', callOff);
    options.onEnding?.();
  };
  const stop = (because: Why | 'deadline' | 'aborted') => {
    if (why !== undefined || exited || finished) return;
    why = because;
    ending();
    signalAll(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
    if (graceMs > 0)
      stops.set(
        'kill',
        system.after(graceMs, () => signalAll('SIGKILL')),
      );
  };
  const callOff = () => stop('aborted');
  const finish = (end?: ChildEnd<Why>) => {
    if (finished) return;
    finished = true;
    for (const name of [...stops.keys()]) disarm(name);
    // The leader may be gone while an ssh of its group lives on, and with it a remote command.
    signalAll('SIGKILL');
    if (pid !== undefined) removeGroup(pid);
    output.destroy();
    errors?.destroy();
    resolve(end ?? { kind: 'ended', ...(why === undefined ? {} : { why }), status, signal: by });
  };

  output.on('data', (bytes: Buffer) => options.onOutput?.(bytes));
  errors?.on('data', (bytes: Buffer) => options.onErrors?.(bytes));
  // The end of the child tells more.
  for (const stream of [output, errors]) stream?.on('error', () => {});
  if (options.deadlineMs !== undefined)
    stops.set(
      'deadline',
      system.after(options.deadlineMs, () => stop('deadline')),
    );
  signal?.addEventListener('abort', callOff, { once: true });
  child.onError((error) => {
    // Without a pid nothing was started and no exit follows.
    if (pid !== undefined) return;
    ending();
    finish({ kind: 'not-started', error });
  });
  child.onExit((code, name) => {
    exited = true;
    status = code;
    by = name;
    if (why === undefined) ending();
    disarm('kill');
    if (lingerMs === 0) signalAll('SIGKILL');
    stops.set(
      'linger',
      system.after(lingerMs || usualLingerMs, () => finish()),
    );
  });
  child.onClose(() => {
    if (exited) finish();
  });
  return {
    get running() {
      return pid !== undefined && !exited;
    },
    stop,
    ended,
  };
}

/** The real one. */
export const realSystem: ChildSystem = {
  spawn({ program, argv, env, cwd = '/', as, outputs, descriptors = [] }) {
    const options = {
      env: { ...env },
      cwd,
      ...(as === undefined ? {} : { uid: as.uid, gid: as.gid }),
      // Leader of its own session and group: no terminal to ask on, and one signal reaches all.
      detached: true,
    };
    const errors = outputs === 'apart' ? 'pipe' : 'ignore';
    const own = as?.setpriv === undefined ? [] : [as.setpriv, '--no-new-privs', '--'];
    const words = [...own, program, ...argv];
    // A terminal on stdin would turn on `ssh -t` and progress bars.
    const [first = program, ...rest] =
      outputs === 'merged' ? ['/bin/sh', '-c', 'exec "$@" 2>&1', 'sh', ...words] : words;
    const child = nodeSpawn(first, rest, { ...options, stdio: ['ignore', 'pipe', errors, ...descriptors] });
    return {
      pid: child.pid,
      output: child.stdout as Readable,
      errors: (child.stderr as Readable | null) ?? undefined,
      onError: (call) => void child.on('error', call),
      onExit: (call) => void child.on('exit', call),
      onClose: (call) => void child.on('close', call),
    };
  },
  kill: process.kill,
  now: () => performance.now(),
  after,
};
