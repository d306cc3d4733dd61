import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import {
  DhcpFormatError,
  type DhcpOption,
  type DhcpPacket,
  decodeDhcp,
  decodeDhcpInPlace,
  encodeDhcp,
  encodeDhcpInto,
  fieldText,
  headerText,
  option,
} from './packet.ts';
import { DhcpTextError, parseDhcp, printDhcp } from './print.ts';
import { hexText } from './shapes.ts';

interface Golden {
  op: number;
  hops: number;
  xid: string;
  secs: number;
  flags: string;
  ciaddr: string;
  yiaddr: string;
  siaddr: string;
  giaddr: string;
  chaddr: string;
  sname: string;
  bootfile: string;
  options: [number, string][];
  raw: string;
}

const golden = readFileSync(new URL('./fixtures/dhcp.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Golden);
const rawOf = (line: Golden): Uint8Array => Uint8Array.from(Buffer.from(line.raw, 'hex'));

test('all 197 recorded messages decode to the recorded fields', () => {
  assert.equal(golden.length, 197);
  for (const line of golden) {
    const packet = decodeDhcp(rawOf(line));
    assert.deepEqual(
      {
        op: packet.op,
        hops: packet.hops,
        xid: packet.xid.toString(16).padStart(8, '0'),
        secs: packet.secs,
        flags: packet.flags.toString(16).padStart(4, '0'),
        ciaddr: packet.ciaddr,
        yiaddr: packet.yiaddr,
        siaddr: packet.siaddr,
        giaddr: packet.giaddr,
        chaddr: Buffer.from(packet.chaddr.subarray(0, 6)).toString('hex'),
        sname: headerText(packet, 'sname'),
        bootfile: headerText(packet, 'file'),
        options: packet.options.map(([code, value]) => [code, hexText(value)]),
      },
      {
        op: line.op,
        hops: line.hops,
        xid: line.xid,
        secs: line.secs,
        flags: line.flags,
        ciaddr: line.ciaddr,
        yiaddr: line.yiaddr,
        siaddr: line.siaddr,
        giaddr: line.giaddr,
        chaddr: line.chaddr.replaceAll(':', ''),
        sname: line.sname,
        bootfile: line.bootfile,
        options: line.options,
      },
    );
  }
});

test('all recorded messages encode to the same bytes', () => {
  for (const line of golden) assert.equal(Buffer.from(encodeDhcp(decodeDhcp(rawOf(line)))).toString('hex'), line.raw);
});

test('print → parse is the same message for all recorded ones', () => {
  for (const line of golden) {
    const packet = decodeDhcp(rawOf(line));
    assert.deepEqual(parseDhcp(printDhcp(packet)), packet);
  }
});

const octets = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const address = fc.ipV4();
const anyPacket: fc.Arbitrary<DhcpPacket> = fc.record(
  {
    op: fc.constantFrom(1, 2),
    htype: fc.nat(255),
    hlen: fc.nat(16),
    hops: fc.nat(255),
    xid: fc.nat(0xffffffff),
    secs: fc.nat(65_535),
    flags: fc.nat(65_535),
    ciaddr: address,
    yiaddr: address,
    siaddr: address,
    giaddr: address,
    chaddr: octets(16),
    sname: octets(64),
    file: octets(128),
    // 52 would give sname and file another meaning.
    options: fc.array(
      fc.tuple(
        fc.integer({ min: 1, max: 254 }).filter((code) => code !== 52),
        fc.uint8Array({ maxLength: 255 }),
      ) as fc.Arbitrary<DhcpOption>,
      { maxLength: 12 },
    ),
  },
  { noNullPrototype: true },
);

test('any message: encode → decode and print → parse give it back', () => {
  fc.assert(
    fc.property(anyPacket, (packet) => {
      assert.deepEqual(decodeDhcp(encodeDhcp(packet)), packet);
      assert.deepEqual(parseDhcp(printDhcp(packet)), packet);
    }),
  );
});

test('in place: the same values, and the same octets wherever the last message was put together', () => {
  const into = new Uint8Array(700).fill(0xaa);
  fc.assert(
    fc.property(anyPacket, (packet) => {
      const bytes = encodeDhcp(packet);
      assert.deepEqual(encodeDhcpInto(packet, into), bytes);
      const own = encodeDhcpInto(packet, new Uint8Array(100));
      assert.deepEqual(own, bytes, 'what does not fit gets memory of its own');
      assert.deepEqual(decodeDhcpInPlace(bytes), packet);
      assert.equal(decodeDhcpInPlace(bytes).chaddr.buffer, bytes.buffer);
      assert.notEqual(decodeDhcp(bytes).chaddr.buffer, bytes.buffer);
    }),
  );
  const short = { ...decodeDhcp(rawOf(golden[0]!)), sname: Uint8Array.of(1), file: new Uint8Array(0) };
  const decoded = decodeDhcp(encodeDhcpInto(short, into));
  assert.deepEqual([decoded.sname, decoded.file], [new Uint8Array(64).with(0, 1), new Uint8Array(128)]);
});

/** A recorded message, damaged: cut, octets flipped, a slice repeated. */
const damaged = fc
  .tuple(
    fc.nat(golden.length - 1),
    fc.nat(420),
    fc.array(fc.tuple(fc.nat(419), fc.nat(255)), { maxLength: 6 }),
    fc.tuple(fc.nat(400), fc.nat(60)),
  )
  .map(([line, cut, flips, [from, count]]) => {
    const raw = rawOf(golden[line]!);
    for (const [at, value] of flips) if (at < raw.length) raw[at] = value;
    const repeated = Uint8Array.from([
      ...raw.subarray(0, from),
      ...raw.subarray(from, from + count),
      ...raw.subarray(from),
    ]);
    return repeated.subarray(0, repeated.length - (cut % 200));
  });

test('no bytes make the decoder throw anything but its own error, and the offset is inside', () => {
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 700 })), (bytes) => {
      try {
        const packet = decodeDhcp(bytes);
        for (let code = 0; code < 256; code += 1) option(packet, code);
        const again = decodeDhcp(encodeDhcp(packet));
        assert.deepEqual(again, packet);
        assert.deepEqual(parseDhcp(printDhcp(packet)), packet);
      } catch (error) {
        assert(error instanceof DhcpFormatError, String(error));
        assert(error.offset >= 0 && error.offset <= bytes.length);
      }
    }),
    { numRuns: 1000 },
  );
});

test('no text makes the text reader throw anything but its own error', () => {
  const lines = printDhcp(decodeDhcp(rawOf(golden[0]!)));
  fc.assert(
    fc.property(fc.nat(lines.length - 1), fc.nat(60), fc.string({ maxLength: 4 }), (index, at, text) => {
      const broken = lines.with(index, lines[index]!.slice(0, at) + text + lines[index]!.slice(at + 1));
      try {
        parseDhcp(broken);
      } catch (error) {
        assert(error instanceof DhcpTextError, String(error));
        assert.equal(error.line, index + 1);
      }
    }),
  );
});

const base = decodeDhcp(rawOf(golden[0]!));

test('the rule and the offset of what is malformed', () => {
  const good = encodeDhcp({ ...base, options: [] });
  const withTail = (...tail: number[]): Uint8Array => Uint8Array.from([...good.subarray(0, 240), ...tail]);
  const table: [string, Uint8Array, string, number][] = [
    ['empty', new Uint8Array(), 'shorter than a header', 0],
    ['cut header', good.subarray(0, 239), 'shorter than a header', 239],
    ['70 kB', new Uint8Array(70_000), 'longer than a datagram', 65_507],
    ['op 3', good.with(0, 3), 'op is neither 1 nor 2', 0],
    ['InfiniBand length 20', good.with(2, 20), 'hardware address longer than 16', 2],
    ['BOOTP', good.with(237, 0), 'no DHCP magic cookie', 237],
    ['code at the end', withTail(53), 'option without length', 240],
    ['value past the end', withTail(0, 0, 53, 2, 1), 'option past the end', 242],
    [
      'file overloaded with garbage',
      encodeDhcp({ ...base, file: base.file.with(0, 12).with(1, 200), options: [[52, Uint8Array.of(1)]] }),
      'option past the end',
      108,
    ],
    [
      'sname overloaded with garbage',
      encodeDhcp({ ...base, sname: base.sname.with(0, 12).with(1, 200), options: [[52, Uint8Array.of(2)]] }),
      'option past the end',
      44,
    ],
  ];
  for (const [name, given, rule, offset] of table) {
    assert.throws(
      () => decodeDhcp(given),
      (error) => error instanceof DhcpFormatError && error.rule === rule && error.offset === offset,
      name,
    );
  }
});

test('a missing end mark and a message of only a header are forgiven', () => {
  const good = encodeDhcp({ ...base, options: [] });
  assert.deepEqual(decodeDhcp(good.subarray(0, 240)).options, []);
  assert.deepEqual(decodeDhcp(Uint8Array.from([...good.subarray(0, 240), 53, 1, 1])).options, [[53, Uint8Array.of(1)]]);
});

test('short messages are padded to 300 octets', () => {
  assert.equal(encodeDhcp({ ...base, options: [] }).length, 300);
});

test('split options are joined, and values too long for one are split (RFC 3396)', () => {
  const long = Uint8Array.from({ length: 600 }, (_, index) => index & 255);
  const packet = decodeDhcp(encodeDhcp({ ...base, options: [[43, long]] }));
  assert.deepEqual(
    packet.options.map(([code, value]) => [code, value.length]),
    [
      [43, 255],
      [43, 255],
      [43, 90],
    ],
  );
  assert.deepEqual(option(packet, 43), long);
});

test('overloaded fields are read after the options field: file, then sname (RFC 2132 9.3, RFC 3396)', () => {
  const file = new Uint8Array(128);
  file.set([12, 2, 98, 98, 255]);
  const sname = new Uint8Array(64);
  sname.set([12, 1, 99, 255]);
  const packet = decodeDhcp(
    encodeDhcp({
      ...base,
      file,
      sname,
      options: [
        [52, Uint8Array.of(3)],
        [12, Uint8Array.of(97)],
      ],
    }),
  );
  assert.equal(Buffer.from(option(packet, 12)!).toString(), 'abbc');
  assert.equal(headerText(packet, 'file'), '');
  assert.equal(headerText(packet, 'sname'), '');
});

test('header text keeps room for one NUL', () => {
  assert.equal(fieldText('x'.repeat(127), 128).length, 127);
  assert.throws(() => fieldText('x'.repeat(128), 128), RangeError);
});
