import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { moduleBytes } from './memory-modules.ts';
import { readStructures } from './smbios.ts';
import { cleanText, countList, readBiosDate, readUuid, withoutPlaceholder } from './text.ts';

for (const [given, want] of [
  ['To be filled by O.E.M.', undefined],
  ['Default string', undefined],
  ['System Serial Number', undefined],
  ['0000000000', undefined],
  ['xxxxxxx', undefined],
  ['---', undefined],
  ['FFFFFFFF', undefined],
  ['N/A', undefined],
  ['0123456789', undefined],
  ['pc-q35-7.2', 'pc-q35-7.2'],
  ['S0F123', 'S0F123'],
] as const)
  test(`placeholder ${given}`, () => assert.equal(withoutPlaceholder(given), want));

test('text is trimmed and collapsed', () => {
  assert.equal(cleanText('  Samsung   SSD\0\0\xff\n'), 'Samsung SSD');
  assert.equal(cleanText(' \0'), undefined);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
      const clean = cleanText(text);
      assert.ok(clean === undefined || (clean.length > 0 && clean.length <= 256 && clean.isWellFormed()));
    }),
  );
});

test('dates, UUIDs, lists', () => {
  assert.equal(readBiosDate('04/01/2014'), '2014-04-01');
  assert.equal(readBiosDate('04/01/99'), '1999-04-01');
  assert.equal(readBiosDate('13/01/2014'), undefined);
  assert.equal(readUuid('12345678-1234-1234-1234-123456789ABC'), '12345678-1234-1234-1234-123456789abc');
  assert.equal(readUuid('03000200-0400-0500-0006-000700080009'), undefined);
  assert.equal(readUuid('FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'), undefined);
  assert.equal(countList('0-3,8'), 5);
  assert.equal(countList(''), undefined);
});

/** A type 17 structure with its size word and extended size, and one string. */
function memoryModule(size: number, extended = 0): Buffer {
  const bytes = Buffer.alloc(0x28 + 4);
  bytes.set([17, 0x28]);
  bytes.writeUInt16LE(size, 0x0c);
  bytes.writeUInt32LE(extended, 0x1c);
  bytes.write('A\0\0', 0x28, 'latin1');
  return bytes.subarray(0, 0x28 + 3);
}

test('memory modules in all forms of their size', () => {
  const of = (...modules: Buffer[]) =>
    moduleBytes(readStructures(Buffer.concat([...modules, Buffer.from([127, 4, 0, 0, 0, 0])])));
  assert.equal(of(memoryModule(512)), 512n << 20n);
  assert.equal(of(memoryModule(0x8000 | 640)), 640n << 10n);
  assert.equal(of(memoryModule(0x7fff, 65_536), memoryModule(0), memoryModule(1024)), (65_536n + 1024n) << 20n);
  assert.equal(of(memoryModule(0xffff), memoryModule(1024)), undefined);
  assert.equal(of(memoryModule(0)), undefined);
  assert.equal(of(), undefined);
});

test('no table makes the reader throw or run on', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (table) => void moduleBytes(readStructures(table))));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      moduleBytes(readStructures(Buffer.concat([memoryModule(512), noise])));
    }),
  );
});
