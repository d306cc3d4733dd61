import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import type { Closure } from '../nix/closure.ts';
import { Plans } from './plans.ts';
import type { Plan } from './task-world.ts';

const plan = { host: { name: 'm1' } as Host, system: {} } as Plan;
const closure: Closure = { bytes: 1, sizes: new Map(), paths: new Map() };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function scene() {
  const waits: string[] = [];
  const plans = new Plans({
    waits(host) {
      waits.push(`${host} waits`);
      return () => waits.push(`${host} goes on`);
    },
  });
  plans.put(plan);
  return { plans, waits };
}

test('who waits for a build goes on when it is there, and is told as waiting until then', async () => {
  const { plans, waits } = scene();
  const stop = new AbortController();
  let over = false;
  const waiting = plans.whenBuilt('m1', stop.signal).then(() => {
    over = true;
  });
  await turn();
  assert.deepEqual([over, plans.waits('m1'), plans.hopes('m1'), plans.built()], [false, true, true, []]);
  plans.put({ ...plan, closure });
  assert.equal(plans.waits('m1'), false);
  await waiting;
  assert.deepEqual(waits, ['m1 waits', 'm1 goes on']);
  assert.equal(plans.built().length, 1);
  await plans.whenBuilt('m1', stop.signal);
  assert.equal(waits.length, 2, 'nobody waits for what is there');
});

test('a wait ends with its task, with a failed build and with the host', async () => {
  for (const end of ['signal', 'failure', 'leaving'] as const) {
    const { plans, waits } = scene();
    const stop = new AbortController();
    const waiting = plans.whenBuilt('m1', stop.signal);
    if (end === 'signal') stop.abort();
    if (end === 'failure') plans.fail('m1');
    if (end === 'leaving') plans.delete('m1');
    await waiting;
    assert.deepEqual([waits.length, plans.waits('m1')], [2, false], end);
    assert.equal(plans.hopes('m1'), end === 'signal');
    assert.equal(plans.failed('m1'), end === 'failure');
  }
});

test('a host of which nothing is known is not waited for', async () => {
  const { plans, waits } = scene();
  await plans.whenBuilt('m2', new AbortController().signal);
  plans.fail('m2');
  assert.deepEqual([waits, plans.failed('m2')], [[], false]);
});
