import assert from 'node:assert/strict';
import test from 'node:test';
import { FloodWatch } from './flood-watch.ts';

test('each look tells of what was dropped since the last, and nothing when nothing was', () => {
  const watch = new FloodWatch();
  assert.equal(watch.look({ strangersDropped: 0, kernelDropped: 0 }), undefined);
  assert.equal(
    watch.look({ strangersDropped: 70, kernelDropped: 3 }),
    "70 packets of machines that are not listed were not looked at, 3 packets were lost as the kernel's queue was full",
  );
  assert.equal(watch.look({ strangersDropped: 70, kernelDropped: 3 }), undefined);
  assert.equal(
    watch.look({ strangersDropped: 70, kernelDropped: 5 }),
    "2 packets were lost as the kernel's queue was full",
  );
});

test('a kernel that does not tell of losses is taken to have none', () => {
  const watch = new FloodWatch();
  assert.equal(watch.look({ strangersDropped: 1 }), '1 packets of machines that are not listed were not looked at');
});
