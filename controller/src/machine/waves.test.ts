import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { usualSeconds } from './progress.ts';
import { differs, mostAtOnce, planWaves, SentRate, type WaveFacts, waveText } from './waves.ts';

const usual: WaveFacts = {
  machines: 200,
  bootBytes: 400e6,
  imageBytes: 0,
  copyBytes: 1.5e9,
  uplink: undefined,
  jobs: 16,
  seconds: usualSeconds,
  loadingPatience: 600,
};

test('a large run is made in waves, a small one at once', () => {
  const large = planWaves(usual);
  assert.ok(large.size >= usual.jobs && large.size < 100, `${large.size}`);
  assert.equal(large.waves, Math.ceil(200 / large.size));
  const small = planWaves({ ...usual, machines: 5 });
  assert.deepEqual([small.size, small.waves], [5, 1]);
});

test('the time that is told is at least what the wire needs', () => {
  const { seconds } = planWaves(usual);
  const wire = (200 * 1.9e9) / (0.9 * 1.25e8);
  assert.ok(seconds > wire * 0.9 && seconds < wire * 1.3, `${seconds} s for ${wire} s of wire`);
});

test('a boot stage and an image let more machines be on their way, and end sooner', () => {
  const split = { ...usual, jobs: 100, copyBytes: 100e6, bootBytes: 45e6, imageBytes: 355e6 };
  const whole = { ...split, bootBytes: 400e6, imageBytes: 0 };
  assert.ok(planWaves(split).seconds < planWaves(whole).seconds / 1.5);
});

test('on a slow wire so few load at once that none runs into its patience', () => {
  const uplink = 12.5e6;
  const { size } = planWaves({ ...usual, uplink });
  assert.ok((size * usual.bootBytes) / uplink <= usual.loadingPatience / 2, `${size}`);
});

test('whatever was measured, a plan is one', () => {
  const amount = fc.double({ min: 0, max: 1e12, noNaN: true });
  fc.assert(
    fc.property(
      fc.record({
        machines: fc.integer({ min: 1, max: 5000 }),
        bootBytes: amount,
        imageBytes: amount,
        copyBytes: amount,
        uplink: fc.option(fc.double({ min: 1, max: 1e11, noNaN: true }), { nil: undefined }),
        turnSeconds: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
        jobs: fc.integer({ min: 1, max: 1000 }),
        loadingPatience: fc.integer({ min: 1, max: 100_000 }),
      }),
      (some) => {
        const plan = planWaves({ ...some, seconds: usualSeconds });
        assert.ok(Number.isInteger(plan.size) && plan.size >= 1 && plan.size <= Math.min(mostAtOnce, some.machines));
        assert.equal(plan.waves, Math.ceil(some.machines / plan.size));
        assert.ok(plan.seconds > 0 && Number.isFinite(plan.seconds));
        assert.equal(differs(plan, plan), false);
      },
    ),
  );
});

test('it is told in words', () => {
  assert.equal(
    waveText(200, { size: 50, loads: 99, waves: 4, seconds: 720 }),
    '200 machines in 4 waves of 50, about 12 min',
  );
  assert.equal(waveText(9, { size: 9, loads: 99, waves: 1, seconds: 84 }), '9 machines all at once, about 80 s');
});

test('the rate of the wire is known when it was full for a while', () => {
  const rate = new SentRate(5000);
  for (let at = 0; at <= 3000; at += 100) rate.add(1e6, at, true);
  assert.equal(rate.most, undefined);
  for (let at = 3100; at <= 6000; at += 100) rate.add(1e6, at, true);
  assert.ok(Math.abs(rate.most! - 1e7) < 1e6, `${rate.most}`);
  // Afterwards nobody asks for much.
  for (let at = 6100; at <= 60_000; at += 100) rate.add(1e4, at, false);
  assert.ok(rate.most! > 9e6);
});
