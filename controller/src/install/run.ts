// Runs one phase: a child that is watched line by line, and ended by us when it can't come to an end by itself.
import { mkdir, rm } from 'node:fs/promises';
import { type ChildSystem, realSystem, watchChild } from '../child/child.ts';
import { splitCleanLines } from '../child/lines.ts';
import { type ChildEnd, type FailureCause, watchCause } from './cause.ts';
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
  readonly system?: ChildSystem;
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
export async function watchPhase(options: RunOptions, system: ChildSystem): Promise<PhaseResult> {
  const { plan, signal, onEvent } = options;
  const { patience } = plan;
  const began = system.now();
  const progress = readProgress(options.sizes);
  const cause = watchCause(plan.host, options.address, plan.phase);
  const tail: string[] = [];
  const secondsNow = () => (system.now() - began) / 1000;

  const failed = (why: ChildEnd, status: number | null = null): PhaseResult => ({
    ok: false,
    ...cause.explain(why),
    step: progress.step,
    seconds: secondsNow(),
    ...(status === null ? {} : { status }),
    tail,
  });
  if (signal?.aborted) return failed({ kind: 'canceled', step: 'start' });

  const stops = new Map<'step' | 'quiet', () => void>();
  const disarm = (name: 'step' | 'quiet') => {
    stops.get(name)?.();
    stops.delete(name);
  };
  const arm = (name: 'step' | 'quiet', ms: number, call: () => void) => {
    disarm(name);
    stops.set(name, system.after(ms, call));
  };
  let ending = false;
  let stopped = false;
  const stop = (why: ChildEnd) => {
    stopped ||= !ending;
    child.stop(why);
  };
  const cancel = () => stop({ kind: 'canceled', step: progress.step });
  const child = watchChild<ChildEnd>(
    {
      program: plan.program,
      argv: plan.argv,
      env: plan.env,
      outputs: 'merged',
      ...(plan.as === undefined ? {} : { as: plan.as }),
      ...(options.descriptors === undefined ? {} : { descriptors: options.descriptors }),
    },
    {
      graceMs: patience.graceMs,
      onOutput: (bytes) => lines.push(bytes),
      onEnding() {
        ending = true;
        disarm('step');
        disarm('quiet');
        signal?.removeEventListener('abort', cancel);
      },
      system,
    },
  );
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
  const lines = splitCleanLines((text) => {
    const before = progress.step;
    for (const event of progress.read(text, system.now() - began)) onEvent?.(event);
    tail.push(text);
    if (tail.length > tailLines) tail.shift();
    if (stopped) return;
    const certain = cause.read(text, progress.step);
    if (certain !== undefined) return stop({ kind: 'certain', cause: certain, step: progress.step });
    if (ending) return;
    if (progress.step !== before) watchStep(progress.step);
    watchQuiet(progress.step);
  });
  signal?.addEventListener('abort', cancel, { once: true });
  watchStep('start');

  const end = await child.ended;
  disarm('step');
  lines.end();
  if (end.kind === 'not-started') return failed({ kind: 'not-started', message: end.error.message });
  const lost = options.login?.lost();
  if (lost !== undefined) cause.lost(lost);
  if (end.why !== undefined && typeof end.why === 'object') return failed(end.why, end.status);
  if (end.signal !== null) return failed({ kind: 'signal', signal: end.signal, step: progress.step });
  const status = end.status ?? 1;
  if (status === 0 && progress.step === 'done')
    return { ok: true, seconds: secondsNow(), shows: plan.phase === 'reboot' ? 'went-away' : 'finished', tail };
  return failed({ kind: 'status', status, step: progress.step }, end.status);
}
