import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cleanLine } from './log-line.ts';

test('log text is fit for a terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.integer({ min: 1, max: 50 }), (text, most) => {
      const line = cleanLine(text, most);
      assert.ok(Buffer.byteLength(line) <= most && line.isWellFormed());
      assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f]/);
    }),
  );
});
