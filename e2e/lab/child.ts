// Children of the lab. Each leads its own process group, has a deadline, and is ended as a group: QEMU behind `timeout` behind `ip netns exec`
// would otherwise outlive the test that wanted it.
import { type StdioOptions, spawn } from 'node:child_process';
import { patienceMs } from './patience.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The child was ended because its deadline passed. */
  readonly late: boolean;
}

export interface StartOptions {
  /** After this many milliseconds the group gets SIGTERM, five seconds later SIGKILL. */
  readonly deadlineMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: 'ignore' | 'pipe' | 'inherit';
  /** `lines`: handed to onLine. `inherit`: the child writes to our own terminal. */
  readonly output?: 'lines' | 'inherit';
  readonly onLine?: (line: string, from: 'out' | 'err') => void;
  /** Raw bytes, before they are cut into lines. */
  readonly onBytes?: (bytes: Buffer, from: 'out' | 'err') => void;
}

export interface Child {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly exited: Promise<Exit>;
  /** Sends a signal to the whole group; false when it is gone. */
  signal(name: NodeJS.Signals): boolean;
  /** SIGTERM, then SIGKILL after `graceMs`; resolves when the child is gone. */
  stop(graceMs?: number): Promise<Exit>;
  write(text: string): void;
  /** Closes the child's standard input. */
  endInput(): void;
}

const alive = new Set<Child>();
process.on('exit', () => {
  for (const child of alive) child.signal('SIGKILL');
});

/** Ends every child that is still there; for signal handlers. */
export async function stopAll(): Promise<void> {
  await Promise.all([...alive].map((child) => child.stop(3000)));
}

/** Cuts a stream of bytes into lines; the rest without a line end is handed out by `end`. */
export function lineCutter(onLine: (line: string) => void): { push(bytes: Buffer): void; end(): void } {
  const decoder = new TextDecoder();
  let rest = '';
  return {
    push(bytes) {
      rest += decoder.decode(bytes, { stream: true });
      const lines = rest.split(/\r*\n/);
      rest = lines.pop() ?? '';
      // Firmware menus draw without line ends; a bound keeps them from growing for ever.
      if (rest.length > 65_536) rest = rest.slice(-4096);
      for (const line of lines) onLine(line);
    },
    end() {
      if (rest !== '') onLine(rest);
      rest = '';
    },
  };
}

/** Starts a program as the leader of its own group. */
export function start(argv: readonly string[], options: StartOptions): Child {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error('start: empty command');
  const output = options.output === 'inherit' ? 'inherit' : 'pipe';
  const stdio: StdioOptions = [options.stdin ?? 'ignore', output, output];
  const handle = spawn(program, args, { stdio, detached: true, cwd: options.cwd, env: options.env ?? process.env });
  const pid = handle.pid ?? -1;
  let late = false;
  let gone = false;

  for (const from of ['out', 'err'] as const) {
    const stream = from === 'out' ? handle.stdout : handle.stderr;
    if (stream === null) continue;
    const cutter = lineCutter((line) => options.onLine?.(line, from));
    stream.on('data', (bytes: Buffer) => {
      options.onBytes?.(bytes, from);
      cutter.push(bytes);
    });
    stream.on('end', () => cutter.end());
    stream.on('error', () => cutter.end());
  }
  handle.stdin?.on('error', () => {}); // the child may end before it has read everything

  const child: Child = {
    pid,
    argv,
    exited: new Promise<Exit>((resolve, reject) => {
      let hardKill: NodeJS.Timeout | undefined;
      const deadline = setTimeout(() => {
        late = true;
        child.signal('SIGTERM');
        hardKill = setTimeout(() => child.signal('SIGKILL'), 5000);
      }, options.deadlineMs);
      const end = (): void => {
        gone = true;
        alive.delete(child);
        clearTimeout(deadline);
        clearTimeout(hardKill);
      };
      handle.once('error', (error) => {
        end();
        reject(new Error(`start ${program}: ${error.message}`, { cause: error }));
      });
      // `close` waits for the pipes too; a grandchild that holds one must not keep us, so `exit` starts a last second for it.
      handle.once('exit', () => {
        setTimeout(() => child.signal('SIGKILL'), 1000).unref();
      });
      handle.once('close', (code, signal) => {
        end();
        resolve({ code, signal, late });
      });
    }),
    signal(name) {
      if (gone || pid <= 0) return false;
      try {
        process.kill(-pid, name);
        return true;
      } catch {
        return false;
      }
    },
    async stop(graceMs = 5000) {
      child.signal('SIGTERM');
      const timer = setTimeout(() => child.signal('SIGKILL'), graceMs);
      try {
        return await child.exited;
      } finally {
        clearTimeout(timer);
      }
    },
    write(text) {
      handle.stdin?.write(text);
    },
    endInput() {
      handle.stdin?.end();
    },
  };
  child.exited.catch(() => {});
  if (pid > 0) alive.add(child);
  return child;
}

export interface Ran extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Throws with its last words when it fails, unless `accept` says that failing is an answer. */
export async function run(
  argv: readonly string[],
  options: Partial<StartOptions> & { input?: string; accept?: boolean } = {},
): Promise<Ran> {
  const text = { out: '', err: '' };
  // A letter of several bytes may come in two pieces.
  const decoders = { out: new TextDecoder(), err: new TextDecoder() };
  const child = start(argv, {
    deadlineMs: 2 * patienceMs,
    ...options,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    onBytes: (bytes, from) => {
      if (text[from].length < 8_000_000) text[from] += decoders[from].decode(bytes, { stream: true });
    },
  });
  if (options.input !== undefined) {
    child.write(options.input);
    child.endInput();
  }
  const exit = await child.exited;
  if (options.accept !== true && exit.code !== 0) {
    const words = (text.err.trim() || text.out.trim()).split('\n').slice(-5).join(' | ');
    throw new Error(
      `${argv.join(' ')}: ${exit.late ? 'took too long' : `ended with ${exit.code ?? exit.signal}`}: ${words}`,
    );
  }
  return { ...exit, stdout: text.out, stderr: text.err };
}
