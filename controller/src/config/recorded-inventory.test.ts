import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { readRecorded, recordedFile } from './recorded-inventory.ts';

test('the entry of the hosts file says where it is, else the folder', () => {
  const hostsFile = '/etc/nixie/hosts.json';
  assert.deepEqual(recordedFile({ name: 'm1', inventory: 'm1/i.json' }, { hostsFile, inventoryDir: '/inv' }), {
    file: '/etc/nixie/m1/i.json',
    optional: false,
  });
  assert.deepEqual(recordedFile({ name: 'm1', inventory: '/srv/i.json' }, { hostsFile }), {
    file: '/srv/i.json',
    optional: false,
  });
  assert.deepEqual(recordedFile({ name: 'm1' }, { hostsFile, inventoryDir: '/inv' }), {
    file: '/inv/m1/inventory.json',
    optional: true,
  });
  assert.equal(recordedFile({ name: 'm1' }, { hostsFile }), undefined);
});

test('what was written is read, and what is no inventory is said', () => {
  const bytes = (text: string) => () => new TextEncoder().encode(text);
  const inventory = Inventory.fromPartial({ schemaVersion: 1, disks: [{ path: '/dev/sda', sizeBytes: 2n ** 60n }] });
  assert.deepEqual(readRecorded('/f', bytes(writeInventoryJson(inventory))), inventory);
  for (const [text, want] of [
    ['{', /read recorded inventory \/f: .*; accepted: what `nixie inventory HOST --format json` prints/],
    ['[]', /found no object/],
    ['{"schema_version": 2}', /its schema_version is 2, not 1/],
    ['{"machine1": {"mac_address": "x"}}', /no schema_version: is it an inventory/],
  ] as const)
    assert.throws(() => readRecorded('/f', bytes(text)), want);
  assert.throws(() => readRecorded('/f', () => new Uint8Array(16 * 2 ** 20 + 1)), /accepted are 16777216/);
  const gone = () => {
    throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
  };
  assert.throws(() => readRecorded('/f', gone), { code: 'ENOENT', message: /^read recorded inventory \/f: ENOENT/ });
});
