import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { readFrame } from './datagram.ts';

const payload = Uint8Array.of(1, 2, 3, 4, 5);

/** An IPv4 packet with UDP 68 > 67 inside. */
function ipv4(
  over: { fragment?: number; options?: number; protocol?: number; udpLength?: number; cut?: number } = {},
): number[] {
  const options = over.options ?? 0;
  const header = 20 + options;
  const total = header + 8 + payload.length;
  return [
    ...[0x40 | (header / 4), 0, total >> 8, total & 255, 0, 9, (over.fragment ?? 0) >> 8, (over.fragment ?? 0) & 255],
    ...[64, over.protocol ?? 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
    ...new Array(options).fill(1),
    ...[0, 68, 0, 67, 0, over.udpLength ?? 8 + payload.length, 0, 0],
    ...payload,
  ].slice(0, over.cut);
}

const macs = [255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 1];
const ethernet = (...rest: number[]): number[] => [...macs, ...rest];
const padding = new Array(20).fill(0);

test('a datagram is found behind each link layer', () => {
  const table: [string, number, number[], number[]][] = [
    ['Ethernet, padded', 1, [...ethernet(8, 0), ...ipv4(), ...padding], []],
    ['VLAN', 1, [...ethernet(0x81, 0, 0x20, 7, 8, 0), ...ipv4()], [7]],
    ['VLAN in VLAN', 1, [...ethernet(0x88, 0xa8, 0, 100, 0x81, 0, 0, 7, 8, 0), ...ipv4()], [100, 7]],
    ['virtio header of 10 octets', 1, [...new Array(10).fill(0), ...ethernet(8, 0), ...ipv4()], []],
    ['virtio header of 12 octets', 1, [...new Array(12).fill(0), ...ethernet(8, 0), ...ipv4()], []],
    ['virtio header and VLAN', 1, [...new Array(12).fill(0), ...ethernet(0x81, 0, 0, 7, 8, 0), ...ipv4()], [7]],
    ['cooked', 113, [0, 0, 0, 1, 0, 6, ...macs.slice(6), 0, 0, 8, 0, ...ipv4()], []],
    ['cooked 2', 276, [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, ...macs.slice(6), 0, 0, ...ipv4()], []],
    ['raw', 101, ipv4(), []],
    ['raw of OpenBSD', 12, ipv4(), []],
    ['IPv4', 228, ipv4({ options: 8 }), []],
  ];
  for (const [name, link, bytes, vlans] of table) {
    assert.deepEqual(
      readFrame({ link, bytes: Uint8Array.from(bytes) }),
      {
        kind: 'datagram',
        from: { address: '10.0.0.1', port: 68 },
        to: { address: '10.0.0.2', port: 67 },
        payload,
        vlans,
        cut: false,
      },
      name,
    );
  }
});

test('what is no whole datagram is told apart', () => {
  const table: [string, number, number[], string, RegExp?][] = [
    ['ARP', 1, ethernet(8, 6, 0, 1), 'other'],
    ['IPv6', 1, ethernet(0x86, 0xdd, 0x60), 'other'],
    ['TCP', 228, ipv4({ protocol: 6 }), 'other'],
    ['nothing', 1, [], 'other'],
    [
      'first fragment',
      228,
      ipv4({ fragment: 0x2000 }),
      'fragment',
      /10\.0\.0\.1 > 10\.0\.0\.2, ports 68 > 67, octets 0 to 12 of datagram 9/,
    ],
    ['later fragment', 228, ipv4({ fragment: 185 }), 'fragment', /octets 1480 to 1492 of datagram 9/],
    ['cut IPv4 header', 228, ipv4({ cut: 19 }), 'damaged', /IPv4 header/],
    ['cut UDP header', 228, ipv4({ cut: 27 }), 'damaged', /UDP header/],
    ['UDP length 7', 228, ipv4({ udpLength: 7 }), 'damaged', /length of 7/],
    ['Wi-Fi', 105, ipv4(), 'damaged', /link type 105/],
  ];
  for (const [name, link, bytes, kind, text] of table) {
    const content = readFrame({ link, bytes: Uint8Array.from(bytes) });
    assert.equal(content.kind, kind, name);
    if (text) assert.match('text' in content ? content.text : '', text, name);
  }
});

test('a datagram of which the capture holds only the beginning says so', () => {
  const content = readFrame({ link: 228, bytes: Uint8Array.from(ipv4({ cut: 30 })) });
  assert(content.kind === 'datagram');
  assert.equal(content.cut, true);
  assert.equal(content.payload.length, 2);
});

test('no frame makes it throw', () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 12, 101, 113, 228, 276, 999), fc.uint8Array({ maxLength: 120 }), (link, bytes) => {
      readFrame({ link, bytes });
    }),
  );
});
