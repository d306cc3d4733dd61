import assert from 'node:assert/strict';
import test from 'node:test';
import { BlockSizes } from './block-sizes.ts';

test('each size that never arrived makes the next one smaller, down to 512', () => {
  const sizes = new BlockSizes();
  assert.equal(sizes.most('10.0.0.5', 0), undefined);
  const steps = [1468, 1380, 1248, 512].map((failed) => {
    sizes.failed('10.0.0.5', failed, 0);
    return sizes.most('10.0.0.5', 0);
  });
  assert.deepEqual(steps, [1380, 1248, 512, 512]);
  assert.equal(sizes.most('10.0.0.6', 0), undefined);
});

test('what was learned is forgotten after an hour, and beyond a thousand machines', () => {
  const sizes = new BlockSizes();
  sizes.failed('10.0.0.5', 1468, 0);
  assert.equal(sizes.most('10.0.0.5', 3_599_999), 1380);
  assert.equal(sizes.most('10.0.0.5', 3_600_000), undefined);
  for (let i = 0; i <= 1024; i++) sizes.failed(`a${i}`, 1468, 0);
  assert.equal(sizes.most('a0', 0), undefined);
  assert.equal(sizes.most('a1', 0), 1380);
});
