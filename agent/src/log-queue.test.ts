import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cleanLine, LogQueue } from './log-queue.ts';

test('numbers count up over batches, and what was thrown away is counted once', () => {
  const queue = new LogQueue(3);
  for (let i = 0; i < 5; i += 1) queue.add(i, 'agent', `line ${i}`);
  const first = queue.take(2)!;
  assert.deepEqual([first.first, first.dropped, first.lines.map(({ text }) => text)], [2n, 2n, ['line 2', 'line 3']]);
  queue.add(5, 'agent', 'line 5');
  const second = queue.take()!;
  assert.deepEqual(
    [second.first, second.dropped, second.lines.map(({ text }) => text)],
    [4n, 0n, ['line 4', 'line 5']],
  );
  assert.equal(queue.take(), undefined);
});

test('bytes are bounded as well as lines', () => {
  const queue = new LogQueue(1000, 10_000);
  for (let i = 0; i < 100; i += 1) queue.add(0, 'x', 'y'.repeat(1000));
  assert.equal(queue.length, 10);
});

test('colours and control bytes go, text stays', () => {
  assert.equal(cleanLine('\x1b[1;31mred\x1b[0m \x1b]0;title\x07plain\ttab\r\n\x00\x9b'), 'red plain tab');
  assert.equal(cleanLine('grün ✓ 日本'), 'grün ✓ 日本');
});

test('whatever comes in, what goes out is short, printable and well formed', () => {
  const any = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 120 }),
    fc.string({ unit: fc.constantFrom('\x1b', '[', '3', 'm', ']', '\x07', '\ud800', 'ü', '𝄞', ' '), maxLength: 120 }),
  );
  fc.assert(
    fc.property(any, fc.integer({ min: 1, max: 60 }), (text, most) => {
      const line = cleanLine(text, most);
      assert.ok(Buffer.byteLength(line) <= most);
      assert.ok(line.isWellFormed());
      assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f]/);
    }),
  );
});
