import assert from 'node:assert/strict';
import test from 'node:test';
import { readTextInput } from './text-input.ts';

test('long texts are read: many lines, one line, one line of a dump', () => {
  assert.equal(readTextInput('00ff\n'.repeat(200_000))?.packets.length, 200_000);
  assert.equal(readTextInput('ab'.repeat(12_000_000))?.packets[0]?.payload.length, 12_000_000);
  const dumped = readTextInput(`00000000: ${'abcd '.repeat(200_000)}`);
  assert.deepEqual([dumped?.packets[0]?.payload.length, dumped?.damage], [400_000, []]);
  assert.equal(readTextInput(`00000000: ${'abcd '.repeat(2_000_000)}x`), undefined);
});
