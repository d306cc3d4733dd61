import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { readCapture } from './capture.ts';
import { readFrame } from './datagram.ts';

const fixture = (name: string): Uint8Array => readFileSync(new URL(`./fixtures/${name}`, import.meta.url));

interface Shape {
  little: boolean;
}

class Writer {
  readonly #bytes: number[] = [];
  readonly #little: boolean;
  constructor({ little }: Shape) {
    this.#little = little;
  }
  number(value: number, octets: 2 | 4): this {
    const bytes = Array.from({ length: octets }, (_, index) => Math.floor(value / 256 ** index) & 255);
    this.#bytes.push(...(this.#little ? bytes : bytes.reverse()));
    return this;
  }
  bytes(bytes: Iterable<number>): this {
    this.#bytes.push(...bytes);
    return this;
  }
  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

const frames = [Uint8Array.of(1, 2, 3), new Uint8Array(), Uint8Array.from({ length: 61 }, (_, index) => index)];

function pcap({ little }: Shape, nano: boolean, link = 1): Uint8Array {
  const writer = new Writer({ little })
    .number(nano ? 0xa1b23c4d : 0xa1b2c3d4, 4)
    .number(2, 2)
    .number(4, 2);
  writer.number(0, 4).number(0, 4).number(65535, 4).number(link, 4);
  frames.forEach((frame, index) => {
    writer.number(1000 + index, 4).number(nano ? 500_000_000 : 500_000, 4);
    writer
      .number(frame.length, 4)
      .number(frame.length + index, 4)
      .bytes(frame);
  });
  return writer.done();
}

function block({ little }: Shape, type: number, body: Uint8Array): Uint8Array {
  const padded = body.length + (-body.length & 3);
  return new Writer({ little })
    .number(type, 4)
    .number(padded + 12, 4)
    .bytes(body)
    .bytes(new Uint8Array(padded - body.length))
    .number(padded + 12, 4)
    .done();
}

function pcapng(shape: Shape): Uint8Array {
  const writer = () => new Writer(shape);
  const section = block(
    shape,
    0x0a0d0d0a,
    writer().number(0x1a2b3c4d, 4).number(1, 2).number(0, 2).bytes(new Array(8).fill(255)).done(),
  );
  const name = [108, 97, 110, 48, 0]; // lan0
  const described = block(
    shape,
    1,
    writer()
      .number(1, 2)
      .number(0, 2)
      .number(0, 4)
      .number(2, 2)
      .number(5, 2)
      .bytes(name)
      .bytes([0, 0, 0])
      .number(9, 2)
      .number(1, 2)
      .bytes([9, 0, 0, 0])
      .number(0, 4)
      .done(),
  );
  const stamp = 1_000_500_000_000; // nanoseconds: 1000.5 s
  const enhanced = block(
    shape,
    6,
    writer()
      .number(0, 4)
      .number(Math.floor(stamp / 2 ** 32), 4)
      .number(stamp % 2 ** 32, 4)
      .number(3, 4)
      .number(9, 4)
      .bytes(frames[0]!)
      .done(),
  );
  const unknown = block(shape, 0x0bad, Uint8Array.of(1, 2, 3, 4));
  const simple = block(shape, 3, writer().number(61, 4).bytes(frames[2]!).done());
  return Uint8Array.from([...section, ...described, ...unknown, ...enhanced, ...simple]);
}

test('pcap in both byte orders, micro- and nanoseconds', () => {
  for (const little of [false, true]) {
    for (const nano of [false, true]) {
      const capture = readCapture(pcap({ little }, nano, 276))!;
      assert.deepEqual(capture.damage, []);
      assert.deepEqual(
        capture.frames.map((frame) => [frame.link, frame.seconds, frame.wireLength, [...frame.bytes]]),
        [
          [276, 1000.5, undefined, [...frames[0]!]],
          [276, 1001.5, 1, []],
          [276, 1002.5, 63, [...frames[2]!]],
        ],
      );
    }
  }
});

test('pcapng in both byte orders: enhanced and simple packets, time resolution, interface name', () => {
  for (const little of [false, true]) {
    const capture = readCapture(pcapng({ little }))!;
    assert.deepEqual(capture.damage, []);
    assert.deepEqual(
      capture.frames.map((frame) => ({ ...frame, bytes: [...frame.bytes] })),
      [
        { link: 1, seconds: 1000.5, wireLength: 9, interface: 'lan0', bytes: [...frames[0]!] },
        { link: 1, interface: 'lan0', bytes: [...frames[2]!] },
      ],
    );
  }
});

test('a cut file gives what came before the cut, and says where it is cut', () => {
  for (const whole of [pcap({ little: true }, false), pcapng({ little: false })]) {
    const total = readCapture(whole)!.frames.length;
    let most = 0;
    for (let length = 12; length < whole.length; length += 1) {
      const capture = readCapture(whole.subarray(0, length))!;
      assert(capture.frames.length < total);
      most = Math.max(most, capture.frames.length);
    }
    assert.equal(most, total - 1);
    assert.equal(readCapture(whole.subarray(0, whole.length - 1))!.damage.length, 1);
  }
});

test('lengths that lie are damage', () => {
  const long = pcap({ little: true }, false);
  new DataView(long.buffer).setUint32(24 + 8, 0x7fffffff, true);
  assert.match(readCapture(long)!.damage[0]!, /2147483647 octets/);
  const odd = pcapng({ little: true });
  new DataView(odd.buffer).setUint32(4, 13, true);
  assert.match(readCapture(odd)!.damage[0]!, /13 octets/);
});

test('other files are no captures', () => {
  for (const bytes of [
    new Uint8Array(),
    Uint8Array.of(1),
    new Uint8Array(200),
    new TextEncoder().encode('{"raw":""}'),
  ]) {
    assert.equal(readCapture(bytes), undefined);
  }
});

test('no bytes make a reader throw', () => {
  const seeds = [
    pcap({ little: true }, false),
    pcap({ little: false }, true),
    pcapng({ little: true }),
    pcapng({ little: false }),
    ...['ovmf-hubport', 'ovmf-tcpdump', 'ovmf-cooked', 'ovmf-virtio'].map((name) => fixture(`${name}.pcap`)),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.nat(10_000),
      fc.array(fc.tuple(fc.nat(3000), fc.nat(255)), { maxLength: 8 }),
      fc.boolean(),
      (seed, cut, flips, header) => {
        const bytes = Uint8Array.from(seed.subarray(0, header ? cut : seed.length));
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        for (const frame of readCapture(bytes)?.frames ?? []) {
          assert(frame.bytes.length <= bytes.length);
          readFrame(frame);
        }
      },
    ),
    { numRuns: 1000 },
  );
});
