import assert from 'node:assert/strict';
import test from 'node:test';
import { BinaryCache } from './binary-cache.ts';
import type { Closure, PathInfo } from './closure.ts';
import { isSigned, makeCacheKey, readNarInfo } from './narinfo.ts';

const hash = (letter: string) => letter.repeat(32);
const path = (letter: string) => `/nix/store/${hash(letter)}-p`;
const closure = (...paths: [string, PathInfo][]): Closure => {
  const map = new Map(paths);
  return { bytes: 0, sizes: new Map(), paths: map };
};
const info = (letter: string, digit = '1'): [string, PathInfo] => [
  path(letter),
  { narSize: 120, narHash: digit.repeat(64), references: [path(letter)] },
];

test('the closures of the run and nothing else', () => {
  const cache = new BinaryCache(makeCacheKey('t-1'));
  assert.equal(cache.narInfo(hash('a')), undefined);
  cache.serve([closure(info('a'), info('b')), closure(info('b'), info('c'))]);
  assert.equal(cache.size, 3);
  const read = readNarInfo(cache.narInfo(hash('b'))!);
  assert.equal(read.path, path('b'));
  assert.ok(isSigned(read, cache.publicKey));
  assert.equal(cache.info(), 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 20\n');
  cache.serve([closure(info('b'), info('d'))]);
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((letter) => cache.served(hash(letter)) !== undefined),
    [false, true, false, true],
  );
});

test('a path that was built anew is described anew', () => {
  const cache = new BinaryCache(makeCacheKey('t-1'));
  cache.serve([closure(info('a', '1'))]);
  const before = cache.narInfo(hash('a'));
  cache.serve([closure(info('a', '2'))]);
  assert.notEqual(cache.narInfo(hash('a')), before);
});

test('what nix told no hash of, and what is no path of a store, is not served', () => {
  const cache = new BinaryCache(makeCacheKey('t-1'));
  cache.serve([
    closure(
      [path('a'), { narSize: 5 }],
      [path('b'), { narSize: 5, narHash: '1'.repeat(64) }],
      ['/etc/shadow', { narSize: 5, narHash: '1'.repeat(64), references: [] }],
    ),
  ]);
  assert.equal(cache.size, 0);
});
