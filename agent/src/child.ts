// Running other programs: never a shell, each with its own process group and a deadline after which the whole group is ended.
import { type ChildProcess, spawn } from 'node:child_process';

export interface Outcome {
  /** Exit status; undefined when it was ended by a signal, the deadline, or never started. */
  readonly code: number | undefined;
  /** Bounded: the rest is thrown away. */
  readonly stdout: string;
  readonly stderr: string;
  /** Why it did not end by itself: `ENOENT`, `deadline`, a signal's name. */
  readonly why?: string;
}

const living = new Set<ChildProcess>();

/** Signals the group that a detached child leads; a group that is gone is no error. */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // ended already
  }
}

/** Starts a child that leads its own group and is ended with us. */
export function start(argv: readonly string[], env?: NodeJS.ProcessEnv, input?: string): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), {
    detached: true,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...env },
  });
  living.add(child);
  child.once('close', () => living.delete(child));
  child.once('error', () => living.delete(child));
  // One who doesn't read it to its end has ended, and says why otherwise.
  child.stdin?.on('error', () => {}).end(input);
  return child;
}

/** For the agent's own end: no child outlives it. */
export function killAllChildren(): void {
  for (const child of living) killGroup(child, 'SIGKILL');
}

/**
 * Runs a program to its end or to its deadline: then SIGTERM to the group, two seconds later SIGKILL. Never throws.
 * @param argv program and arguments
 * @param input for its standard input; absent: it has none
 */
export function run(
  argv: readonly string[],
  {
    deadlineMs,
    most = 1 << 20,
    env,
    input,
  }: { deadlineMs: number; most?: number; env?: NodeJS.ProcessEnv; input?: string },
): Promise<Outcome> {
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    let why: string | undefined;
    let done = false;
    const child = start(argv, env, input);
    const finish = (code: number | undefined): void => {
      if (done) return;
      done = true;
      clearTimeout(term);
      clearTimeout(kill);
      clearTimeout(leave);
      resolve({ code, stdout, stderr, ...(why === undefined ? {} : { why }) });
    };
    const term = setTimeout(() => {
      why = 'deadline';
      killGroup(child, 'SIGTERM');
    }, deadlineMs);
    const kill = setTimeout(() => killGroup(child, 'SIGKILL'), deadlineMs + 2000);
    // A process stuck in the kernel survives SIGKILL; nobody waits for it.
    const leave = setTimeout(() => finish(undefined), deadlineMs + 3000);
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      if (stdout.length < most) stdout += chunk;
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      if (stderr.length < 8192) stderr += chunk;
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      why = error.code ?? 'error';
      finish(undefined);
    });
    child.once('close', (code, signal) => {
      if (signal && !why) why = signal;
      finish(why === 'deadline' ? undefined : (code ?? undefined));
    });
  });
}
