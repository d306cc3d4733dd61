/** One child to its end: own process group, a deadline, output collected. */
import { spawn } from 'node:child_process';

export interface ChildOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** milliseconds until the whole group is killed */
  deadlineMs?: number;
  /** bytes for stdin; nothing without it */
  input?: string;
}

export interface ChildResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs argv; resolves with status and output whatever the status is. Rejects when the program can't be started. */
export function runChild(argv: readonly string[], options: ChildOptions = {}): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => {
      err.push(Buffer.from(`\nkilled after ${options.deadlineMs ?? 600_000} ms`));
      killGroup(child.pid);
    }, options.deadlineMs ?? 600_000);
    child.stdout!.on('data', (part: Buffer) => out.push(part));
    child.stderr!.on('data', (part: Buffer) => err.push(part));
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(new Error(`start ${argv[0]}: ${cause.message}`, { cause }));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 128, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}

/** Like `runChild`, but a status other than 0 is an error that carries the end of stderr. Gives stdout. */
export async function mustRun(what: string, argv: readonly string[], options: ChildOptions = {}): Promise<string> {
  const result = await runChild(argv, options);
  if (result.code !== 0) {
    throw new Error(`${what}: status ${result.code}: ${result.stderr.trim().split('\n').slice(-12).join('\n')}`);
  }
  return result.stdout;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // the group has ended between the timer and here
  }
}
