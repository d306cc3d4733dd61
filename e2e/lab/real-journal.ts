// A real journald in a mount namespace of its own (`unshare --mount node real-journal.ts LINES`), flooded, and followed by the agent's code while
// its journalctl is killed. Prints what came, as one JSON object.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { killAllChildren } from '../../agent/src/child.ts';
import { realClock } from '../../agent/src/host.ts';
import { followJournal } from '../../agent/src/journal.ts';
import { LogQueue } from '../../agent/src/log-queue.ts';
import { patienceMs, until } from './patience.ts';

export interface RealJournal {
  /** Of the flood. */
  readonly lines: number;
  readonly inOrder: boolean;
  readonly dropped: number;
  readonly kills: number;
  readonly seconds: number;
  readonly rssMib: number;
  readonly most: number;
  /** Of the odd lines: what each was read as, cut short, and its length. Each program's in its order; one after the other is not said. */
  readonly odd: readonly (readonly [text: string, length: number])[];
}

const bytes = (...parts: (string | number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

function startJournald(): ChildProcess {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync('/run/systemd/journald.conf.d', { recursive: true });
  mkdirSync('/run/log/journal', { recursive: true });
  // Otherwise it keeps 10,000 lines of a program in 30 s, and says so itself.
  writeFileSync(
    '/run/systemd/journald.conf.d/lab.conf',
    '[Journal]\nRateLimitIntervalSec=0\nStorage=volatile\nReadKMsg=no\n',
  );
  if (!existsSync('/etc/machine-id') || readFileSync('/etc/machine-id', 'utf8').trim() === '') {
    writeFileSync('/run/machine-id', `${'7'.repeat(32)}\n`);
    execFileSync('mount', ['--bind', '/run/machine-id', '/etc/machine-id']);
  }
  return spawn('/lib/systemd/systemd-journald', { stdio: 'ignore' });
}

/** Its socket's file is there before it listens. */
const listens = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

function journalctlPids(): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, comm, parent] = /^\d+ \((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
      return comm === 'journalctl' && Number(parent) === process.pid ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function main(count: number): Promise<RealJournal> {
  const journald = startJournald();
  try {
    await until('journald', () => listens('/run/systemd/journal/stdout'));
    const say = (input: Buffer, ...options: string[]) =>
      spawnSync('systemd-cat', ['-t', 'odd', ...options], { input, timeout: patienceMs });
    say(bytes('colour \u001b[31mred\u001b[0m\n', 'broken ', [0xff, 0xfe], ' utf-8\n', 'tab\there\u0007\n'));
    say(bytes(`long ${'x'.repeat(1 << 20)}\n`));
    say(bytes('worse\n'), '-p', 'err');

    const queue = new LogQueue({ stream: 1n });
    const stop = new AbortController();
    const followed = followJournal({ sink: queue, clock: realClock, signal: stop.signal, ownPid: process.pid });
    // It reads the last 5000 lines of before: so it is there before the flood.
    let flood: ChildProcess | undefined;
    const begin = () => {
      flood ??= spawn('sh', ['-c', `seq -f 'flood %.0f' ${count} | systemd-cat -t flood`], { stdio: 'ignore' });
    };
    const odd: [string, number][] = [];
    let lines = 0;
    let inOrder = true;
    let kills = 0;
    let most = 0;
    const began = performance.now();
    while (lines < count && performance.now() - began < 300_000) {
      most = Math.max(most, queue.length);
      const batch = queue.take({ ticks: realClock.ticks(), unixMs: Date.now() });
      if (batch === undefined) {
        await wait(1);
        continue;
      }
      for (const { source, text, severity } of batch.lines) {
        if (source === 'odd') {
          odd.push([`${severity} ${text.slice(0, 40)}`, text.length]);
          begin();
        }
        if (source !== 'flood') continue;
        lines += 1;
        inOrder &&= text === `flood ${lines}`;
        if (lines !== Math.floor(count / 3) && lines !== Math.floor((2 * count) / 3)) continue;
        for (const pid of journalctlPids()) {
          process.kill(pid, 'SIGKILL');
          kills += 1;
        }
      }
      queue.acknowledge(1n, batch.first + BigInt(batch.lines.length));
    }
    const seconds = (performance.now() - began) / 1000;
    stop.abort();
    await followed;
    flood?.kill('SIGKILL');
    return {
      lines,
      inOrder,
      dropped: queue.dropped,
      kills,
      seconds,
      rssMib: process.memoryUsage.rss() >> 20,
      most,
      odd,
    };
  } finally {
    killAllChildren();
    journald.kill('SIGKILL');
  }
}

if (import.meta.main) console.log(JSON.stringify(await main(Number(process.argv[2] ?? 100_000))));
