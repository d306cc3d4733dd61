import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { byteLines } from './byte-lines.ts';

test('however bytes are cut, lines are the same; longer ones are cut at the bound', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'ü', '\n', 'xyz', '\n\n'), { maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 20 }),
      (parts, cuts, most) => {
        const bytes = Buffer.from(parts.join(''));
        const found: string[] = [];
        const lines = byteLines((line) => found.push(line), most);
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + cuts[i % cuts.length]!;
          lines.push(bytes.subarray(at, end));
          at = end;
        }
        const want = parts.join('').split('\n').slice(0, -1);
        assert.deepEqual(
          found,
          want.map((line) => Buffer.from(line).subarray(0, most).toString('utf8')),
        );
      },
    ),
  );
});
