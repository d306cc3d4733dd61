import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cleanLine, maxLineLength, splitCleanLines, splitLines } from './lines.ts';

function clean(chunks: readonly Uint8Array[], limit?: number): string[] {
  const lines: string[] = [];
  const splitter = splitCleanLines((line) => lines.push(line), limit);
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}
function split(chunks: readonly Uint8Array[], limit = 1000): { lines: string[]; cut: number } {
  const lines: string[] = [];
  let cut = 0;
  const splitter = splitLines((line, wasCut) => {
    lines.push(line);
    if (wasCut) cut++;
  }, limit);
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return { lines, cut };
}
const bytes = (text: string) => new TextEncoder().encode(text);

test('lines are the same however the bytes are cut', () => {
  const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n\ufeff]/g, ''));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(40)), (lines, cuts) => {
      const data = bytes(lines.map((one) => `${one}\n`).join(''));
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(data.subarray(at, at + cut));
        at = Math.min(data.length, at + cut);
      }
      chunks.push(data.subarray(at));
      assert.deepEqual(split(chunks).lines, lines);
    }),
  );
});

test('a line without end is given at the end, and one that is too long is cut', () => {
  assert.deepEqual(split([bytes('a\r\nb')]), { lines: ['a', 'b'], cut: 0 });
  assert.deepEqual(split([bytes('xxxx'), bytes('xxxx'), bytes('xx\nnext\nlong again\n')], 5), {
    lines: ['xxxxx', 'next', 'long '],
    cut: 2,
  });
});

test('line ends of all kinds, and a last line without one', () => {
  assert.deepEqual(clean([bytes('a\nb\r\nc\rd')]), ['a', 'b', 'c', 'd']);
  assert.deepEqual(clean([bytes('a\r'), bytes('\nb\r'), bytes('c')]), ['a', 'b', 'c']);
  assert.deepEqual(clean([bytes('a\r')]), ['a']);
  assert.deepEqual(clean([bytes('\n\nx\n')]), ['', '', 'x']);
});

test('a letter cut in half by chunks arrives whole', () => {
  const euro = bytes('€');
  assert.deepEqual(clean([euro.subarray(0, 1), euro.subarray(1), bytes('\n')]), ['€']);
});

test('long lines are cut, also without any line end', () => {
  const lines = clean([bytes('x'.repeat(5000)), bytes('y'.repeat(5000)), bytes('\nnext\n')]);
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
      const lines = clean(pieces, 40);
      assert.deepEqual(lines, clean([data], 40));
      for (const line of lines) {
        assert.ok(line.length <= 40 + 1);
        assert.doesNotMatch(line, /[\x00-\x1f\x7f]/);
      }
    }),
  );
});
