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
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 5), { done: 5, total: 100, paused: false });
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 10), { done: 10, total: 100, paused: false });
  assert.deepEqual(
    loading.sent('m1', 'x86_64-linux', 'k/kernel', 3),
    { done: 10, total: 100, paused: false },
    'a second connection',
  );
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'i/initrd', 45), { done: 55, total: 100, paused: false });
  assert.deepEqual(loading.sent('m2', 'x86_64-linux', 'i/initrd', 1), { done: 1, total: 100, paused: false });
  assert.equal(loading.sent('m1', 'x86_64-linux', 'x/kernel', 5), undefined);
  assert.equal(loading.sent('m1', 'aarch64-linux', 'k/kernel', 5), undefined);
  loading.begin('m1');
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'k/kernel', 1), { done: 1, total: 100, paused: false });
});

test('between the boot stage and the first byte of the image nothing is expected', () => {
  const loading = new Loading();
  const files = [
    ['k/kernel', 10],
    ['i/initrd', 30],
    ['m/manifest', 1],
    ['x/image', 200],
  ] as const;
  loading.take('x86_64-linux', new Map(files));
  assert.deepEqual(loading.sizes('x86_64-linux'), { bootBytes: 40, imageBytes: 200 });
  const paused = (file: string, bytes: number) => loading.sent('m1', 'x86_64-linux', file, bytes)!.paused;
  assert.equal(paused('k/kernel', 10), false);
  assert.equal(paused('i/initrd', 29), false);
  assert.equal(paused('i/initrd', 30), true);
  assert.equal(paused('m/manifest', 1), false);
  assert.equal(paused('x/image', 5), false);
  assert.deepEqual(loading.sent('m1', 'x86_64-linux', 'x/image', 200), { done: 241, total: 241, paused: false });
});
