import assert from 'node:assert/strict';
import test from 'node:test';
import { Loading } from './loading.ts';

test('kernel and initrd are one whole, whatever is fetched twice, in parts or of another installer', () => {
  const loading = new Loading();
  loading.take(
    'x86_64-linux',
    new Map([
      ['k/kernel', 10],
      ['i/initrd', 90],
    ]),
  );
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 5), { done: 5, total: 100 });
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 10), { done: 10, total: 100 });
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 3), { done: 10, total: 100 }, 'a second connection');
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'i/initrd', 45), { done: 55, total: 100 });
  assert.deepEqual(loading.sent('m2', 'x86_64-linux', 'i/initrd', 1), { done: 1, total: 100 });
  assert.equal(loading.sent('m1', 'x86_64-linux', 'x/kernel', 5), undefined);
  assert.equal(loading.sent('m1', 'aarch64-linux', 'k/kernel', 5), undefined);
  loading.begin('m1');
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 1), { done: 1, total: 100 });
});
