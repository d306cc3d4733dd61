import assert from 'node:assert/strict';
import test from 'node:test';
import { UplinkRate } from './uplink-rate.ts';

const mib = 1 << 20;

function scene() {
  let now = 0;
  const rate = new UplinkRate(() => now);
  /** So many files at once, so many bytes a second in all. */
  const play = (seconds: number, bytesPerSecond: number, files = 1, each = 100 * mib) => {
    const coming = Array.from({ length: files }, () => rate.begins(each));
    for (let i = 0; i < seconds; i++) {
      now += 1000;
      for (const one of coming) one.came(bytesPerSecond / files);
    }
    return () => {
      for (const one of coming) {
        one.ends();
        one.ends();
      }
    };
  };
  const wait = (ms: number) => {
    now += ms;
  };
  return { rate, play, wait };
}

test('what may be under way is what comes in two seconds, within bounds', () => {
  const { rate, play, wait } = scene();
  assert.equal(rate.underWay(), 2 * mib, 'nothing is known');
  // The link is lost while they come.
  const end = play(20, 125_000, 4);
  assert.equal(rate.underWay(), 250_000);
  end();
  wait(3_600_000);
  assert.equal(rate.underWay(), 250_000, 'a link that carried nothing says nothing');
  play(10, 12_500_000)();
  assert.equal(rate.underWay(), 2 * mib);
  play(20, 8000)();
  assert.equal(rate.underWay(), 128 << 10);
});

test('short files, and too little of a long one, say nothing', () => {
  const { rate, play } = scene();
  play(60, 1000, 1, mib - 1)();
  assert.equal(rate.underWay(), 2 * mib);
  play(2, 1000)();
  assert.equal(rate.underWay(), 2 * mib);
});
