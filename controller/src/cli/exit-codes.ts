// The exit status of every command: what each number means, and which error becomes which. Scripts depend on them; they never change.
import type { End, Stage } from '../machine/stage.ts';

export const exitCodes = {
  /** Every host is proved installed, or is skipped because it is proved to run its system. */
  done: 0,
  /** Some host failed or was refused; the others were finished. Also: an error that is none of the others'. */
  failed: 1,
  /** Usage or configuration; nothing was started. */
  usage: 2,
  /** This machine can't serve: a port or the state folder is taken, no such interface, not root, a program or boot loader is missing. */
  unable: 3,
  /** Nothing failed, but some hosts were left alone because they answer and can't be proved, or installed without proof. */
  unproved: 4,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** For `--help`. */
export const exitCodeHelp: readonly (readonly [ExitCode, string])[] = [
  [exitCodes.done, 'every host is proved to run its system'],
  [exitCodes.failed, 'some host failed or was refused; the others were finished'],
  [exitCodes.usage, 'usage or configuration error, nothing was started'],
  [exitCodes.unable, 'this machine can not serve: port, interface, rights, program or boot loader'],
  [exitCodes.unproved, 'nothing failed, but some hosts were left alone or installed without proof of their system'],
  [exitCodes.hungUp, 'ended by SIGHUP, which a service takes for: read the hosts file again'],
  [exitCodes.interrupted, 'ended by SIGINT'],
  [exitCodes.terminated, 'ended by SIGTERM'],
];

/** By the name of the error's class: the classes are spread over folders that don't know of exit codes. */
const byName: Readonly<Record<string, ExitCode>> = {
  ConfigError: exitCodes.usage,
  UsageError: exitCodes.usage,
  Unusable: exitCodes.usage,
  // The flake as a whole can't be read; a host that can't be built is only that host's failure.
  NixError: exitCodes.usage,
  PortTaken: exitCodes.unable,
  NoSuchInterface: exitCodes.unable,
  NotRoot: exitCodes.unable,
  LoaderMissing: exitCodes.unable,
  ProgramMissing: exitCodes.unable,
  StateTaken: exitCodes.unable,
  Interrupted: exitCodes.interrupted,
};

/** Looks through the causes, too: errors are wrapped with what was being done. */
export function exitCodeOfError(error: unknown): ExitCode {
  for (let [each, depth] = [error, 0]; each instanceof Error && depth < 10; [each, depth] = [each.cause, depth + 1]) {
    const code = byName[each.name];
    if (code !== undefined) return code;
  }
  return exitCodes.failed;
}

const byEnd: Readonly<Record<End, ExitCode>> = {
  proved: exitCodes.done,
  skipped: exitCodes.done,
  unproved: exitCodes.unproved,
  doubtful: exitCodes.unproved,
  refused: exitCodes.failed,
  failed: exitCodes.failed,
};

/** Of a run that came to its end: the worst of its hosts counts. A host without an end is one that failed. */
export function exitCodeOfEnds(ends: Iterable<Stage>): ExitCode {
  const codes = new Set(Array.from(ends, (stage) => byEnd[stage as End] ?? exitCodes.failed));
  if (codes.has(exitCodes.failed)) return exitCodes.failed;
  return codes.has(exitCodes.unproved) ? exitCodes.unproved : exitCodes.done;
}

export type StopSignal = 'SIGHUP' | 'SIGINT' | 'SIGTERM';
export const exitCodeOfSignal: Readonly<Record<StopSignal, ExitCode>> = {
  SIGHUP: exitCodes.hungUp,
  SIGINT: exitCodes.interrupted,
  SIGTERM: exitCodes.terminated,
};
