// The fleet's model: the tracker's and the fetcher's policies together, in virtual time. Benchmarks print its figures; here it must hold its promises.
import assert from 'node:assert/strict';
import test from 'node:test';
import { bound, type FleetCase, simulateFleet, unicast } from '../bench/fleet-model.ts';

const megabit = 1e6 / 8;
const eight: FleetCase = {
  machines: 8,
  imageBytes: 64 << 20,
  bootBytes: 0,
  uplink: 200 * megabit,
  machineLink: 200 * megabit,
};

test('eight machines get an image near the bound, and the origin sends it once', () => {
  for (const seed of [1, 2, 3]) {
    const fleet = { ...eight, seed };
    const { lastSeconds, originImageBytes, complete } = simulateFleet(fleet);
    assert.equal(complete, 8);
    assert.ok(lastSeconds <= 1.6 * bound(fleet), `${lastSeconds} s`);
    assert.ok(lastSeconds >= bound(fleet), 'the wire is not quicker than it is');
    assert.ok(lastSeconds * 5 <= unicast(fleet));
    assert.ok(originImageBytes <= 1.2 * fleet.imageBytes);
  }
});

test('a hundred machines with a boot stage: most of the time is the boot stage', () => {
  const fleet = {
    machines: 100,
    imageBytes: 100e6,
    bootBytes: 45e6,
    uplink: 1000 * megabit,
    machineLink: 1000 * megabit,
    startSeconds: 8,
  };
  const { lastSeconds, originImageBytes, complete } = simulateFleet(fleet);
  assert.equal(complete, 100);
  assert.ok(lastSeconds <= 1.1 * bound(fleet), `${lastSeconds} s, bound ${bound(fleet)}`);
  assert.ok(originImageBytes <= 1.2 * fleet.imageBytes);
});

test('slow machines, liars and ones that vanish cost time, not an image; late ones cost the origin nothing', () => {
  for (const seed of [1, 2, 3]) {
    const fleet = { ...eight, machines: 20, seed, slow: 0.1, liars: 0.15, vanish: 0.15, within: 5 };
    const { lastSeconds, originImageBytes, complete } = simulateFleet(fleet);
    assert.ok(complete >= 12, `${complete} of 20`);
    assert.ok(lastSeconds <= 2 * 10 * bound(fleet) + 15, `${lastSeconds} s with links of a tenth`);
    assert.ok(originImageBytes <= 3 * fleet.imageBytes, `${originImageBytes / fleet.imageBytes} images`);
  }
  const late = simulateFleet({ ...eight, within: 20 });
  assert.equal(late.complete, 8);
  assert.ok(late.originImageBytes <= 1.2 * eight.imageBytes);
});

test('without a tracker it is unicast, and nobody is left without', () => {
  const { lastSeconds, complete, originImageBytes } = simulateFleet({ ...eight, deaf: true });
  assert.equal(complete, 8);
  assert.equal(originImageBytes, 8 * eight.imageBytes);
  assert.ok(lastSeconds < 1.3 * unicast(eight), `${lastSeconds} s`);
});

test('a boot stage without the agent: the origin sends that about once too, and liars and the deaf cost time only', () => {
  const fleet = {
    machines: 30,
    imageBytes: 60e6,
    firstBytes: 30e6,
    bootBytes: 20e6,
    uplink: 1000 * megabit,
    machineLink: 1000 * megabit,
    startSeconds: 6,
    unpackSeconds: 2,
  };
  const { lastSeconds, originImageBytes, originBootBytes, complete } = simulateFleet(fleet);
  assert.equal(complete, 30);
  assert.equal(originBootBytes, 30 * 20e6);
  assert.ok(originImageBytes <= 1.2 * fleet.imageBytes, `${originImageBytes / fleet.imageBytes} images`);
  assert.ok(lastSeconds <= 1.4 * bound(fleet), `${lastSeconds} s, bound ${bound(fleet)}`);
  const inside = simulateFleet({ ...fleet, imageBytes: 30e6, firstBytes: 0, bootBytes: 45e6 });
  assert.ok(lastSeconds < inside.lastSeconds, `${lastSeconds} s, and ${inside.lastSeconds} s with the agent inside`);

  const bad = simulateFleet({ ...fleet, liars: 0.2 });
  assert.equal(bad.complete, 30);
  assert.ok(bad.originImageBytes <= 4 * fleet.imageBytes, `${bad.originImageBytes / fleet.imageBytes} images`);
  assert.equal(simulateFleet({ ...fleet, machines: 8, deaf: true }).complete, 8);
});
