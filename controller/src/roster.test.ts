// The roster over a real core: what comes, changes and goes, and what has to wait for disks that are being written.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Core } from './core/core.ts';
import { HostBook } from './core/hosts.ts';
import type { Host } from './machine/host.ts';
import { type Happening, patience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { plainHost } from './machine/testing.ts';
import { Roster } from './roster.ts';

const host = (name: string, mac: string, more: Partial<Host> = {}): Host => plainHost(name, [mac], more);
const turns = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

function scene() {
  const book = new HostBook();
  const said: string[] = [];
  const prepared: string[][] = [];
  const forgotten: string[] = [];
  const ended: string[] = [];
  let failure: Error | undefined;
  /** Preparations that end when the test says so. */
  let held: { evaluated: () => void; end: () => void; fail: (error: Error) => void }[] | undefined;
  const core: Core = new Core(
    {
      now: () => 0,
      ticks: () => 0,
      after: () => () => {},
      journal: { write: () => {}, close: () => {} },
      emit: () => {},
      run: (task, life, signal) =>
        new Promise((resolve) => {
          if (task === 'leave') return resolve();
          signal.addEventListener('abort', () => {
            ended.push(life.host);
            resolve();
          });
        }),
      changed: () => roster.moved(),
      rested: () => roster.moved(),
    },
    patience,
  );
  const roster: Roster = new Roster({
    book,
    core,
    notice: (_level, text, name) => void said.push(`${name}: ${text}`),
    forget: (name) => void forgotten.push(name),
    changed: () => {},
    prepare: async (hosts, evaluated) => {
      prepared.push(hosts.map(({ name }) => name));
      if (held !== undefined) {
        const end = Promise.withResolvers<void>();
        held.push({ evaluated, end: end.resolve, fail: end.reject });
        return end.promise;
      }
      if (failure !== undefined) throw failure;
      for (const { name } of hosts) core.happened(name, { kind: 'begin' });
    },
  });
  const happen = (name: string, ...happenings: (Happening | Happening['kind'])[]) => {
    for (const each of happenings) {
      const happening = (
        typeof each === 'string' ? { kind: each, reason: 'r', address: 'a', hostKey: 'k' } : each
      ) as Happening;
      assert.equal(core.happened(name, happening).moved, true, `${happening.kind} in ${core.life(name)?.stage}`);
    }
  };
  const registered = {
    kind: 'agent-registered',
    mac: 'm1' as Mac,
    address: 'a',
    sshHostKey: 'k',
    bootId: 'b',
  } as const;
  return {
    book,
    core,
    roster,
    said,
    prepared,
    forgotten,
    ended,
    happen,
    stage: (name: string) => core.life(name)?.stage,
    toDisko: (name: string) => happen(name, 'found-nobody', registered, 'inspecting', 'disks-free'),
    fail: (error?: Error) => {
      failure = error;
    },
    hold: () => {
      held = [];
      return held;
    },
  };
}

test('new ones are prepared and begin; unchanged ones are left as they are', async () => {
  const { roster, prepared, happen, stage, forgotten } = scene();
  await roster.wish([host('a', 'm1'), host('b', 'm2')]);
  assert.deepEqual(prepared, [['a', 'b']]);
  happen('a', 'found-proved');
  await roster.wish([host('b', 'm2'), host('a', 'm1'), host('c', 'm3')]);
  assert.deepEqual(prepared, [['a', 'b'], ['c']]);
  assert.deepEqual([stage('a'), stage('b'), stage('c')], ['skipped', 'probing', 'probing']);
  assert.deepEqual(forgotten, []);
});

test('a change has one that has ended begin anew, and so does it one whose disks are untouched', async () => {
  const { roster, prepared, happen, stage, ended } = scene();
  await roster.wish([host('a', 'm1'), host('b', 'm2')]);
  await turns();
  happen('a', 'found-proved');
  await roster.wish([host('a', 'm4'), host('b', 'm2', { boot: ['x'] })]);
  assert.deepEqual(prepared, [
    ['a', 'b'],
    ['a', 'b'],
  ]);
  assert.deepEqual([stage('a'), stage('b')], ['probing', 'probing']);
  assert.deepEqual(ended, ['a', 'b'], 'their tasks were called off');
});

test('a removed one is called off while its disks are untouched, and left to finish afterwards', async () => {
  const { roster, book, stage, toDisko, happen, said, ended, forgotten } = scene();
  await roster.wish([host('a', 'm1'), host('b', 'm2')]);
  toDisko('a');
  await turns();
  ended.length = 0;
  await roster.wish([]);
  await turns();
  assert.deepEqual([stage('a'), stage('b')], ['disko', undefined]);
  assert.deepEqual(ended, ['b']);
  assert.equal(book.isLeaving('a'), true);
  assert.match(said.join('\n'), /^a: it is not in the hosts file any more; its disks are being written/);
  happen('a', 'disko-ended', 'install-began', 'install-ended', 'reboot-ordered', 'proof-given');
  await turns();
  assert.deepEqual([stage('a'), book.all(), forgotten], [undefined, [], ['b', 'a']]);
});

test('a change of one whose disks are being written, and a new one with its MAC, wait for its end', async () => {
  const { roster, book, stage, toDisko, happen, said, prepared } = scene();
  await roster.wish([host('a', 'm1')]);
  toDisko('a');
  await roster.wish([host('a', 'm5'), host('b', 'm1')]);
  assert.deepEqual([stage('a'), stage('b'), book.named('a')?.macs], ['disko', undefined, ['m1']]);
  assert.match(said[0]!, /^a: it was changed in the hosts file; its disks are being written/);
  assert.match(said[1]!, /^b: it waits for the end of a, which still has its MAC/);
  happen('a', 'failed');
  assert.equal(stage('a'), 'failed', 'its last task ends what a login left running there');
  await turns();
  assert.deepEqual([stage('a'), stage('b'), book.named('a')?.macs], ['probing', 'probing', ['m5']]);
  assert.deepEqual(prepared, [['a'], ['a', 'b']]);
  assert.equal(said.length, 2);
});

test('one that the file takes back while it waits stays as it is', async () => {
  const { roster, book, stage, toDisko, happen, prepared } = scene();
  await roster.wish([host('a', 'm1')]);
  toDisko('a');
  await roster.wish([]);
  await roster.wish([host('a', 'm1')]);
  assert.equal(book.isLeaving('a'), false);
  happen('a', 'failed');
  await turns();
  assert.deepEqual([stage('a'), prepared], ['failed', [['a']]]);
});

test('where nothing can be prepared its hosts fail with the reason, and may be prepared again', async () => {
  const { roster, core, stage, fail, prepared } = scene();
  fail(new Error('no such flake'));
  await assert.rejects(roster.wish([host('a', 'm1')]), /no such flake/);
  assert.deepEqual([stage('a'), core.life('a')?.reason], ['failed', 'no such flake']);
  fail();
  roster.again('a');
  await turns();
  assert.deepEqual([stage('a'), prepared.length], ['probing', 2]);
});

test('one evaluation after the other, and what comes meanwhile goes together into the next; a long build keeps nobody waiting', async () => {
  const { roster, hold, prepared } = scene();
  const held = hold();
  const hosts = Array.from({ length: 8 }, (_, i) => host(`h${i}`, `m${i}`));
  const wishes = hosts.map((_, i) => roster.wish(hosts.slice(0, i + 1)));
  await turns();
  assert.deepEqual(prepared, [['h0', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'h7']]);
  held[0]!.evaluated();
  await turns();
  assert.equal(prepared.length, 1, 'nothing is new');
  for (let i = 8; i < 16; i++) {
    roster.wish(hosts.concat(Array.from({ length: i - 7 }, (_, j) => host(`h${j + 8}`, `m${j + 8}`)))).catch(() => {});
    await turns();
    held.at(-1)!.evaluated();
    await turns();
  }
  // Four build at the same time; the others wait, and go together.
  assert.deepEqual(prepared.slice(1), [['h8'], ['h9'], ['h10']]);
  held[1]!.end();
  await turns();
  assert.deepEqual(prepared.slice(4), [['h11', 'h12', 'h13', 'h14', 'h15']]);
  for (const each of held) each.end();
  await Promise.all(wishes);
});

test('a preparation that fails takes along neither those that have begun nor those that were put in again meanwhile', async () => {
  const { roster, hold, happen, stage, core } = scene();
  const held = hold();
  const wish = roster.wish([host('a', 'm1'), host('b', 'm2'), host('c', 'm3')]);
  await turns();
  happen('a', 'begin');
  happen('b', 'cancelled');
  roster.again('b');
  held[0]!.fail(new Error('no such flake'));
  await assert.rejects(wish, /no such flake/);
  assert.deepEqual([stage('a'), stage('b'), stage('c')], ['probing', 'planned', 'failed']);
  assert.equal(core.life('c')?.reason, 'no such flake');
  await turns();
  assert.equal(held.length, 2);
});
