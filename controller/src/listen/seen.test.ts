import assert from 'node:assert/strict';
import test from 'node:test';
import { SeenQueue } from './seen.ts';
import { TokenBucket } from './token-bucket.ts';

test('a bucket allows a burst and then its rate', () => {
  const bucket = new TokenBucket(3, 10);
  const taken = (times: number, nowMs: number): number =>
    Array.from({ length: times }, () => bucket.take(nowMs)).filter(Boolean).length;
  assert.equal(taken(10, 1000), 3);
  assert.equal(taken(10, 1100), 1);
  assert.equal(taken(10, 1050), 0); // a clock that goes back gives nothing
  assert.equal(taken(10, 99_000), 3);
});

test('strangers displace nobody, and what is dropped is counted', () => {
  const queue = new SeenQueue(20, 5);
  for (let index = 0; index < 1000; index++) queue.push({ kind: 'dhcp-silent', why: 'unknown machine' }, 0);
  for (let index = 0; index < 15; index++) queue.push({ kind: 'dhcp-answered', machine: 'm1' }, 0);
  const batch = queue.take()!;
  assert.equal(batch.seen.length, 20);
  assert.equal(batch.seen.filter((seen) => seen.machine === 'm1').length, 10);
  assert.equal(batch.dropped, 990 + 5);
  assert.equal(queue.take(), undefined);
});

test('word of a flood gets through it', () => {
  const queue = new SeenQueue(20, 5);
  for (let index = 0; index < 1000; index++) queue.push({ kind: 'dhcp-silent', why: 'unknown machine' }, 0);
  queue.push({ kind: 'dhcp-flood', detail: '980 packets' }, 0);
  assert.equal(queue.take()!.seen.at(-1)!.kind, 'dhcp-flood');
});
