import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import { newLife } from '../machine/life.ts';
import type { Task } from './core.ts';
import { byRelay, cut, LinkCut, type RelayWay, sshWay } from './relay-way.ts';
import type { Plan, TaskWorld } from './task-world.ts';

function lab(given: { relay?: string; cut?: boolean; reset?: boolean } = { relay: 'rack7' }) {
  const events: RunEvent[] = [];
  const asked: string[] = [];
  const times: number[] = [];
  const state = { cut: given.cut ?? false, waits: 0 };
  const relays: RelayWay = {
    whenUp: async () => void state.waits++,
    cutSince: () => state.cut,
    isSilent: () => false,
    ticks: () => 1,
    sshOptions: (relay) => [`ProxyCommand=x ${relay}`],
  };
  const world = {
    relays,
    now: () => 0,
    emit: (event: RunEvent) => events.push(event),
    agents: {
      instruct: async (_host: string, action: { $case: string }, deadlineMs: number) => {
        asked.push(action.$case);
        times.push(deadlineMs);
        return { ok: given.reset ?? true, error: 'busy' };
      },
    },
  } as unknown as TaskWorld;
  const plan = { host: { name: 'm1', ...(given.relay && { relay: given.relay }) } } as unknown as Plan;
  const stop = new AbortController();
  const run = (task: Task, call: () => Promise<void>) =>
    byRelay(world, task, plan, newLife('m1', 0), stop.signal, call);
  return { world, plan, run, events, asked, times, state, stop };
}

/** Fails so often, each time while the link was cut. */
const failing = (times: number, error: () => Error) => {
  let left = times;
  const call = async () => {
    if (left-- > 0) throw error();
  };
  return { call, left: () => left };
};

test('what fails while the link is cut is begun again when it is back, and told', async () => {
  const { run, events, asked, state } = lab({ relay: 'rack7', cut: true });
  await run('preflight', failing(2, () => new Error('no answer')).call);
  assert.equal(state.waits, 3);
  assert.deepEqual(asked, []);
  assert.equal(events.filter(({ event }) => event === 'notice').length, 2);
});

test('what a lost login left at work is ended before a task that writes begins again; what is mounted for the copy stays mounted', async () => {
  for (const [task, first] of [
    ['disko', 'resetDisks'],
    ['install', 'abort'],
  ] as const) {
    const { run, asked } = lab();
    await run(task, failing(1, () => new LinkCut('lost')).call);
    assert.deepEqual(asked, [first]);
  }
});

test('the agent has time to come back after the link did', async () => {
  const { run, times } = lab();
  await run('install', failing(1, () => new LinkCut('lost')).call);
  // It tries again once a minute at most.
  assert.ok(times.every((deadlineMs) => deadlineMs >= 120_000));
});

test('what fails with a whole link has failed', async () => {
  const { run, state } = lab();
  await assert.rejects(run('preflight', failing(1, () => new Error('no disks')).call), /no disks/);
  assert.equal(state.waits, 1);
});

test('a link that comes and goes for ever ends it', async () => {
  const { run, state } = lab({ relay: 'rack7', cut: true });
  await assert.rejects(
    run('preflight', failing(1000, () => new Error('lost')).call),
    /link of relay rack7 was lost each of the 20 times that this was begun: lost/,
  );
  assert.equal(state.waits, 20);
});

test('called off it ends without a word', async () => {
  const { run, events, stop } = lab({ relay: 'rack7', cut: true });
  await run('preflight', async () => {
    stop.abort();
    throw new Error('called off');
  });
  assert.deepEqual(events, []);
});

test('hosts on our own networks, and the last word to one, wait for nobody', async () => {
  const own = lab({ cut: true });
  await assert.rejects(own.run('preflight', failing(1, () => new Error('x')).call), /x/);
  assert.deepEqual(
    [own.state.waits, sshWay(own.world, own.plan.host), cut(own.world, own.plan.host, 0)],
    [0, {}, false],
  );
  const behind = lab({ relay: 'rack7', cut: true });
  await behind.run('leave', async () => {});
  assert.equal(behind.state.waits, 0);
  assert.deepEqual(sshWay(behind.world, behind.plan.host), { options: ['ProxyCommand=x rack7'] });
});
