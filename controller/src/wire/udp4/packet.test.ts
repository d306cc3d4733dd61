import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { encodeUdp4, readUdp4 } from './packet.ts';

const from = { address: '10.0.0.1', port: 67 };
const to = { address: '255.255.255.255', port: 68 };

test('what was encoded is read again, whatever it carries', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1472 }), (payload) => {
      const read = readUdp4(encodeUdp4(from, to, payload));
      assert.deepEqual(read, { kind: 'datagram', from, to, payload, cut: false });
    }),
  );
});

/** RFC 1071: over data with a right checksum the sum is all ones. */
function ones(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

test('both checksums are right', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (payload) => {
      const bytes = encodeUdp4(from, to, payload);
      assert.equal(ones(bytes.subarray(0, 20)), 0xffff);
      const length = bytes.length - 20;
      assert.equal(ones(bytes.subarray(20), ones(bytes.subarray(12, 20)) + 17 + length), 0xffff);
      assert.notEqual((bytes[26]! << 8) | bytes[27]!, 0); // 0: no checksum
    }),
  );
});

test('a known header: RFC 1071 example of a packet whose checksum is known', () => {
  const bytes = encodeUdp4(
    { address: '0.0.0.0', port: 68 },
    { address: '255.255.255.255', port: 67 },
    new Uint8Array(300),
  );
  assert.equal(
    Buffer.from(bytes.subarray(0, 20)).toString('hex'),
    '45000148000000004011' + '79a6' + '00000000ffffffff',
  );
});

test('what is no whole UDP is told apart, and nothing is ever thrown', () => {
  const bytes = encodeUdp4(from, to, new Uint8Array(10));
  assert.equal(readUdp4(bytes.subarray(0, 30)).kind, 'datagram');
  assert.equal(readUdp4(bytes.subarray(0, 25)).kind, 'damaged');
  assert.equal(readUdp4(bytes.subarray(0, 10)).kind, 'damaged');
  assert.equal(readUdp4(new Uint8Array()).kind, 'other');
  assert.equal(readUdp4(Uint8Array.from(bytes, (octet, at) => (at === 9 ? 6 : octet))).kind, 'other');
  assert.equal(readUdp4(Uint8Array.from(bytes, (octet, at) => (at === 6 ? 0x20 : octet))).kind, 'fragment');
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (random) => void readUdp4(random)));
});
