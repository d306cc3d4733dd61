// Runs a small program (ssh, ssh-keyscan) and gives what it said; it and what it started end at a deadline.
import { spawn } from 'node:child_process';
import { addGroup, removeGroup, signalGroup } from './groups.ts';

/** Runs a program to its end, its group killed at the deadline. Rejects only when it can't be started. */
export type Runner = (
  program: string,
  argv: readonly string[],
  limits: {
    readonly deadlineMs: number;
    readonly env: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
  },
) => Promise<{
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}>;

/** Bytes kept of each output. */
const keptBytes = 64 * 1024;

/** The real one: own group, no terminal, no input. */
export const runProgram: Runner = (program, argv, { deadlineMs, env, signal }) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, [...argv], {
      env: { ...env },
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { pid } = child;
    let timedOut = false;
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      child[name].on('data', (text: string) => {
        if (output[name].length < keptBytes) output[name] += text;
      });
    }
    const end = () => {
      if (pid !== undefined) signalGroup(pid, 'SIGKILL');
    };
    const timer = setTimeout(() => {
      timedOut = true;
      end();
    }, deadlineMs);
    signal?.addEventListener('abort', end, { once: true });
    const leave = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      if (pid !== undefined) removeGroup(pid);
    };
    if (pid !== undefined) addGroup(pid);
    if (signal?.aborted) end();
    child.on('error', (error) => {
      leave();
      reject(new Error(`run ${program}: ${error.message}`, { cause: error }));
    });
    child.on('exit', end);
    child.on('close', (status) => {
      leave();
      resolve({ status, ...output, timedOut });
    });
  });
