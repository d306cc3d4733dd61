import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { agreeOn } from './options.ts';
import { decodeTftp, encodeTftp, type TftpOption } from './packet.ts';
import { packFile, ReadTransfer, type TransferEnd, type TransferStep, usualTiming } from './transfer.ts';

const limits = { maxBlockSize: 1468, maxWindowSize: 64 };
const ack = (block: number): Uint8Array => encodeTftp({ op: 'ack', block: block & 0xffff });
const content = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);

function open(length: number, options: readonly TftpOption[] = []): ReadTransfer {
  const file = content(length);
  return new ReadTransfer({ options, fileSize: length }, (blockSize) => packFile(file, blockSize), limits);
}

function blocks(step: TransferStep): number[] {
  return step.send.map((bytes) => {
    const packet = decodeTftp(bytes);
    return packet.op === 'data' ? packet.block : -1;
  });
}

test('terms: clamped, never refused; nonsense is left out', () => {
  const table: readonly [readonly TftpOption[], readonly TftpOption[], number, number][] = [
    [[], [], 512, 1],
    [[['tsize', '0']], [['tsize', '1000']], 512, 1],
    [[['tsize', '5']], [['tsize', '1000']], 512, 1],
    [[['blksize', '1432']], [['blksize', '1432']], 1432, 1],
    [[['blksize', '70000']], [['blksize', '1468']], 1468, 1],
    [[['blksize', '7']], [], 512, 1],
    [[['blksize', '-1']], [], 512, 1],
    [[['blksize', 'x']], [], 512, 1],
    [[['windowsize', '4']], [['windowsize', '4']], 512, 4],
    [[['windowsize', '65535']], [['windowsize', '64']], 512, 64],
    [[['windowsize', '0']], [], 512, 1],
    [[['timeout', '6']], [], 512, 1],
    [
      [
        ['multicast', ''],
        ['blksize', '8'],
      ],
      [['blksize', '8']],
      8,
      1,
    ],
    [
      [
        ['blksize', '600'],
        ['blksize', '900'],
      ],
      [['blksize', '600']],
      600,
      1,
    ],
  ];
  for (const [given, granted, blockSize, windowSize] of table) {
    assert.deepEqual(agreeOn(given, 1000, limits), { granted, blockSize, windowSize }, JSON.stringify(given));
  }
});

test('packets of a file: last one shorter, empty when the size divides', () => {
  assert.equal(packFile(content(0), 512).count, 1);
  assert.equal(packFile(content(511), 512).count, 1);
  const even = packFile(content(1024), 512);
  assert.equal(even.count, 3);
  assert.equal(even.packet(3).length, 4);
  assert.deepEqual(decodeTftp(even.packet(2)), { op: 'data', block: 2, data: content(1024).subarray(512) });
});

test('no options: data at once, one block per ACK, end after the last', () => {
  const transfer = open(1000);
  assert.deepEqual(blocks(transfer.start(0)), [1]);
  assert.deepEqual(blocks(transfer.receive(ack(1), 1)), [2]);
  assert.equal(transfer.receive(ack(2), 2).end, 'sent');
  assert.ok(transfer.ended);
});

test('size probe: ERROR 8 after the OACK is no failure, a later ERROR is an abort', () => {
  const error = encodeTftp({ op: 'error', code: 8, message: 'User aborted the transfer' });
  const probe = open(1000, [['tsize', '0']]);
  assert.deepEqual(decodeTftp(probe.start(0).send[0]!), { op: 'oack', options: [['tsize', '1000']] });
  assert.equal(probe.receive(error, 1).end, 'size-probe');
  const abort = open(1000);
  abort.start(0);
  assert.equal(abort.receive(error, 1).end, 'aborted');
});

test('duplicate, early and impossible ACKs are not answered', () => {
  const transfer = open(5000, [['blksize', '500']]);
  transfer.start(0);
  assert.deepEqual(blocks(transfer.receive(ack(0), 1)), [1]);
  for (const block of [0, 0, 2, 9, 65535]) assert.deepEqual(transfer.receive(ack(block), 2).send, [], `ACK ${block}`);
  assert.deepEqual(blocks(transfer.receive(ack(1), 3)), [2]);
  assert.deepEqual(transfer.receive(ack(1), 3).send, []);
});

test('window: an ACK inside it moves it on and repeats what the client missed', () => {
  const transfer = open(5000, [
    ['blksize', '500'],
    ['windowsize', '4'],
  ]);
  transfer.start(0);
  assert.deepEqual(blocks(transfer.receive(ack(0), 1)), [1, 2, 3, 4]);
  assert.deepEqual(blocks(transfer.receive(ack(2), 2)), [3, 4, 5, 6]);
  assert.equal(transfer.resent, 2);
  assert.deepEqual(blocks(transfer.receive(ack(6), 3)), [7, 8, 9, 10]);
  assert.deepEqual(blocks(transfer.receive(ack(10), 4)), [11]);
  assert.equal(transfer.receive(ack(11), 5).end, 'sent');
});

test('time-out: follows the round trip, has a floor, doubles, is reset by progress, is not fed by repeats', () => {
  const transfer = open(100_000);
  assert.equal(transfer.start(0).wakeAtMs, usualTiming.firstTimeoutMs);
  // 100 ms measured: 100 + 4 * 50
  let step = transfer.receive(ack(1), 100);
  assert.equal(step.wakeAtMs, 100 + 300);
  // It is repeated at 400, 1000, …; each time the time-out is doubled, up to 4 s.
  step = transfer.timeout(399);
  assert.deepEqual(step.send, []);
  step = transfer.timeout(400);
  assert.deepEqual(blocks(step), [2]);
  assert.equal(step.wakeAtMs, 1000);
  step = transfer.timeout(1000);
  assert.equal(step.wakeAtMs, 1000 + 1200);
  // Karn: the ACK may be for either copy, so it is not measured; the doubling ends.
  step = transfer.receive(ack(2), 1100);
  assert.equal(step.wakeAtMs, 1100 + 300);
  // A fast link comes down to the floor.
  let now = 1100;
  for (let block = 3; block <= 60; block++) {
    now += 0.2;
    step = transfer.receive(ack(block), now);
  }
  assert.equal(step.wakeAtMs, now + usualTiming.floorMs);
});

test('gives up when nothing comes for too long', () => {
  const transfer = open(1000);
  let step = transfer.start(0);
  let sent = step.send.length;
  let last = 0;
  while (step.wakeAtMs !== undefined) {
    last = step.wakeAtMs;
    step = transfer.timeout(last);
    sent += step.send.length;
  }
  assert.equal(step.end, 'gave-up');
  assert.ok(last >= usualTiming.patienceMs && last < usualTiming.patienceMs + usualTiming.ceilingMs, `${last}`);
  assert.ok(sent < 15, `${sent} datagrams for nobody`);
});

test('block numbers wrap after 65535', () => {
  const transfer = open(70_000 * 8 + 3, [
    ['blksize', '8'],
    ['windowsize', '64'],
  ]);
  let step = transfer.start(0);
  step = transfer.receive(ack(0), 0);
  let received = 0;
  while (step.end === undefined) {
    for (const bytes of step.send) {
      const packet = decodeTftp(bytes);
      assert.ok(packet.op === 'data' && packet.block === ((received + 1) & 0xffff));
      received++;
    }
    step = transfer.receive(ack(received), 0);
  }
  assert.equal(step.end, 'sent');
  assert.equal(received, 70_001);
});

/** A client as in RFC 7440: takes blocks in order, acknowledges the last good one at the end of a window, at a gap, and when it waits too long. */
function download(
  file: Uint8Array,
  options: readonly TftpOption[],
  lossPercent: number,
  random: () => number,
): { got: Uint8Array; end?: TransferEnd } {
  const transfer = new ReadTransfer(
    { options, fileSize: file.length },
    (blockSize) => packFile(file, blockSize),
    limits,
  );
  const { blockSize, windowSize } = transfer.terms;
  const got: number[] = [];
  let expected = 1;
  let inWindow = 0;
  let complete = false;
  let now = 0;
  const lost = (): boolean => random() * 100 < lossPercent;
  let step = transfer.start(now);
  for (let turn = 0; turn < 20_000; turn++) {
    const replies: Uint8Array[] = [];
    let gap = false;
    for (const bytes of step.send) {
      if (lost()) continue;
      const packet = decodeTftp(bytes);
      if (packet.op === 'oack') {
        replies.push(ack(0));
      } else if (packet.op === 'data' && packet.block === (expected & 0xffff) && !complete) {
        got.push(...packet.data);
        expected++;
        inWindow++;
        complete = packet.data.length < blockSize;
        if (complete || inWindow === windowSize) {
          replies.push(ack(expected - 1));
          inWindow = 0;
        }
      } else if (!gap) {
        gap = true;
        inWindow = 0;
        replies.push(ack(expected - 1));
      }
    }
    now += 2;
    let next: TransferStep | undefined;
    for (const reply of replies) {
      if (lost()) continue;
      const answer = transfer.receive(reply, now);
      if (answer.end) return { got: Uint8Array.from(got), end: answer.end };
      if (answer.send.length > 0) next = { ...answer, send: [...(next?.send ?? []), ...answer.send] };
    }
    if (!next) {
      now = Math.max(now, step.wakeAtMs ?? now);
      next = transfer.timeout(now);
      if (next.end) return { got: Uint8Array.from(got), end: next.end };
    }
    step = next;
  }
  throw new Error('endless transfer');
}

test('any file arrives whole over a line that loses packets both ways', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: 100, max: 1500 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      (length, blockSize, windowSize, lossPercent, seed) => {
        let state = seed;
        const random = (): number => {
          state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
          return (state >> 8) / (0x7fffffff >> 8);
        };
        const file = content(length);
        const options: TftpOption[] = [
          ['blksize', String(blockSize)],
          ['windowsize', String(windowSize)],
        ];
        const { got, end } = download(file, options, lossPercent, random);
        // Whatever is lost, no block is wrong or out of its place; up to a tenth, all of them come before patience ends.
        assert.deepEqual(got, file.subarray(0, got.length));
        if (end === 'sent' || lossPercent <= 10) assert.equal(got.length, file.length);
        assert.ok(end === 'sent' || end === 'gave-up'); // the very last ACK may be lost, and nobody repeats it
      },
    ),
    { numRuns: 150 },
  );
});

test('any datagrams at any time neither throw nor send beyond the file', () => {
  const event = fc.oneof(
    fc.record({ bytes: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({ bytes: fc.integer({ min: 0, max: 70_000 }).map(ack) }),
    fc.record({ waitMs: fc.integer({ min: 0, max: 5000 }) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.integer({ min: 0, max: 3000 }), (events, length) => {
      const transfer = open(length, [
        ['blksize', '100'],
        ['windowsize', '3'],
      ]);
      let now = 0;
      let ended = 0;
      const check = (step: TransferStep): void => {
        assert.ok(step.send.length <= 3);
        assert.ok(step.send.every((bytes) => bytes.length <= 104));
        if (step.end) ended++;
        assert.equal(step.end === undefined && !transfer.ended, step.wakeAtMs !== undefined);
      };
      check(transfer.start(now));
      for (const one of events) {
        if ('waitMs' in one) now += one.waitMs;
        check('waitMs' in one ? transfer.timeout(now) : transfer.receive(one.bytes, now));
      }
      assert.ok(ended <= 1);
    }),
    { numRuns: 500 },
  );
});
