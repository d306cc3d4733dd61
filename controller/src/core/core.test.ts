import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import type { Life } from '../machine/life.ts';
import { patience } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { Account } from './account.ts';
import { Core, type CoreWorld, type Task } from './core.ts';

/** A world with a clock that only the test moves. */
function world(
  run: (task: Task, life: Life, signal: AbortSignal) => Promise<void>,
  overdue: CoreWorld['overdue'] = () => undefined,
) {
  let now = 0;
  let wall = 0;
  const alarms = new Set<{ at: number; call: () => void }>();
  const events: RunEvent[] = [];
  const journal: Record<string, unknown>[] = [];
  let changes = 0;
  const core = new Core(
    {
      now: () => now + wall,
      ticks: () => now,
      after(milliseconds, call) {
        const alarm = { at: now + milliseconds, call };
        alarms.add(alarm);
        return () => alarms.delete(alarm);
      },
      journal: { write: (entry) => journal.push(entry), close() {} },
      emit: (event) => events.push(event),
      run,
      overdue: (host, since) => overdue(host, since),
      changed: () => {
        changes++;
      },
    },
    patience,
  );
  core.add('m1');
  return {
    core,
    events,
    journal,
    changes: () => changes,
    setClock(milliseconds: number) {
      wall = milliseconds;
    },
    pass(milliseconds: number) {
      now += milliseconds;
      for (const alarm of [...alarms].sort((a, b) => a.at - b.at))
        if (alarm.at <= now && alarms.delete(alarm)) alarm.call();
    },
  };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const register = (bootId: string) =>
  ({
    kind: 'agent-registered',
    mac: '52:54:00:00:00:01' as Mac,
    address: '10.0.0.9',
    sshHostKey: 'k',
    bootId,
  }) as const;

test('a stage starts its task once and ends it when the machine moves on', async () => {
  const started: Task[] = [];
  const ended: Task[] = [];
  const { core } = world(async (task, _life, signal) => {
    started.push(task);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    ended.push(task);
  });
  core.happened('m1', { kind: 'begin' });
  await turn();
  core.happened('m1', { kind: 'found-nobody' });
  await turn();
  core.happened('m1', { kind: 'firmware-asked' });
  core.happened('m1', register('b1'));
  core.happened('m1', { kind: 'inspecting' });
  await turn();
  assert.deepEqual(started, ['probe', 'wake', 'preflight']);
  assert.deepEqual(ended, ['probe', 'wake']);
});

test('another boot of the same machine starts the task of that stage anew', async () => {
  const started: string[] = [];
  const { core } = world(async (task, life, signal) => {
    started.push(`${task} ${life.bootId ?? ''}`);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  });
  for (const kind of ['begin', 'found-nobody'] as const) core.happened('m1', { kind });
  core.happened('m1', register('b1'));
  await turn();
  core.happened('m1', register('b2'));
  await turn();
  assert.deepEqual(started.slice(-2), ['preflight b1', 'preflight b2']);
});

test('a throw in a task is the reason of the failure', async () => {
  const { core } = world(async (task) => {
    if (task === 'probe') throw new Error('no such interface');
  });
  core.happened('m1', { kind: 'begin' });
  await turn();
  assert.equal(core.life('m1')?.stage, 'failed');
  assert.equal(core.life('m1')?.reason, 'probe: no such interface');
  assert.equal(core.ended, true);
});

test('patience ends every stage, also when its task never does', async () => {
  const { core, pass, events } = world(() => new Promise(() => {}));
  core.happened('m1', { kind: 'begin' });
  pass(patience.probing * 1000 - 1);
  assert.equal(core.life('m1')?.stage, 'probing');
  pass(1);
  assert.equal(core.life('m1')?.stage, 'failed');
  assert.equal(events.filter((event) => event.event === 'stage').length, 2);
});

test('a machine whose way to us was lost is waited for once more, or given up for that reason', () => {
  let way: ReturnType<NonNullable<CoreWorld['overdue']>> = 'wait';
  const since: number[] = [];
  const { core, pass } = world(
    () => new Promise(() => {}),
    (_host, at) => {
      since.push(at);
      return way;
    },
  );
  core.happened('m1', { kind: 'begin' });
  pass(patience.probing * 1000);
  assert.equal(core.life('m1')?.stage, 'probing');
  way = { reason: 'its relay is gone' };
  pass(patience.probing * 1000);
  assert.deepEqual([core.life('m1')?.stage, core.life('m1')?.reason], ['failed', 'its relay is gone']);
  assert.deepEqual(since, [0, patience.probing * 1000]);
});

test('a doubled message is said in the log and changes nothing', async () => {
  const { core, events, journal } = world(async () => {});
  core.happened('m1', { kind: 'begin' });
  const lines = journal.length;
  const result = core.happened('m1', { kind: 'begin' });
  assert.equal(result.moved, false);
  assert.equal(journal.length, lines);
  assert.equal(events.at(-1)?.event, 'log');
});

test('after close nothing moves and tasks are told to end', async () => {
  let aborted = false;
  const { core } = world(
    (_task, _life, signal) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve();
        }),
      ),
  );
  core.happened('m1', { kind: 'begin' });
  await turn();
  await core.close(1000);
  assert.equal(aborted, true);
  assert.equal(core.happened('m1', { kind: 'found-nobody' }).moved, false);
});

test('however the clock is set, what was spent in a stage is what has passed', () => {
  const { core, events, pass, setClock } = world(async () => {});
  const day = 86_400_000;
  core.happened('m1', { kind: 'begin' });
  for (const [clock, kind] of [
    [-400 * day, 'found-nobody'],
    [400 * day, 'firmware-asked'],
    [-day, 'script-fetched'],
  ] as const) {
    pass(5000);
    setClock(clock);
    core.happened('m1', { kind });
  }
  const { spent, since } = core.life('m1')!;
  assert.deepEqual(spent, { planned: 0, probing: 5000, waking: 5000, firmware: 5000 });
  assert.equal(since, 15_000);
  const written = events.flatMap((event) => (event.event === 'stage' ? [Date.parse(event.at)] : []));
  assert.deepEqual(written, [0, -400 * day + 5000, 400 * day + 10_000, -day + 15_000]);
});

test('status tells since when a stage lasts by the clock of now', () => {
  const { core, pass, setClock } = world(async () => {});
  const day = 86_400_000;
  let wall = 0;
  let ticks = 0;
  const account = new Account({
    hosts: { all: () => [], named: () => ({ name: 'm1', macs: [] }) as unknown as Host },
    life: (host) => core.life(host),
    toplevel: () => undefined,
    agentConnected: () => false,
    show() {},
    proved() {},
    now: () => wall,
    ticks: () => ticks,
  });
  core.happened('m1', { kind: 'begin' });
  pass(4000);
  setClock(day);
  [wall, ticks] = [day + 4000, 4000];
  assert.equal(account.machine('m1')?.stageSinceUnixMs, BigInt(day));
});

test('a broken world outside does not keep a machine from moving on', async () => {
  const started: Task[] = [];
  let changes = 0;
  const core = new Core(
    {
      now: () => 0,
      ticks: () => 0,
      after: () => () => {},
      journal: {
        write() {
          throw new Error('no space left on device');
        },
        close() {},
      },
      emit() {
        throw new Error('the terminal is gone');
      },
      run: async (task) => void started.push(task),
      changed: () => {
        changes++;
      },
    },
    patience,
  );
  core.add('m1');
  assert.equal(core.happened('m1', { kind: 'begin' }).moved, true);
  await turn();
  assert.deepEqual(started, ['probe']);
  assert.equal(changes, 1);
});

test('a task waits for the last one of its machine, also over a stage that has none', async () => {
  const story: string[] = [];
  let letGo = () => {};
  const { core } = world(async (task, _life, signal) => {
    story.push(`${task} begins`);
    if (task === 'wake') await new Promise<void>((resolve) => (letGo = resolve));
    else if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    story.push(`${task} ends`);
  });
  for (const kind of ['begin', 'found-nobody'] as const) core.happened('m1', { kind });
  await turn();
  core.happened('m1', { kind: 'firmware-asked' });
  core.happened('m1', register('b1'));
  await turn();
  assert.equal(story.includes('preflight begins'), false);
  letGo();
  await turn();
  assert.deepEqual(story.slice(-2), ['wake ends', 'preflight begins']);
});

test('while a machine waits for its turn its patience does not run out', () => {
  const { core, pass } = world(() => new Promise(() => {}));
  core.happened('m1', { kind: 'begin' });
  const release = core.hold('m1');
  pass(patience.probing * 10_000);
  assert.equal(core.life('m1')?.stage, 'probing');
  release();
  pass(patience.probing * 1000 - 1);
  assert.equal(core.life('m1')?.stage, 'probing');
  pass(1);
  assert.equal(core.life('m1')?.stage, 'failed');
  release();
  pass(1e9);
  assert.equal(core.life('m1')?.stage, 'failed');
});
