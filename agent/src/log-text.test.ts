import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cleanLine } from './log-text.ts';

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
