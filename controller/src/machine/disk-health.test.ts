import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { failingDisks, failingTargets } from './disk-health.ts';

const full = Inventory.fromPartial({
  disks: [
    { path: '/dev/sda', serial: 'S1', sizeBytes: 8_000_000_000n, model: 'OLD', health: { verdict: 'fail' } },
    { path: '/dev/sdb', serial: 'S2', sizeBytes: 8_000_000_000n, health: { verdict: 'warn' } },
    { path: '/dev/sdc', sizeBytes: 8_000_000_000n, health: { verdict: 'fail' } },
    { path: '/dev/sdd', serial: 'S4', sizeBytes: 8_000_000_000n, health: { mediaErrors: 3n } },
  ],
});
const now = Inventory.fromPartial({
  disks: [
    { path: '/dev/sdb', serial: 'S1', sizeBytes: 8_000_000_000n },
    { path: '/dev/sda', serial: 'S2', sizeBytes: 8_000_000_000n },
    { path: '/dev/sdc', sizeBytes: 8_000_000_000n },
  ],
}).disks;

test('a disk that says it fails is named, one that only warns or counts is not', () => {
  assert.deepEqual(failingDisks(full), [
    'its disk /dev/sda (8.0 GB, OLD, S1) says that it fails (SMART)',
    'its disk /dev/sdc (8.0 GB) says that it fails (SMART)',
  ]);
});

test('a machine that lists no end of them costs some lines', () => {
  const disks = Array.from({ length: 4000 }, () => full.disks[0]!);
  const texts = failingDisks({ ...full, disks });
  assert.deepEqual([texts.length, texts.at(-1)], [9, '3992 more of its disks say so']);
});

test('of those that are going to be written to it is known by what tells disks apart, not by its name', () => {
  assert.deepEqual(failingTargets(now, full), [
    'its disk /dev/sdb (8.0 GB, S1) says that it fails (SMART), and is going to be installed on',
  ]);
  assert.deepEqual(failingTargets(now.slice(1), full), []);
  assert.deepEqual(failingTargets(now, undefined), []);
});
