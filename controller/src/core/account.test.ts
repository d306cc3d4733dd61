import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import { newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import type { Stage } from '../machine/stage.ts';
import { Account } from './account.ts';
import { iso } from './core.ts';

function play(relay?: string) {
  // The wall clock and that of lives are two.
  const state = { now: 1_000_000, ticks: 5000, since: 0, there: true, unseen: undefined as string | undefined };
  const events: RunEvent[] = [];
  const account = new Account({
    hosts: { all: () => [], named: (name) => (relay === undefined ? undefined : hostBehind(name, relay)) },
    life: () => (state.there ? newLife('m1', state.since) : undefined),
    toplevel: () => undefined,
    agentConnected: () => false,
    show: (event) => void events.push(event),
    proved: () => {},
    unseen: () => state.unseen,
    now: () => state.now,
    ticks: () => state.ticks,
  });
  const stage = (name: Stage) => {
    state.since = state.ticks;
    account.emit({ event: 'stage', at: iso(state.now), host: 'm1', stage: name });
  };
  const pass = (seconds: number) => {
    state.now += seconds * 1000;
    state.ticks += seconds * 1000;
    account.tick();
  };
  return { state, events, account, stage, pass };
}
const hostBehind = (name: string, relay: string): Host =>
  ({
    name,
    macs: ['52:54:00:00:00:01' as Mac],
    system: 'x86_64-linux',
    boot: [],
    relay,
  }) as unknown as Host;
const words = (events: readonly RunEvent[]) =>
  events.flatMap((event) => (event.event === 'notice' ? [event.text] : event.event === 'progress' ? ['progress'] : []));

test('a standstill is told once, and that of one stage is no news of the next', () => {
  const { state, events, account, stage, pass } = play();
  stage('copy');
  const at = iso(state.now);
  account.emit({ event: 'progress', at, host: 'm1', stage: 'copy', done_bytes: 10, total_bytes: 100 });
  for (let second = 0; second < 20; second++) pass(1);
  assert.equal(words(events).filter((text) => /^copy: nothing has moved for 15 s/.test(text)).length, 1);
  stage('install');
  events.length = 0;
  pass(1);
  assert.deepEqual(words(events), ['progress']);
});

test('a standstill of one whose relay is away is that of the relay', () => {
  const { state, events, account, stage, pass } = play();
  stage('copy');
  state.unseen = 'its relay rack7 is not connected';
  account.emit({ event: 'progress', at: iso(state.now), host: 'm1', stage: 'copy', done_bytes: 10, total_bytes: 100 });
  for (let second = 0; second < 20; second++) pass(1);
  const told = words(events).filter((text) => text !== 'progress');
  assert.deepEqual(told, ['copy: nothing has moved for 15 s: its relay rack7 is not connected']);
});

test('a wall clock that is set changes nothing of what is told', () => {
  const { state, events, account, stage, pass } = play();
  stage('copy');
  account.emit({ event: 'progress', at: iso(state.now), host: 'm1', stage: 'copy', done_bytes: 1, total_bytes: 100 });
  for (const hours of [0, 5, -9]) {
    state.now += hours * 3_600_000;
    for (let second = 0; second < 4; second++) pass(1);
  }
  assert.deepEqual(
    words(events).filter((text) => text !== 'progress'),
    [],
  );
  account.emit({ event: 'progress', at: iso(state.now), host: 'm1', stage: 'copy', done_bytes: 13, total_bytes: 100 });
  const last = events.findLast((event) => event.event === 'progress');
  assert.ok(last?.event === 'progress');
  assert.deepEqual([last.percent, last.bytes_per_second], [13, 1], '12 bytes in 12 seconds');
});

test('a host that was taken out is told of no more', () => {
  const { state, events, stage, pass } = play();
  stage('firmware');
  pass(1);
  assert.deepEqual(words(events), ['progress']);
  state.there = false;
  events.length = 0;
  for (let second = 0; second < 300; second++) pass(1);
  assert.deepEqual(words(events), []);
  state.there = true;
  pass(1);
  assert.deepEqual(words(events), [], 'until something happens to it');
});

test('all that is told of a machine says which relay it is behind', () => {
  const { events, account, stage } = play('rack7');
  stage('copy');
  account.notice('info', 'of it', 'm1');
  account.notice('info', 'of the run');
  assert.deepEqual(
    events.map(({ event, relay }) => [event, relay]),
    [
      ['stage', 'rack7'],
      ['notice', 'rack7'],
      ['notice', undefined],
    ],
  );
});

test('one that waits for its build is told so once, stands still without a warning, and is shown as waiting', () => {
  const { events, account, stage, pass } = play('rack7');
  stage('registered');
  const over = account.waits('m1', 'its build');
  assert.equal(account.machine('m1')?.waitsFor, 'its build');
  for (let i = 0; i < 10; i++) pass(60);
  assert.deepEqual(
    words(events).filter((each) => each !== 'progress'),
    ['its machine is there; it waits for its build'],
  );
  assert.equal(account.machine('m1')?.progress?.etaSeconds, undefined);
  over();
  assert.equal(account.machine('m1')?.waitsFor, undefined);
  stage('preflight');
  pass(3);
  // What the wait took is not what the stage takes.
  assert.ok(account.seconds().registered < 5, `${account.seconds().registered} s`);
  assert.ok((account.machine('m1')?.progress?.etaSeconds ?? Number.NaN) < 600);
});
