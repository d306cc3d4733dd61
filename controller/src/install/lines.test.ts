import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cleanLine, maxLineLength, splitLines } from './lines.ts';

function split(chunks: readonly Uint8Array[], limit?: number): string[] {
  const lines: string[] = [];
  const splitter = splitLines((line) => lines.push(line), limit);
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}
const bytes = (text: string) => new TextEncoder().encode(text);

test('line ends of all kinds, and a last line without one', () => {
  assert.deepEqual(split([bytes('a\nb\r\nc\rd')]), ['a', 'b', 'c', 'd']);
  assert.deepEqual(split([bytes('a\r'), bytes('\nb\r'), bytes('c')]), ['a', 'b', 'c']);
  assert.deepEqual(split([bytes('a\r')]), ['a']);
  assert.deepEqual(split([bytes('\n\nx\n')]), ['', '', 'x']);
});

test('a letter cut in half by chunks arrives whole', () => {
  const euro = bytes('€');
  assert.deepEqual(split([euro.subarray(0, 1), euro.subarray(1), bytes('\n')]), ['€']);
});

test('long lines are cut, also without any line end', () => {
  const lines = split([bytes('x'.repeat(5000)), bytes('y'.repeat(5000)), bytes('\nnext\n')]);
  assert.equal(lines[0], `${'x'.repeat(maxLineLength)}…`);
  assert.equal(lines[1], 'next');
});

test('colours and control bytes are gone', () => {
  assert.equal(cleanLine('\x1b[1;31merror:\x1b[0m a\tb\x07\x1b]0;title\x07c'), 'error: a  bc');
});

test('any bytes in any pieces: bounded lines, no control bytes, same as in one piece', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 5 }), (data, cuts) => {
      const points = [0, ...cuts.filter((cut) => cut < data.length).sort((a, b) => a - b), data.length];
      const pieces = points.slice(1).map((point, index) => data.subarray(points[index], point));
      const lines = split(pieces, 40);
      assert.deepEqual(lines, split([data], 40));
      for (const line of lines) {
        assert.ok(line.length <= 40 * 2 + 1);
        assert.doesNotMatch(line, /[\x00-\x1f\x7f]/);
      }
    }),
  );
});
