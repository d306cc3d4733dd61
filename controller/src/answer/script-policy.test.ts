import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Mac } from '../machine/mac.ts';
import {
  BootCount,
  loopWindowMs,
  mostBoots,
  type ScriptCase,
  type ScriptVerdict,
  whichScript,
} from './script-policy.ts';

const mac = '52:54:00:00:00:01' as Mac;
const other = '52:54:00:00:00:02' as Mac;
const usual: ScriptCase = {
  seen: mac,
  macs: [mac],
  offer: 'installer',
  leaving: false,
  hasInstaller: true,
  fetchedLately: 0,
  hasToken: true,
};

const table: readonly (readonly [string, Partial<ScriptCase>, ScriptVerdict])[] = [
  ['the machine itself', {}, 'installer'],
  ['its other card', { seen: other, macs: [mac, other] }, 'installer'],
  ['beyond a router', { seen: 'foreign' }, 'installer'],
  ['an address without a MAC', { seen: undefined }, 'stranger'],
  ['another machine', { seen: other }, 'stranger'],
  ['another machine, of one that is done', { seen: other, offer: 'local' }, 'stranger'],
  ['it leaves', { leaving: true }, 'leaving'],
  ['nothing is ready', { offer: 'silent' }, 'not-ready'],
  ['it is done', { offer: 'local', hasInstaller: false }, 'local'],
  ['no installer for its system', { hasInstaller: false }, 'no-installer'],
  ['its installer runs', { offer: 'wait', fetchedLately: 99 }, 'installer-runs'],
  ['the sixth boot', { fetchedLately: mostBoots - 1 }, 'installer'],
  ['the seventh', { fetchedLately: mostBoots }, 'loop'],
  ['no token left', { hasToken: false }, 'no-token'],
];
for (const [name, given, want] of table)
  test(`${name}: ${want}`, () => assert.equal(whichScript({ ...usual, ...given }), want));

test('a token goes only to an asker that the neighbour table knows as the machine, or that nobody can know', () => {
  fc.assert(
    fc.property(
      fc.record({
        seen: fc.constantFrom(undefined, 'foreign' as const, mac, other),
        macs: fc.constantFrom([mac], [mac, other]),
        offer: fc.constantFrom('silent' as const, 'local' as const, 'installer' as const, 'wait' as const),
        leaving: fc.boolean(),
        hasInstaller: fc.boolean(),
        fetchedLately: fc.nat(10),
        hasToken: fc.boolean(),
      }),
      (about) => {
        if (whichScript(about) !== 'installer') return;
        assert.equal(about.offer, 'installer');
        assert.ok(about.hasToken && about.hasInstaller && !about.leaving);
        assert.ok(about.seen === 'foreign' || about.macs.includes(about.seen!));
      },
    ),
  );
});

test('boots count for ten minutes, each machine for itself', () => {
  const boots = new BootCount(2);
  for (let i = 0; i < mostBoots + 3; i++) boots.add('m1', i);
  assert.equal(boots.lately('m1', 10), mostBoots);
  assert.equal(boots.lately('m2', 10), 0);
  assert.equal(boots.lately('m1', loopWindowMs + 10), 0);
  boots.forget('m1');
  assert.equal(boots.lately('m1', 10), 0);
  for (const name of ['a', 'b', 'c']) boots.add(name, 20);
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => boots.lately(name, 20)),
    [0, 1, 1],
  );
});
