import assert from 'node:assert/strict';
import test from 'node:test';
import { Heard } from './heard.ts';

test('an agent counts as there while it beats, and its session while it is open', () => {
  let now = 0;
  const heard = new Heard(() => now);
  heard.beat('m1');
  assert.deepEqual([heard.lately('m1'), heard.bootOf('m1')], [false, undefined]);
  heard.up('m1', 'b1');
  for (now = 0; now < 60_000; now += 5000) heard.beat('m1');
  assert.equal(heard.lately('m1'), true);
  now += 13_000;
  assert.deepEqual([heard.lately('m1'), heard.bootOf('m1')], [false, 'b1']);
  heard.up('m1', 'b2');
  assert.deepEqual([heard.lately('m1'), heard.bootOf('m1')], [true, 'b2']);
  heard.down('m1');
  assert.deepEqual([heard.lately('m1'), heard.bootOf('m1')], [false, undefined]);
});

test('one that reboots as it was told is not there any more, unless it beats on', () => {
  let now = 0;
  const heard = new Heard(() => now);
  heard.leaves('m1');
  heard.up('m1', 'b1');
  heard.leaves('m1');
  assert.deepEqual([heard.lately('m1'), heard.bootOf('m1')], [false, 'b1']);
  now = 4000;
  heard.beat('m1');
  assert.equal(heard.lately('m1'), false);
  now = 10_000;
  heard.beat('m1');
  assert.equal(heard.lately('m1'), true);
  heard.leaves('m1');
  heard.up('m1', 'b2');
  assert.equal(heard.lately('m1'), true);
});
