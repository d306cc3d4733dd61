// Runs one phase: a child in its own process group, watched line by line, ended by us when it can't come to an end by itself.
// node:child_process and not a wrapper around it: what counts here is the group. A wrapper's kill reaches the direct child alone, and waiting for
// it hangs as long as any grandchild holds the output. stdout and stderr go into one pipe (`2>&1` by sh, which then becomes the child), because
// two pipes lose the order of lines.
import { spawn as nodeSpawn } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { type ChildEnd, type FailureCause, watchCause } from './cause.ts';
import { addGroup, type GroupKill, removeGroup, signalGroup } from './groups.ts';
import { splitLines } from './lines.ts';
import type { Master } from './master.ts';
import { type PhasePlan, type Step, stepLimitMs } from './plan.ts';
import { type PhaseEvent, readProgress } from './progress.ts';

/** Last lines kept for the report of a failure. */
export const tailLines = 60;

export interface RunOptions {
  readonly plan: PhasePlan;
  /** For the sentences of a failure. */
  readonly address: string;
  /** store path → narSize in bytes, of the closure that this phase copies; makes progress by bytes and longer patience possible. */
  readonly sizes?: ReadonlyMap<string, number>;
  /** Ends the phase with cause `canceled`. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PhaseEvent) => void;
  /** Open here, and 3, 4, … in the child. */
  readonly descriptors?: readonly number[];
  /** The login that its ssh share, if there is one. */
  readonly login?: Pick<Master, 'lost'>;
  readonly system?: RunSystem;
}

export type PhaseResult =
  | {
      readonly ok: true;
      readonly seconds: number;
      /**
       * What status 0 shows. After `reboot` only that the machine stopped answering: a cut link looks the same, so the installed system has to be
       * seen and proved before anybody calls it installed.
       */
      readonly shows: 'finished' | 'went-away';
      readonly tail: readonly string[];
    }
  | {
      readonly ok: false;
      readonly cause: FailureCause;
      readonly sentence: string;
      /** Where it was. */
      readonly step: Step;
      readonly seconds: number;
      /** Absent when it was ended by a signal or never started. */
      readonly status?: number;
      readonly tail: readonly string[];
    };

/** Child, clock and timers, for tests. */
export interface RunSystem {
  spawn(
    program: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    descriptors?: readonly number[],
    as?: PhasePlan['as'],
  ): RunChild;
  kill: GroupKill;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Returns what stops it. */
  after(ms: number, call: () => void): () => void;
  /** Where the processes of a session are looked for; absent: /proc. */
  readonly proc?: string;
}

export interface RunChild {
  readonly pid: number | undefined;
  readonly output: Readable;
  onError(call: (error: Error) => void): void;
  onExit(call: (status: number | null, signal: NodeJS.Signals | null) => void): void;
  /** After the exit and after the last holder of the output has gone. */
  onClose(call: () => void): void;
}

/** A grandchild that holds the output longer than this after the child's end is not waited for. */
const lingerMs = 2000;

/** Runs the phase to its end, whatever the end is; never throws for what the child does. */
export async function runPhase(options: RunOptions): Promise<PhaseResult> {
  const { plan } = options;
  await mkdir(plan.tmp, { recursive: true, mode: 0o700 });
  try {
    return await watchPhase(options, options.system ?? realSystem);
  } finally {
    // A killed child leaves a copy of the private key there.
    await rm(plan.tmp, { recursive: true, force: true });
  }
}

/** The phase without its folder, which must be there. */
export function watchPhase(options: RunOptions, system: RunSystem): Promise<PhaseResult> {
  const { plan, signal, onEvent } = options;
  const { patience } = plan;
  const began = system.now();
  const progress = readProgress(options.sizes);
  const cause = watchCause(plan.host, options.address, plan.phase);
  const tail: string[] = [];
  const secondsNow = () => (system.now() - began) / 1000;

  return new Promise((resolve) => {
    /** Set once, by the first that ends it. */
    let end: ChildEnd | undefined;
    let exited = false;
    let status: number | null = null;
    const stops = new Map<'step' | 'quiet' | 'kill' | 'linger', () => void>();
    const arm = (name: 'step' | 'quiet' | 'kill' | 'linger', ms: number, call: () => void) => {
      stops.get(name)?.();
      stops.set(name, system.after(ms, call));
    };
    const disarm = (name: 'step' | 'quiet' | 'kill' | 'linger') => {
      stops.get(name)?.();
      stops.delete(name);
    };

    const failed = (why: ChildEnd): PhaseResult => ({
      ok: false,
      ...cause.explain(why),
      step: progress.step,
      seconds: secondsNow(),
      ...(status === null ? {} : { status }),
      tail,
    });
    if (signal?.aborted) return resolve(failed({ kind: 'canceled', step: 'start' }));

    const child = system.spawn(plan.program, plan.argv, plan.env, options.descriptors, plan.as);
    const { pid } = child;
    if (pid !== undefined) addGroup(pid);

    let finished = false;
    const finish = () => {
      if (finished) return;
      finished = true;
      for (const stop of stops.values()) stop();
      signal?.removeEventListener('abort', cancel);
      if (pid !== undefined) {
        // The leader may be gone while an ssh of its group lives on, and with it the remote command.
        signalGroup(pid, 'SIGKILL', system.kill, system.proc);
        removeGroup(pid);
      }
      child.output.destroy();
      lines.end();
      const lost = options.login?.lost();
      if (lost !== undefined) cause.lost(lost);
      const why = end ?? { kind: 'status', status: status ?? 1, step: progress.step };
      if (why.kind === 'status' && why.status === 0 && progress.step === 'done') {
        resolve({ ok: true, seconds: secondsNow(), shows: plan.phase === 'reboot' ? 'went-away' : 'finished', tail });
      } else resolve(failed(why));
    };
    /** The polite signal to the whole group, and a little later the last one. */
    const stop = (why: ChildEnd) => {
      if (end !== undefined || exited) return;
      end = why;
      disarm('step');
      disarm('quiet');
      if (pid === undefined) return;
      signalGroup(pid, 'SIGTERM', system.kill, system.proc);
      arm('kill', patience.graceMs, () => signalGroup(pid, 'SIGKILL', system.kill, system.proc));
    };
    const cancel = () => stop({ kind: 'canceled', step: progress.step });
    signal?.addEventListener('abort', cancel, { once: true });

    const watchStep = (step: Step) => {
      const limitMs = stepLimitMs(patience, step, progress.copy.totalBytes);
      arm('step', limitMs, () => stop({ kind: 'deadline', limitMs, step }));
    };
    const watchQuiet = (step: Step) => {
      if (step !== 'copy' && step !== 'upload') return disarm('quiet');
      // nix says one line a path, at its start: a large path is silent for as long as it takes.
      const limitMs = patience.quietCopyMs + (progress.copy.pathBytes / patience.copyBytesPerSecond) * 1000;
      arm('quiet', limitMs, () => stop({ kind: 'silent', limitMs, step }));
    };
    const lines = splitLines((text) => {
      const before = progress.step;
      for (const event of progress.read(text, system.now() - began)) onEvent?.(event);
      tail.push(text);
      if (tail.length > tailLines) tail.shift();
      if (end !== undefined) return;
      const certain = cause.read(text, progress.step);
      if (certain !== undefined) return stop({ kind: 'certain', cause: certain, step: progress.step });
      if (exited) return;
      if (progress.step !== before) watchStep(progress.step);
      watchQuiet(progress.step);
    });

    watchStep('start');
    child.output.on('data', (bytes: Buffer) => lines.push(bytes));
    child.output.on('error', () => {}); // The end of the child tells more.
    child.onError((error) => {
      if (pid !== undefined) return;
      end = { kind: 'not-started', message: error.message };
      finish();
    });
    child.onExit((code, by) => {
      exited = true;
      status = code;
      disarm('step');
      disarm('quiet');
      disarm('kill');
      if (end === undefined && by !== null) end = { kind: 'signal', signal: by, step: progress.step };
      arm('linger', lingerMs, finish);
    });
    child.onClose(() => {
      if (exited) finish();
    });
  });
}

/** The real one. */
export const realSystem: RunSystem = {
  spawn(program, argv, env, descriptors = [], as) {
    const child = nodeSpawn('/bin/sh', ['-c', 'exec "$@" 2>&1', 'sh', program, ...argv], {
      env: { ...env },
      cwd: '/',
      // The supplementary groups are dropped with them.
      ...(as === undefined ? {} : { uid: as.uid, gid: as.gid }),
      // Leader of its own session and group: no terminal to ask on, and one signal reaches all.
      detached: true,
      // A terminal on stdin would turn on `ssh -t` and progress bars.
      stdio: ['ignore', 'pipe', 'ignore', ...descriptors],
    });
    return {
      pid: child.pid,
      output: child.stdout as Readable,
      onError: (call) => void child.on('error', call),
      onExit: (call) => void child.on('exit', call),
      onClose: (call) => void child.on('close', call),
    };
  },
  kill: process.kill,
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};
