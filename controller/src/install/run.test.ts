import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import test, { after } from 'node:test';
import type { ChildSystem, SpawnedChild } from '../child/child.ts';
import { type PhasePlan, withPatience } from './plan.ts';
import type { PhaseEvent } from './progress.ts';
import { type PhaseResult, runPhase } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-run-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const pid = 4_194_300; // above what a kernel gives out by default; nothing here signals it for real
const plan = (phase: PhasePlan['phase'] = 'disko'): PhasePlan => ({
  host: 'm1',
  phase,
  program: '/nixos-anywhere',
  argv: [],
  env: {},
  tmp: join(folder, 'tmp'),
  patience: withPatience(),
});

/** A child, a clock and timers that only move when told. */
function fake() {
  const output = new PassThrough();
  const started = Promise.withResolvers<void>();
  const signals: string[] = [];
  const calls: { exit?: Parameters<SpawnedChild['onExit']>[0]; close?: () => void } = {};
  let clock = 0;
  let timers: { at: number; call: () => void }[] = [];
  const system: ChildSystem = {
    spawn() {
      started.resolve();
      return {
        pid,
        output,
        onError: () => {},
        onExit: (call) => {
          calls.exit = call;
        },
        onClose: (call) => {
          calls.close = call;
        },
      };
    },
    kill: (target, signal) => {
      assert.equal(target, -pid);
      signals.push(`${signal}@${clock}`);
    },
    now: () => clock,
    after(ms, call) {
      const timer = { at: clock + ms, call };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
  };
  return {
    system,
    signals,
    started: started.promise,
    say: async (...lines: string[]) => {
      output.write(lines.map((line) => `${line}\n`).join(''));
      await new Promise((resolve) => setImmediate(resolve));
    },
    /** Moves the clock; timers fire in their order. */
    pass(ms: number) {
      const until = clock + ms;
      for (;;) {
        const next = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((each) => each !== next);
        clock = next.at;
        next.call();
      }
      clock = until;
    },
    exit(status: number | null, signal: NodeJS.Signals | null = null, close = true) {
      calls.exit?.(status, signal);
      if (close) calls.close?.();
    },
    waiting: () => timers.length,
  };
}
/** Runs with the fake; `drive` plays the child. */
async function play(
  drive: (child: ReturnType<typeof fake>) => Promise<void>,
  more: { phase?: PhasePlan['phase']; sizes?: Map<string, number>; signal?: AbortSignal } = {},
) {
  const child = fake();
  const events: PhaseEvent[] = [];
  const { phase, ...options } = more;
  const running = runPhase({
    plan: plan(phase),
    address: '10.0.0.7',
    system: child.system,
    onEvent: (event) => events.push(event),
    ...options,
  });
  await child.started;
  await drive(child);
  const result = await running;
  assert.equal(child.waiting(), 0, 'no timer is left');
  return { result, events, signals: child.signals };
}
function failure(result: PhaseResult) {
  assert.ok(!result.ok);
  return result;
}

test('a good phase: events in order, status 0 and Done', async () => {
  const { result, events } = await play(async (child) => {
    await child.say('### Uploading install SSH keys ###', '### Gathering machine facts ###', '### Done! ###');
    child.pass(2500);
    child.exit(0);
  });
  assert.deepEqual(result, {
    ok: true,
    seconds: 2.5,
    shows: 'finished',
    tail: ['### Uploading install SSH keys ###', '### Gathering machine facts ###', '### Done! ###'],
  });
  assert.deepEqual(
    events.map((event) => (event.kind === 'step' ? event.step : event.kind)),
    ['line', 'keys', 'line', 'facts', 'line', 'done'],
  );
});

test('after reboot, status 0 shows only that the machine went away', async () => {
  const { result } = await play(
    async (child) => {
      await child.say('### Done! ###');
      child.exit(0);
    },
    { phase: 'reboot' },
  );
  assert.ok(result.ok && result.shows === 'went-away');
});

test('status 0 without Done is no success', async () => {
  const { result } = await play(async (child) => child.exit(0));
  assert.equal(failure(result).cause, 'broken');
});

test('the status of the remote command comes through', async () => {
  const { result } = await play(async (child) => {
    await child.say('### Formatting hard drive with disko ###', 'bang');
    child.exit(42);
  });
  const { cause, status, step, tail } = failure(result);
  assert.deepEqual({ cause, status, step }, { cause: 'disko-failed', status: 42, step: 'disko' });
  assert.equal(tail.at(-1), 'bang');
});

test('a step that takes too long: TERM, five seconds, KILL', async () => {
  const { result, signals } = await play(async (child) => {
    await child.say('### Formatting hard drive with disko ###');
    child.pass(605_000);
    child.exit(null, 'SIGKILL');
  });
  assert.equal(failure(result).cause, 'too-slow');
  assert.deepEqual(signals.slice(0, 2), ['SIGTERM@600000', 'SIGKILL@605000']);
});

test('each step starts its own deadline', async () => {
  const { result } = await play(async (child) => {
    child.pass(59_000);
    await child.say('### Uploading install SSH keys ###');
    child.pass(59_000);
    await child.say('### Gathering machine facts ###');
    child.pass(59_000);
    await child.say('### Done! ###');
    child.exit(0);
  });
  assert.ok(result.ok);
});

test('a wrong host key ends it at once, not after the deadline', async () => {
  const { result, signals } = await play(async (child) => {
    await child.say('### Uploading install SSH keys ###', '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @');
    child.exit(null, 'SIGTERM');
  });
  assert.equal(failure(result).cause, 'other-machine');
  assert.equal(signals[0], 'SIGTERM@0');
});

test('a silent copy ends, a large path may be silent for longer', async () => {
  const sizes = new Map([['/nix/store/big', 500_000_000]]);
  const start = ['### Uploading the system closure ###', 'copying 1 paths...'];
  const silent = await play(
    async (child) => {
      await child.say(...start);
      child.pass(60_000);
      child.exit(null, 'SIGTERM');
    },
    { sizes },
  );
  assert.equal(failure(silent.result).cause, 'silent');
  const large = await play(
    async (child) => {
      await child.say(...start, "copying path '/nix/store/big' to 'ssh://root@h'...");
      child.pass(159_000); // 60 s and 100 s for its bytes
      await child.say('### Installing NixOS ###', '### Done! ###');
      child.exit(0);
    },
    { sizes },
  );
  assert.ok(large.result.ok);
});

test('cancel', async () => {
  const abort = new AbortController();
  const { result, signals } = await play(
    async (child) => {
      await child.say('### Installing NixOS ###');
      abort.abort();
      child.exit(null, 'SIGTERM');
    },
    { signal: abort.signal },
  );
  assert.equal(failure(result).cause, 'canceled');
  assert.equal(failure(result).step, 'install');
  assert.equal(signals[0], 'SIGTERM@0');
  const before = await runPhase({ plan: plan(), address: '10.0.0.7', signal: abort.signal, system: fake().system });
  assert.equal(failure(before).cause, 'canceled');
});

test('a grandchild that holds the output is killed after two seconds', async () => {
  const { result, signals } = await play(async (child) => {
    await child.say('### Done! ###');
    child.exit(0, null, false);
    child.pass(2000);
  });
  assert.ok(result.ok);
  assert.deepEqual(signals, ['SIGKILL@2000']);
});

test('the tail is bounded', async () => {
  const { result } = await play(async (child) => {
    await child.say(...Array.from({ length: 500 }, (_, index) => `line ${index}`));
    child.exit(1);
  });
  const { tail } = failure(result);
  assert.equal(tail.length, 60);
  assert.equal(tail.at(-1), 'line 499');
});

test('a real child: lines of both outputs in order, no input, its own group, temporary folder removed', async () => {
  const program = join(folder, 'child');
  writeFileSync(
    program,
    '#!/bin/sh\necho one; echo two >&2; cat; echo three; echo "group $(ps -o pgid= -p $$) $$"; touch "$TMPDIR/key"; echo "### Done! ###"\n',
    { mode: 0o755 },
  );
  const { tmp } = plan();
  const env = { PATH: '/usr/bin:/bin', TMPDIR: tmp };
  const result = await runPhase({ plan: { ...plan(), program, env }, address: '10.0.0.7' });
  assert.ok(result.ok);
  assert.deepEqual(result.tail.slice(0, 3), ['one', 'two', 'three']);
  const [, group, leader] = result.tail[3]!.split(/\s+/);
  assert.equal(group, leader);
  assert.ok(!existsSync(tmp));
});

test('a program that is not there', async () => {
  const result = await runPhase({
    plan: { ...plan(), program: '/nowhere/nixos-anywhere' },
    address: '10.0.0.7',
  });
  assert.equal(failure(result).cause, 'not-started');
});
