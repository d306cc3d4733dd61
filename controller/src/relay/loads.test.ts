import assert from 'node:assert/strict';
import test from 'node:test';
import { usualSeconds } from '../machine/progress.ts';
import { planWaves, usualUplink } from '../machine/waves.ts';
import { Loads } from './loads.ts';

test('so many load at once; one that loads may begin anew, and one that is done, or silent, makes room', () => {
  let now = 0;
  const loads = new Loads(() => now);
  for (const name of ['a', 'b']) {
    assert.ok(loads.hasRoom(name, 2));
    loads.began(name);
  }
  assert.ok(!loads.hasRoom('c', 2));
  assert.ok(loads.hasRoom('a', 2));
  assert.ok(loads.hasRoom('c', Number.POSITIVE_INFINITY));
  loads.ended('a');
  assert.ok(loads.hasRoom('c', 2));
  loads.began('c');
  now = 59_000;
  loads.moved('b');
  // Nobody who waits.
  loads.moved('d');
  now = 61_000;
  assert.ok(loads.hasRoom('d', 2));
  loads.began('d');
  assert.ok(!loads.hasRoom('e', 2));
});

/**
 * Machines that are all switched on in one moment behind a relay which has the installer already, so that its own network is what they share. Each
 * asks for its script, again every 15 s when it has to wait, and is given up after ten minutes of loading.
 */
function site(machines: number, bootBytes: number, wire: number, most: number) {
  let now = 0;
  const loads = new Loads(() => now);
  const all = Array.from({ length: machines }, (_, i) => ({
    name: `m${i}`,
    left: bootBytes,
    asks: i % 15,
    began: undefined as number | undefined,
  }));
  let [loaded, failed, last] = [0, 0, 0];
  for (let second = 0; loaded + failed < machines; second++) {
    now = second * 1000;
    for (const each of all) {
      if (each.began !== undefined || each.asks > second) continue;
      each.asks = second + 15;
      if (!loads.hasRoom(each.name, most)) continue;
      loads.began(each.name);
      each.began = second;
    }
    const loading = all.filter(({ began, left }) => began !== undefined && left > 0);
    for (const each of loading) {
      if (second - each.began! > 600) {
        failed++;
        each.left = 0;
        continue;
      }
      each.left -= wire / loading.length;
      loads.moved(each.name);
      if (each.left > 0) continue;
      loads.ended(each.name);
      loaded++;
      last = second;
    }
  }
  return { loaded, failed, last };
}

test('on one network for all, many who load at once are all given up, and in turns all are served, no later than the wire can', () => {
  const facts = {
    machines: 250,
    bootBytes: 400e6,
    imageBytes: 0,
    copyBytes: 2e9,
    uplink: undefined,
    jobs: 4,
    seconds: usualSeconds,
    loadingPatience: 600,
  };
  const { loads } = planWaves(facts);
  const together = site(250, 400e6, usualUplink, Number.POSITIVE_INFINITY);
  assert.deepEqual([together.loaded, together.failed], [0, 250]);
  const inTurns = site(250, 400e6, usualUplink, loads);
  assert.deepEqual([inTurns.loaded, inTurns.failed], [250, 0]);
  const bound = (250 * 400e6) / usualUplink;
  assert.ok(inTurns.last < 1.05 * bound + 15, `${inTurns.last} s, and the wire needs ${bound} s`);
  // A small installer holds nobody up.
  const small = planWaves({ ...facts, bootBytes: 45e6 });
  assert.ok(small.loads > 250, `${small.loads}`);
});
