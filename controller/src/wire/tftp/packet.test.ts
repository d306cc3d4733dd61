import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeTftp, encodeTftp, TftpFormatError, type TftpPacket, type TftpRule } from './packet.ts';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

test('requests of real clients', () => {
  // OVMF, then iPXE's undionly: option names as they write them
  const ovmf = bytesOf('\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0');
  assert.deepEqual(decodeTftp(ovmf), {
    op: 'read',
    name: 'snponly.efi',
    mode: 'octet',
    options: [
      ['tsize', '0'],
      ['blksize', '1468'],
      ['windowsize', '4'],
    ],
  });
  const shouting = decodeTftp(bytesOf('\0\x01\\boot\\X\0OCTET\0BlkSize\x008\0'));
  assert.deepEqual(shouting, { op: 'read', name: '\\boot\\X', mode: 'octet', options: [['blksize', '8']] });
  const padded = decodeTftp(bytesOf('\0\x01x\0octet\0\0\0\0'));
  assert.deepEqual(padded, { op: 'read', name: 'x', mode: 'octet', options: [] });
  assert.deepEqual(decodeTftp(bytesOf('\0\x05\0\x08User aborted')), { op: 'error', code: 8, message: 'User aborted' });
  assert.deepEqual(decodeTftp(bytesOf('\0\x05\0\x00')), { op: 'error', code: 0, message: '' });
});

test('broken packets name the rule and the octet', () => {
  const table: readonly [string, TftpRule, number][] = [
    ['', 'shorter than an opcode', 0],
    ['\0', 'shorter than an opcode', 1],
    ['\0\x07', 'unknown opcode', 0],
    ['\x01\x01x\0octet\0', 'unknown opcode', 0],
    ['\0\x04\0', 'cut off', 3],
    ['\0\x03', 'cut off', 2],
    ['\0\x01name', 'text without end', 2],
    ['\0\x01n\0octet', 'text without end', 4],
    ['\0\x01n\0octet\0blksize\0', 'option without value', 18],
    ['\0\x06tsize\x001', 'text without end', 8],
  ];
  for (const [given, rule, offset] of table) {
    assert.throws(
      () => decodeTftp(bytesOf(given)),
      (error) => error instanceof TftpFormatError && error.rule === rule && error.offset === offset,
      JSON.stringify(given),
    );
  }
});

test('any bytes decode or throw the typed error', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 7 }), fc.uint8Array({ maxLength: 600 }), (opcode, rest) => {
      for (const bytes of [rest, Uint8Array.of(0, opcode, ...rest)]) {
        try {
          decodeTftp(bytes);
        } catch (error) {
          assert.ok(error instanceof TftpFormatError);
          assert.ok(error.offset <= bytes.length);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('what is encoded decodes to the same', () => {
  const text = fc
    .uint8Array({ maxLength: 60 })
    .map((bytes) => String.fromCharCode(...bytes.filter((byte) => byte !== 0)));
  const lower = text.map((value) => value.toLowerCase());
  const optionName = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'abcdefgh19_-') });
  const options = fc.array(fc.tuple(optionName, text), { maxLength: 5 });
  const block = fc.integer({ min: 0, max: 65535 });
  const packet: fc.Arbitrary<TftpPacket> = fc.oneof(
    fc.record({ op: fc.constantFrom('read' as const, 'write' as const), name: text, mode: lower, options }),
    fc.record({ op: fc.constant('data' as const), block, data: fc.uint8Array({ maxLength: 600 }) }),
    fc.record({ op: fc.constant('ack' as const), block }),
    fc.record({ op: fc.constant('error' as const), code: block, message: text }),
    fc.record({ op: fc.constant('oack' as const), options }),
  );
  fc.assert(
    fc.property(packet, (given) => {
      // Lower-casing may leave Latin-1; such a mode is no packet.
      fc.pre(!('mode' in given) || [...given.mode].every((character) => character.charCodeAt(0) < 256));
      assert.deepEqual(decodeTftp(encodeTftp(given)), { ...given });
    }),
    { numRuns: 1000 },
  );
});

test('text that TFTP can not carry is not encoded', () => {
  assert.throws(() => encodeTftp({ op: 'error', code: 1, message: 'a\0b' }), RangeError);
  assert.throws(() => encodeTftp({ op: 'error', code: 1, message: '→' }), RangeError);
});
