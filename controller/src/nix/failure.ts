// From a nix call that didn't work to what is told about it.
import { adviceFor, type Cause, causeOf, lastError, plain } from './causes.ts';
import type { NixCall, NixResult } from './command.ts';
import type { NixLog } from './log.ts';
import type { NixFailure } from './types.ts';

/** Thrown when nothing of what was asked for is there. The message is `<verb>: <text>`. */
export class NixError extends Error {
  readonly failure: NixFailure;
  constructor(verb: string, failure: NixFailure) {
    super(`${verb}: ${failure.text}`);
    this.name = 'NixError';
    this.failure = failure;
  }
}

/** Says why a call failed; `otherwise` is the cause when nix's text says nothing that is known. */
export function failureOf(call: NixCall, result: NixResult, log?: NixLog, otherwise: Cause = 'unknown'): NixFailure {
  const printed = log ? log.told() : plain(result.stderr);
  const lines = printed
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('@nix '))
    .slice(-25);
  const early = endings[result.ended]?.(call);
  if (early) return { cause: early.cause, text: early.text, log: lines };
  const cause = causeOf(printed, otherwise);
  const told =
    (log?.errorText() || lastError(printed)).trim() ||
    `${call.program} ended with status ${result.code ?? 'unknown'} and said nothing`;
  return { cause, text: withAdvice(cause, told), log: lines };
}

/** Nix's text, and behind it what can be done. */
export function withAdvice(cause: Cause, text: string): string {
  const advice = adviceFor(cause);
  return advice ? `${text} (${advice})` : text;
}

const endings: Partial<Record<NixResult['ended'], (call: NixCall) => { cause: Cause; text: string }>> = {
  aborted: () => ({ cause: 'aborted', text: 'it was cancelled' }),
  deadline: (call) => ({
    cause: 'deadline',
    text: `${call.program} was ended: it took longer than ${Math.round(call.deadlineMs / 1000)} s`,
  }),
  missing: (call) => ({
    cause: 'missing-program',
    text: `there is no program ${call.program} in PATH: install nix (Debian: the package nix-bin)`,
  }),
  'too-much-output': (call) => ({ cause: 'unknown', text: `${call.program} printed more than can be kept` }),
  signalled: (call) => ({
    cause: 'out-of-memory',
    text: `${call.program} was killed by a signal; that is what the kernel does when memory runs out`,
  }),
};
