import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { LogIntake } from '../../controller/src/core/log-intake.ts';
import { LogQueue } from './log-queue.ts';

const now = { ticks: 100, unixMs: 1_000_100 };
const line = (text: string) => ({ ticks: 0, source: 'agent', text });
const texts = (batch: ReturnType<LogQueue['take']>) => batch?.lines.map(({ text }) => text);

test('numbers count up over batches; lines are kept until they are acknowledged', () => {
  const queue = new LogQueue({ stream: 7n });
  for (let i = 0; i < 5; i += 1) queue.add(line(`line ${i}`));
  const first = queue.take(now, 2)!;
  assert.deepEqual([first.stream, first.first, first.dropped, texts(first)], [7n, 0n, 0n, ['line 0', 'line 1']]);
  assert.deepEqual([first.unixMs, first.lines[0]!.unixMs], [1_000_100n, 1_000_000n]);
  assert.deepEqual(texts(queue.take(now)), ['line 2', 'line 3', 'line 4']);
  assert.deepEqual([queue.take(now), queue.length, queue.unsent], [undefined, 5, 0]);
  queue.acknowledge(7n, 2n);
  queue.acknowledge(8n, 5n);
  queue.acknowledge(7n, 99n);
  assert.equal(queue.length, 3);
  queue.rewind();
  const again = queue.take(now)!;
  assert.deepEqual([again.first, texts(again)], [2n, ['line 2', 'line 3', 'line 4']]);
});

test('what an earlier session brought is not sent again once it is acknowledged', () => {
  const queue = new LogQueue({ stream: 1n });
  for (let i = 0; i < 6; i += 1) queue.add(line(`${i}`));
  queue.take(now, 5);
  queue.rewind();
  queue.take(now, 1);
  queue.acknowledge(1n, 5n);
  const rest = queue.take(now)!;
  assert.deepEqual([rest.first, rest.dropped, texts(rest), queue.length], [5n, 0n, ['5'], 1]);
  queue.acknowledge(1n, 7n);
  assert.equal(queue.length, 1);
});

test('the oldest are thrown away, counted, and told with the line that follows', () => {
  const queue = new LogQueue({ stream: 1n, mostLines: 3 });
  for (let i = 0; i < 5; i += 1) queue.add(line(`line ${i}`));
  const batch = queue.take(now)!;
  assert.deepEqual([batch.first, batch.dropped, texts(batch)], [2n, 2n, ['line 2', 'line 3', 'line 4']]);
  queue.add(line('line 5'));
  const next = queue.take(now)!;
  assert.deepEqual([next.first, next.dropped, queue.dropped], [5n, 0n, 3]);
});

test('text is bounded as well as lines', () => {
  const queue = new LogQueue({ stream: 1n, mostLines: 1000, mostChars: 10_000 });
  for (let i = 0; i < 100; i += 1) queue.add(line('y'.repeat(1000)));
  assert.equal(queue.length, 10);
});

test('so many are out and no more, whatever was thrown away meanwhile', () => {
  const queue = new LogQueue({ stream: 1n, mostLines: 10, windowLines: 4 });
  for (let i = 0; i < 6; i += 1) queue.add(line(`${i}`));
  assert.deepEqual(texts(queue.take(now)), ['0', '1', '2', '3']);
  assert.equal(queue.take(now), undefined);
  for (let i = 6; i < 40; i += 1) queue.add(line(`${i}`));
  assert.equal(queue.take(now), undefined);
  queue.acknowledge(1n, 4n);
  const batch = queue.take(now)!;
  assert.deepEqual([batch.first, batch.dropped, batch.lines.length], [30n, 26n, 4]);
});

test('a place counts when all before it is acknowledged; who waits for room gets it', async () => {
  const queue = new LogQueue({ stream: 1n, mostLines: 4 });
  queue.mark('start');
  assert.equal(queue.place, 'start');
  for (const text of ['a', 'b', 'c']) queue.add(line(text));
  queue.mark('c');
  let room = false;
  const waited = queue.room(new AbortController().signal).then(() => {
    room = true;
  });
  queue.take(now);
  queue.acknowledge(1n, 2n);
  assert.equal(queue.place, 'start');
  await waited;
  assert.ok(room);
  queue.acknowledge(1n, 3n);
  assert.equal(queue.place, 'c');
});

type Step = { readonly kind: 'say' | 'send'; readonly count: number } | { readonly kind: 'deliver' | 'hear' | 'break' };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('say' as const), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('deliver' as const, 'hear' as const, 'break' as const) }),
  },
);

test('whatever breaks when: every line comes once and in order, or is counted', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 3, max: 30 }), (steps, mostLines) => {
      const queue = new LogQueue({ stream: 5n, mostLines, windowLines: 10 });
      const intake = new LogIntake();
      let said = 0;
      let lost = 0;
      const got: number[] = [];
      let onTheWay: NonNullable<ReturnType<LogQueue['take']>>[] = [];
      let back: bigint[] = [];
      const play = (each: Step): void => {
        if (each.kind === 'say') for (let i = 0; i < each.count; i++) queue.add(line(String(said++)));
        if (each.kind === 'send') {
          const batch = queue.take(now, each.count);
          if (batch !== undefined) onTheWay.push(batch);
        }
        if (each.kind === 'deliver') {
          const batch = onTheWay.shift();
          if (batch === undefined) return;
          const taken = intake.take('m1', batch, 0);
          lost += taken.lost;
          got.push(...taken.lines.map(({ text }) => Number(text)));
          back.push(taken.next!);
        }
        if (each.kind === 'hear') {
          const next = back.shift();
          if (next !== undefined) queue.acknowledge(5n, next);
        }
        if (each.kind === 'break') {
          // What was delivered stays delivered; what the controller said of it is lost.
          onTheWay = [];
          back = [];
          queue.rewind();
        }
        assert.ok(queue.length <= mostLines);
      };
      for (const each of steps) play(each);
      play({ kind: 'break' });
      play({ kind: 'say', count: 1 });
      while (queue.length > 0) for (const kind of ['send', 'deliver', 'hear'] as const) play({ kind, count: 5 });
      assert.deepEqual(
        got,
        [...new Set(got)].sort((a, b) => a - b),
      );
      assert.equal(got.length + lost, said);
    }),
    { numRuns: 500 },
  );
});
