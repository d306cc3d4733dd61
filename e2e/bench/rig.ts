// What the benchmarks of servers stand on: two namespaces joined by a veth pair, a server in one and its load in the other, the processor time of
// everything that the server started, and a word on how noisy the computer is.
import { accessSync, constants, mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Child, run, start } from '../lab/child.ts';
import { type Need, needNetns } from '../lab/need.ts';
import { memoryFolder, removeLeftovers, runId } from '../lab/net.ts';
import { figureLines, type Measured, median } from './figures.ts';

export const serverAddress = '10.98.0.1';
export const clientAddress = '10.98.0.2';
const deadlineMs = 600_000;

export interface Rig {
  readonly name: string;
  /** In memory. */
  readonly folder: string;
  readonly server: string;
  readonly client: string;
  inside(namespace: string, argv: readonly string[]): string[];
  /** Starts a server in its namespace and counts what it and its children use. */
  serve(argv: readonly string[], options?: { readonly said?: RegExp; readonly input?: boolean }): Promise<Served>;
  /** Runs a load generator of this folder; its last line as JSON. */
  load<T>(file: string, words: readonly string[]): Promise<T>;
  /** The same in two steps: it is ready, and then it is told to go. */
  prepareLoad<T>(file: string, words: readonly string[]): Promise<() => Promise<T>>;
  close(): Promise<void>;
}

export interface Served {
  readonly child: Child;
  /** Seconds of processor time since its start, of all its processes, those that ended as well. */
  cpuSeconds(): number;
  /** Sends a line and resolves with the next line that is an answer to it. */
  ask(line: string): Promise<string>;
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** A control group whose processes' time the kernel adds up, the dead ones' too: files of Linux' cgroup v1 or v2. */
class CpuAccount {
  readonly #folder: string;
  readonly #read: () => number;

  constructor(id: string) {
    const first = ['/sys/fs/cgroup/cpuacct', '/sys/fs/cgroup/cpu,cpuacct'].find(writable);
    this.#folder = join(first ?? '/sys/fs/cgroup', id);
    mkdirSync(this.#folder);
    const file = join(this.#folder, first === undefined ? 'cpu.stat' : 'cpuacct.usage');
    this.#read = () => {
      const text = readFileSync(file, 'utf8');
      return first === undefined ? Number(/^usage_usec (\d+)/m.exec(text)?.[1]) / 1e6 : Number(text) / 1e9;
    };
  }

  wrap(argv: readonly string[]): string[] {
    return ['sh', '-c', `echo $$ > ${this.#folder}/cgroup.procs && exec "$@"`, 'sh', ...argv];
  }

  seconds(): number {
    return this.#read();
  }

  /** What lives still, in whatever process group, as daemons like to. */
  processes(): number[] {
    return readFileSync(join(this.#folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  }

  close(): void {
    try {
      rmdirSync(this.#folder);
    } catch {
      // a process of it is dying still; the empty group stays behind
    }
  }
}

function writable(path: string): boolean {
  try {
    accessSync(join(path, 'cgroup.procs'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export const needCpuAccount: Need = () =>
  ['/sys/fs/cgroup/cpuacct', '/sys/fs/cgroup/cpu,cpuacct', '/sys/fs/cgroup'].some(writable)
    ? undefined
    : 'no control group can be made, and processor time is counted by them';

/** Joined by `join`, which makes a device in each namespace and gives it its address. */
export async function makeRig(
  name: string,
  join_: (rig: Pick<Rig, 'server' | 'client' | 'inside'>) => Promise<() => Promise<void>> = joinByVeth,
): Promise<Rig> {
  await removeLeftovers();
  const id = runId();
  const folder = join(memoryFolder, id);
  const [server, client] = [`${id}-s`, `${id}-c`];
  const inside = (namespace: string, argv: readonly string[]): string[] => [
    ...['setpriv', '--pdeathsig', 'TERM', 'ip', 'netns', 'exec', namespace],
    ...argv,
  ];
  const undo: (() => unknown)[] = [];
  const children = new Set<Served>();
  const close = async (): Promise<void> => {
    await Promise.all([...children].map((served) => served.stop()));
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    mkdirSync(folder, { mode: 0o755 });
    undo.push(() => rmSync(folder, { recursive: true, force: true }));
    for (const namespace of [server, client]) {
      await run(['ip', 'netns', 'add', namespace]);
      undo.push(() => run(['ip', 'netns', 'del', namespace], { accept: true }));
      await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    }
    undo.push(await join_({ server, client, inside }));
  } catch (error) {
    await close();
    throw error;
  }
  const ours = (file: string): string => join(import.meta.dirname, file);
  const rig: Rig = {
    name,
    folder,
    server,
    client,
    inside,
    async serve(argv, { said, input = false } = {}) {
      const account = new CpuAccount(`${id}-${children.size}-${process.hrtime.bigint() % 100000n}`);
      const words: string[] = [];
      let heard: ((line: string) => void) | undefined;
      const first = Promise.withResolvers<void>();
      const child = start(account.wrap(inside(server, argv)), {
        deadlineMs,
        stdin: input ? 'pipe' : 'ignore',
        onLine(line) {
          words.push(line);
          if (words.length > 20) words.shift();
          if (said?.test(line)) first.resolve();
          else heard?.(line);
        },
      });
      const gone = child.exited.then((exit) => {
        throw new Error(`${argv.slice(0, 3).join(' ')} ended (${exit.code ?? exit.signal}):\n${words.join('\n')}`);
      });
      gone.catch(() => {});
      const served: Served = {
        child,
        cpuSeconds: () => account.seconds(),
        ask(line) {
          const answer = new Promise<string>((resolve) => {
            heard = resolve;
          });
          child.write(`${line}\n`);
          return Promise.race([answer, gone]);
        },
        async stop(signal = 'SIGTERM') {
          children.delete(served);
          if (signal === 'SIGKILL') child.signal('SIGKILL');
          await child.stop(2000);
          for (const pid of account.processes()) endProcess(pid);
          account.close();
        },
      };
      children.add(served);
      if (said !== undefined) await Promise.race([first.promise, gone]);
      return served;
    },
    async load<T>(file: string, words: readonly string[]) {
      const { stdout } = await run(inside(client, [process.execPath, ours(file), ...words]), { deadlineMs });
      return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
    },
    async prepareLoad<T>(file: string, words: readonly string[]) {
      const ready = Promise.withResolvers<void>();
      let last = '';
      const errors: string[] = [];
      const child = start(inside(client, [process.execPath, ours(file), ...words, 'wait']), {
        deadlineMs,
        stdin: 'pipe',
        onLine(line, from) {
          if (from === 'err') errors.push(line);
          else if (line === 'ready') ready.resolve();
          else last = line;
        },
      });
      const ended = child.exited.then((exit) => {
        if (exit.code !== 0)
          throw new Error(`${file} ended with ${exit.code ?? exit.signal}: ${errors.slice(0, 8).join('\n')}`);
        return JSON.parse(last) as T;
      });
      ended.catch(() => {});
      await Promise.race([ready.promise, ended]);
      return () => {
        child.write('go\n');
        return ended;
      };
    },
    close,
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void rig.close().finally(() => process.exit(130)));
  return rig;
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone by itself
  }
}

async function joinByVeth({ server, client }: Pick<Rig, 'server' | 'client'>): Promise<() => Promise<void>> {
  await run([
    'ip',
    '-n',
    server,
    'link',
    'add',
    'name',
    'eth0',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    client,
  ]);
  for (const [namespace, address] of [
    [server, serverAddress],
    [client, clientAddress],
  ] as const) {
    await run(['ip', '-n', namespace, 'addr', 'add', `${address}/16`, 'broadcast', '10.98.255.255', 'dev', 'eth0']);
    await run(['ip', '-n', namespace, 'link', 'set', 'eth0', 'up']);
  }
  return async () => {};
}

/** The part of Nixie that is measured, in a process of its own; see serve.ts. */
export const serveNixie = (rig: Rig, role: string, settings: object | string): Promise<Served> => {
  // `@FILE`: it is in there.
  const text = typeof settings === 'string' ? settings : JSON.stringify(settings);
  return rig.serve([process.execPath, join(import.meta.dirname, 'serve.ts'), role, text], {
    said: /^ready/,
    input: true,
  });
};

/** A B C, C B A, and so on. */
export function turns<T>(rounds: number, sides: readonly T[]): T[][] {
  return Array.from({ length: rounds }, (_, round) => (round % 2 === 0 ? [...sides] : [...sides].reverse()));
}

export interface BenchOptions {
  readonly rounds: number;
  readonly json: boolean;
  /** Whole numbers by the name of their option. */
  readonly sizes: Readonly<Record<string, number>>;
}

/** `--rounds`, `--json`, and a whole number for each of `sizes`, which gives their defaults. */
export function benchOptions(sizes: Readonly<Record<string, number>> = {}): BenchOptions {
  const names = { rounds: 6, ...sizes };
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      ...Object.fromEntries(
        Object.entries(names).map(([name, size]) => [name, { type: 'string', default: String(size) }]),
      ),
    } as Record<string, { type: 'string'; default: string } | { type: 'boolean'; default: boolean }>,
  });
  const read = Object.fromEntries(
    Object.keys(names).map((name) => {
      const size = Number(values[name]);
      if (!Number.isInteger(size) || size < 1)
        throw new Error(`--${name}: found ${String(values[name])}, want a whole number from 1`);
      return [name, size];
    }),
  );
  return { rounds: read.rounds!, json: values.json === true, sizes: read };
}

/** Skips with a reason, or measures and prints. */
export async function bench(
  name: string,
  { json, needs = [] }: { readonly json: boolean; readonly needs?: readonly Need[] },
  measure: (say: (line: string) => void) => Promise<readonly Measured[]>,
): Promise<void> {
  const say = (line: string): void => (json ? console.error(line) : console.log(line));
  const missing = [needNetns, needCpuAccount, ...needs].flatMap((need) => need() ?? []);
  if (missing.length > 0) {
    say(`bench ${name}: skipped: ${missing.join('; ')}`);
    return;
  }
  const load = () => loadavg()[0]!.toFixed(1);
  const before = load();
  const measured = await measure(say);
  say(
    `${new Date().toISOString().slice(0, 16)}Z, ${cpus().length} cores, load ${before} before and ${load()} after; Node ${process.version}; peers spread by ${measured
      .filter(({ peerValues }) => peerValues.length > 1)
      .map(
        ({ peerValues }) =>
          `±${Math.round((50 * (Math.max(...peerValues) - Math.min(...peerValues))) / median(peerValues))} %`,
      )
      .join(', ')}`,
  );
  for (const line of figureLines(name, measured, json)) console.log(line);
}
