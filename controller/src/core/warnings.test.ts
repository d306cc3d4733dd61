import assert from 'node:assert/strict';
import test from 'node:test';
import { Warnings } from './warnings.ts';

test('a flood of warnings is a few lines and a number', () => {
  let now = 1000;
  const said: string[] = [];
  const warnings = new Warnings(
    (text) => said.push(text),
    () => now,
  );
  for (let i = 0; i < 1000; i++) warnings.warn('10.0.0.7 was refused', 'm1');
  assert.deepEqual(said, ['10.0.0.7 was refused']);
  for (let i = 0; i < 100_000; i++) warnings.warn(`10.0.${i >> 8}.${i & 255} was refused`);
  assert.equal(said.length, 30);
  now += 60_000;
  warnings.warn('10.0.0.7 was refused');
  assert.match(said.at(-2) ?? '', /^\d+ warnings like the last ones were not shown$/);
  assert.equal(said.at(-1), '10.0.0.7 was refused');
});

test('warnings of one kind that differ in their words are one', () => {
  const said: string[] = [];
  const warnings = new Warnings(
    (text) => said.push(text),
    () => 0,
  );
  for (const port of [1, 2, 3]) warnings.warn(`from 10.0.0.7:${port}`, undefined, 'from 10.0.0.7');
  assert.deepEqual(said, ['from 10.0.0.7:1']);
});
