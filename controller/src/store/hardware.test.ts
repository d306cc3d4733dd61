import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { HardwareReport } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { openHardware } from './hardware.ts';

const inventory = Inventory.fromPartial({
  schemaVersion: 1,
  depth: 'full',
  disks: [{ path: '/dev/sda', sizeBytes: 9n }],
});
const facterOf = (text: string | Uint8Array): HardwareReport =>
  HardwareReport.fromPartial({ content: { $case: 'facter', value: { jsonGzip: gzipSync(text), jsonBytes: 1n } } });

test('what was told is kept as it was told; what is damaged or not to be believed is not', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-hardware-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const shelf = openHardware(folder);
  assert.equal(shelf.inventory('m1'), undefined);
  assert.equal(shelf.facter('m1'), undefined);
  shelf.put('m1', { content: { $case: 'inventory', value: inventory } });
  const text = '{ "version": 1,\n "hardware": {} }\n';
  shelf.put('m1', facterOf(text));
  shelf.put('m1', { content: { $case: 'smbiosGzip', value: gzipSync('table') } });
  shelf.put('m1', { content: undefined });
  const again = openHardware(folder);
  assert.deepEqual(again.inventory('m1'), inventory);
  assert.equal(again.facter('m1')?.toString(), text);
  assert.equal(readFileSync(join(folder, 'm1/smbios.bin'), 'utf8'), 'table');

  for (const [report, want] of [
    [facterOf('[1]'), /facter: found no object/],
    [facterOf('{'), /JSON/],
    [facterOf(Uint8Array.of(0x22, 0xff, 0x22)), /encoded|invalid/i],
    [facterOf(`"${'x'.repeat(11 << 20)}"`), /larger than|buffer/i],
    [HardwareReport.fromPartial({ content: { $case: 'facter', value: { jsonGzip: Buffer.of(1, 2) } } }), /header/],
    [{ content: { $case: 'smbiosGzip', value: gzipSync(Buffer.alloc(2 << 20)) } }, /larger than|buffer/i],
    [
      {
        content: { $case: 'inventory', value: Inventory.fromPartial({ disks: Array(4097).fill({ path: '/dev/x' }) }) },
      },
      /lists 4097 disks, accepted: 4096/,
    ],
  ] as [HardwareReport, RegExp][])
    assert.throws(() => shelf.put('m1', report), want);
  assert.equal(shelf.facter('m1')?.toString(), text);
  writeFileSync(join(folder, 'm1/inventory.json'), 'half');
  assert.equal(shelf.inventory('m1'), undefined);
  shelf.put('m1', { content: { $case: 'facterMissing', value: { why: 'not-installed' } } });
  assert.equal(shelf.facterMissing('m1'), 'not-installed');
  shelf.put('m1', facterOf(text));
  assert.equal(shelf.facterMissing('m1'), undefined);
  shelf.put('m1', { content: { $case: 'facterMissing', value: { why: 'x'.repeat(9999) } } });
  assert.equal(shelf.facterMissing('m1')?.length, 200);
  shelf.forget('m1');
  assert.equal(shelf.facterMissing('m1'), undefined);
  assert.equal(shelf.facter('m1'), undefined);
  shelf.forget('m1');
});
