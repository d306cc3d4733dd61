import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fullJitterMs, jitteredMs } from './backoff.ts';

test('waits stay between the floor and a ceiling that doubles up to a minute', () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
      const ms = fullJitterMs(attempt, random);
      assert.ok(ms >= 100 && ms <= Math.min(60_000, 1000 * 2 ** attempt));
    }),
  );
  assert.equal(fullJitterMs(0, 0.999), 999);
  assert.equal(fullJitterMs(3, 0.5), 4000);
  assert.equal(fullJitterMs(50, 0.5), 30_000);
});

test('heartbeats vary by a fifth', () => {
  assert.equal(jitteredMs(5000, 0), 4000);
  assert.equal(jitteredMs(5000, 0.5), 5000);
  assert.equal(jitteredMs(5000, 1), 6000);
});
