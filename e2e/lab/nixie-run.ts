// Runs the real `nixie` command inside the lab's server namespace, with the lab's nix store in place of the host's, and reads what it says.
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import { type Child, type Exit, start } from './child.ts';
import type { Network } from './net.ts';

/** Makes a command line see the lab's nix store; `env` goes over the environment. */
export type NixWrap = (argv: readonly string[]) => { argv: readonly string[]; env: Readonly<Record<string, string>> };

export interface NixieOptions {
  readonly nix: NixWrap;
  readonly deadlineMs: number;
  readonly env?: Readonly<Record<string, string>>;
  /** inherit: Nixie writes to our own terminal; `events` stays empty. Default: lines are kept, and events are read from `--json`. */
  readonly output?: 'lines' | 'inherit';
  /** Add nothing to the arguments. */
  readonly plain?: boolean;
  readonly onEvent?: (event: RunEvent) => void;
}

export interface NixieRun {
  /** Of `--json`, in order. */
  readonly events: readonly RunEvent[];
  /** All that it printed. */
  readonly lines: readonly string[];
  readonly exited: Promise<Exit>;
  /** The first event that fits, from the start of the run on. Fails when the run ends without it. */
  waitEvent<T extends RunEvent>(fits: (event: RunEvent) => event is T, timeoutMs: number): Promise<T>;
  waitEvent(fits: (event: RunEvent) => boolean, timeoutMs: number): Promise<RunEvent>;
  /** Its exit status; -1 when it was ended by a signal. */
  status(): Promise<number>;
  signal(name: NodeJS.Signals): void;
  stop(): Promise<void>;
  tail(lines: number): string;
}

const program = fileURLToPath(new URL('../../controller/bin/nixie.js', import.meta.url));
const keep = 50_000;

export function startNixie(net: Network, args: readonly string[], options: NixieOptions): NixieRun {
  const events: RunEvent[] = [];
  const lines: string[] = [];
  const listeners = new Set<(event: RunEvent) => void>();
  // The process is Nixie itself, not its launcher's parent: a signal to the group must reach it once.
  const wrapped = options.nix([process.execPath, program, ...args]);
  const json = args.includes('--json');
  const child: Child = start(net.inside(net.srv, wrapped.argv), {
    deadlineMs: options.deadlineMs,
    env: { ...process.env, ...wrapped.env, ...options.env },
    output: options.output ?? 'lines',
    onLine: (line, from) => {
      if (lines.length < keep) lines.push(line);
      if (!json || from !== 'out' || !line.startsWith('{')) return;
      const event = JSON.parse(line) as RunEvent;
      if (events.length < keep) events.push(event);
      options.onEvent?.(event);
      for (const listener of [...listeners]) listener(event);
    },
  });

  function waitEvent(fits: (event: RunEvent) => boolean, timeoutMs: number): Promise<RunEvent> {
    const there = events.find(fits);
    if (there !== undefined) return Promise.resolve(there);
    return new Promise((resolve, reject) => {
      const done = (act: () => void): void => {
        clearTimeout(timer);
        listeners.delete(listen);
        act();
      };
      const listen = (event: RunEvent): void => {
        if (fits(event)) done(() => resolve(event));
      };
      const fail = (why: string): void => done(() => reject(new Error(`${why}\n${tail(30)}`)));
      const timer = setTimeout(() => fail(`no such event of nixie in ${Math.round(timeoutMs / 1000)} s`), timeoutMs);
      listeners.add(listen);
      const ended = (): void => fail('nixie ended before such an event');
      child.exited.then(ended, ended);
    });
  }
  const tail = (count: number): string =>
    lines
      .slice(-count)
      .map((line) => `  ${line.slice(0, 400)}`)
      .join('\n');

  return {
    events,
    lines,
    exited: child.exited,
    waitEvent: waitEvent as NixieRun['waitEvent'],
    async status() {
      return (await child.exited).code ?? -1;
    },
    signal: (name) => void child.signal(name),
    async stop() {
      await child.stop(10_000).catch(() => {});
    },
    tail,
  };
}
