import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { type ChildSystem, type SpawnedChild, watchChild } from './child.ts';

const request = { program: '/program', argv: [], env: {}, outputs: 'apart' } as const;

/** A child, a clock and timers that only move when told. */
function fake(starts = true) {
  const calls: { exit?: Parameters<SpawnedChild['onExit']>[0]; close?: () => void; error?: (error: Error) => void } =
    {};
  const signals: string[] = [];
  let clock = 0;
  let timers: { at: number; call: () => void }[] = [];
  let spawned = 0;
  const system: ChildSystem = {
    spawn() {
      spawned++;
      return {
        pid: starts ? 4_194_300 : undefined,
        output: new PassThrough(),
        errors: new PassThrough(),
        onError(call) {
          calls.error = call;
        },
        onExit(call) {
          calls.exit = call;
        },
        onClose(call) {
          calls.close = call;
        },
      };
    },
    kill: (_group, signal) => void signals.push(`${signal}@${clock}`),
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
    calls,
    spawned: () => spawned,
    waiting: () => timers.length,
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
  };
}

test('the first reason to stop it counts, and an exit before it', async () => {
  const it = fake();
  const child = watchChild<'first' | 'second'>(request, { system: it.system, deadlineMs: 10 });
  assert.ok(child.running);
  child.stop('first');
  child.stop('second');
  it.pass(100);
  it.calls.exit?.(null, 'SIGTERM');
  assert.ok(!child.running);
  it.calls.close?.();
  assert.deepEqual(await child.ended, { kind: 'ended', why: 'first', status: null, signal: 'SIGTERM' });
  const other = fake();
  const exited = watchChild<'late'>(request, { system: other.system });
  other.calls.exit?.(3, null);
  exited.stop('late');
  other.calls.close?.();
  assert.deepEqual(await exited.ended, { kind: 'ended', status: 3, signal: null });
  assert.deepEqual([it.waiting(), other.waiting()], [0, 0]);
});

test('asked politely, then not; where there is no time for that, at once', async () => {
  const it = fake();
  const child = watchChild(request, { system: it.system, deadlineMs: 1000, graceMs: 50 });
  it.pass(2000);
  assert.deepEqual(it.signals, ['SIGTERM@1000', 'SIGKILL@1050']);
  it.calls.exit?.(null, 'SIGKILL');
  it.calls.close?.();
  assert.equal((await child.ended).kind, 'ended');
  const hasty = fake();
  void watchChild(request, { system: hasty.system, deadlineMs: 1000, graceMs: 0, lingerMs: 0 });
  hasty.pass(1000);
  assert.deepEqual(hasty.signals, ['SIGKILL@1000']);
  hasty.calls.exit?.(null, 'SIGKILL');
  hasty.calls.close?.();
});

test('who holds the outputs after the exit is killed and waited for no longer', async () => {
  for (const [lingerMs, signals] of [
    [30, ['SIGKILL@30']],
    [0, ['SIGKILL@0', 'SIGKILL@2000']],
  ] as const) {
    const it = fake();
    const child = watchChild(request, { system: it.system, lingerMs });
    it.calls.exit?.(0, null);
    it.pass(5000);
    assert.deepEqual(await child.ended, { kind: 'ended', status: 0, signal: null });
    assert.deepEqual(it.signals, signals);
  }
});

test('nothing is started after it was called off; what can’t be started is told, not thrown', async () => {
  const off = fake();
  const late = watchChild(request, { system: off.system, signal: AbortSignal.abort() });
  assert.deepEqual(await late.ended, { kind: 'ended', why: 'aborted', status: null, signal: null });
  assert.equal(off.spawned(), 0);

  const missing = fake(false);
  let endings = 0;
  const child = watchChild(request, { system: missing.system, deadlineMs: 5, onEnding: () => endings++ });
  assert.ok(!child.running);
  missing.calls.error?.(new Error('ENOENT'));
  assert.equal((await child.ended).kind, 'not-started');
  assert.deepEqual([missing.waiting(), missing.signals.length, endings], [0, 0, 1]);

  // More than the kernel takes: Node throws at once.
  const long = watchChild({ ...request, program: '/bin/true', argv: ['x'.repeat(4_000_000)] }, {});
  const end = await long.ended;
  assert.equal(end.kind === 'not-started' && end.error.code, 'E2BIG');
});
