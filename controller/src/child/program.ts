// Runs a small program (ssh, ssh-keyscan, ssh-keygen) and gives what it said; it and what it started end at a deadline.
import { watchChild } from './child.ts';
import type { ChildUser } from './identity.ts';

/** Runs a program to its end, its group killed at the deadline. Rejects only when it can't be started. */
export type Runner = (
  program: string,
  argv: readonly string[],
  limits: {
    readonly deadlineMs: number;
    readonly env: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    /** Absent: as ourselves. */
    readonly as?: ChildUser;
  },
) => Promise<{
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}>;

/** Characters kept of each output. */
const keptLength = 64 * 1024;

/** The real one: own group, no terminal, no input. */
export const runProgram: Runner = async (program, argv, { deadlineMs, env, signal, as }) => {
  const texts = { stdout: keptText(), stderr: keptText() };
  const end = await watchChild(
    { program, argv, env, outputs: 'apart', ...(as === undefined ? {} : { as }) },
    {
      deadlineMs,
      signal,
      graceMs: 0,
      lingerMs: 0,
      onOutput: texts.stdout.push,
      onErrors: texts.stderr.push,
    },
  ).ended;
  if (end.kind === 'not-started') throw new Error(`run ${program}: ${end.error.message}`, { cause: end.error });
  return {
    status: end.status,
    stdout: texts.stdout.text(),
    stderr: texts.stderr.text(),
    timedOut: end.why === 'deadline',
  };
};

function keptText() {
  const decoder = new TextDecoder();
  let text = '';
  return {
    push: (bytes: Buffer) => {
      if (text.length < keptLength) text += decoder.decode(bytes, { stream: true });
    },
    text: () => text,
  };
}
