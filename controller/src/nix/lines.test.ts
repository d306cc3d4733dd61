import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { lineSplitter } from './lines.ts';

function split(chunks: readonly Uint8Array[], maxLength?: number): { lines: string[]; cut: number } {
  const lines: string[] = [];
  const splitter = lineSplitter((line) => lines.push(line), maxLength);
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return { lines, cut: splitter.cut };
}

test('lines are the same however the bytes are cut', () => {
  const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n\ufeff]/g, ''));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(40)), (lines, cuts) => {
      const bytes = new TextEncoder().encode(lines.map((one) => `${one}\n`).join(''));
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(bytes.subarray(at, at + cut));
        at = Math.min(bytes.length, at + cut);
      }
      chunks.push(bytes.subarray(at));
      assert.deepEqual(split(chunks).lines, lines);
    }),
  );
});

test('a line without end is given at the end, and one that is too long is cut', () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  assert.deepEqual(split([encode('a\r\nb')]), { lines: ['a', 'b'], cut: 0 });
  assert.deepEqual(split([encode('xxxx'), encode('xxxx'), encode('xx\nnext\nlong again\n')], 5), {
    lines: ['xxxxx', 'next', 'long '],
    cut: 2,
  });
});
