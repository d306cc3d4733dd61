import assert from 'node:assert/strict';
import test from 'node:test';
import { Machine, UnknownMachine } from '@nixie/proto/operator';
import { statusJson, statusTable, unknownJson, unknownLines } from './status.ts';

test('what is written to stands behind a machine that has no reason to give', () => {
  const machine = Machine.fromPartial({
    host: 'web1',
    stage: 'disko',
    targetDisks: [{ path: '/dev/sda', sizeBytes: 500_107_862_016n, serial: 'S1', link: '/dev/nixie/disk' }],
  });
  assert.match(statusTable([machine], 0)[1] ?? '', /disko .* disk \/dev\/sda \(500 GB, S1\)$/);
  assert.deepEqual(JSON.parse(statusJson(machine)).target_disks, [
    { path: '/dev/sda', size_bytes: 500_107_862_016, serial: 'S1', link: '/dev/nixie/disk' },
  ]);
});

test('what a machine waits for stands before how far it is', () => {
  const machine = Machine.fromPartial({
    host: 'web1',
    stage: 'registered',
    waitsFor: 'its build',
    progress: { percent: 90, overallPercent: 30, stalledWhy: '' },
  });
  assert.match(statusTable([machine], 0)[1] ?? '', /registered .* waits for its build; 90%, 30% of all$/);
  assert.equal(JSON.parse(statusJson(machine)).waits_for, 'its build');
});

test('machines of no hosts file are told with the line that adds them', () => {
  assert.deepEqual(unknownLines([]), []);
  const unknown = UnknownMachine.fromPartial({
    mac: '52:54:00:00:00:09',
    architecture: 'arm64-efi',
    vendorClass: 'PXE\u001b[31m',
    uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
    interface: 'eth1',
    firstSeenUnixMs: 0n,
    lastSeenUnixMs: 1000n,
    asked: 3,
  });
  assert.deepEqual(unknownLines([unknown]), [
    '',
    'asked to boot, and are in no hosts file:',
    '  52:54:00:00:00:09 asked to boot (arm64-efi, UUID 01020304-0506-0708-090a-0b0c0d0e0f10, on eth1); in the hosts file: "machine-000009": { "mac_address": "52:54:00:00:00:09", "system": "aarch64-linux" }',
  ]);
  assert.doesNotMatch(unknownLines([{ ...unknown, architecture: undefined }]).join(), /\u001b/);
  assert.deepEqual(JSON.parse(unknownJson(unknown)), {
    unknown_mac: '52:54:00:00:00:09',
    architecture: 'arm64-efi',
    vendor_class: 'PXE\u001b[31m',
    uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
    interface: 'eth1',
    first_seen: '1970-01-01T00:00:00.000Z',
    last_seen: '1970-01-01T00:00:01.000Z',
    asked: 3,
  });
});
