import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeMagicPacket, encodeMagicPacket } from './magic.ts';

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test('a magic packet is six ff and the MAC sixteen times, then the password', () => {
  const mac = Uint8Array.of(0x52, 0x54, 0, 0xab, 0xcd, 0xef);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  assert.equal(hex(encodeMagicPacket(mac)), `ffffffffffff${'525400abcdef'.repeat(16)}`);
  const withPassword = encodeMagicPacket(mac, Uint8Array.of(1, 2, 3, 4, 5, 6));
  assert.equal(hex(withPassword), `ffffffffffff${'525400abcdef'.repeat(16)}010203040506`);
  assert.equal(encodeMagicPacket(mac, Uint8Array.of(1, 2, 3, 4)).length, 106);
});

test('other lengths are refused', () => {
  assert.throws(() => encodeMagicPacket(new Uint8Array(5)), RangeError);
  for (const length of [0, 1, 5, 7])
    assert.throws(() => encodeMagicPacket(new Uint8Array(6), new Uint8Array(length)), RangeError);
});

test('what is encoded decodes to the same, also inside a longer frame', () => {
  fc.assert(
    fc.property(
      octets(6),
      fc.oneof(octets(0), octets(4), octets(6)),
      fc.uint8Array({ maxLength: 20 }),
      (mac, secureOn, before) => {
        fc.pre(before.every((byte) => byte !== 0xff) && mac[0] !== 0xff);
        const packet = encodeMagicPacket(mac, secureOn.length > 0 ? secureOn : undefined);
        assert.deepEqual(decodeMagicPacket(Uint8Array.of(...before, ...packet)), { mac, secureOn });
      },
    ),
  );
});

test('anything else holds no magic packet', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 101 }), (bytes) => assert.equal(decodeMagicPacket(bytes), undefined)),
  );
  const broken = encodeMagicPacket(Uint8Array.of(1, 2, 3, 4, 5, 6));
  broken[101] = 7;
  assert.equal(decodeMagicPacket(broken), undefined);
});
