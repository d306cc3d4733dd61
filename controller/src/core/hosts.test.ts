import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { HostBook } from './hosts.ts';

const host = (name: string, ...macs: string[]): Host => ({
  name,
  flakeAttr: name,
  macs: macs as Mac[],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
});

test('a host is found by its name and by each of its MACs, as it is now', () => {
  const book = new HostBook([host('a', 'm1', 'm2'), host('b', 'm3')]);
  assert.equal(book.withMac('m2' as Mac)?.name, 'a');
  book.put(host('a', 'm2', 'm4'));
  assert.deepEqual(
    ['m1', 'm2', 'm3', 'm4'].map((mac) => book.withMac(mac as Mac)?.name),
    [undefined, 'a', 'b', 'a'],
  );
  assert.throws(() => book.put(host('c', 'm3')), /take in c: b has one of its MACs/);
  book.arrange(['a', 'x', 'b']);
  assert.deepEqual(
    book.all().map(({ name }) => name),
    ['a', 'b'],
  );
  book.leave('b');
  assert.equal(book.isLeaving('b'), true);
  book.remove('b');
  assert.deepEqual([book.named('b'), book.withMac('m3' as Mac), book.isLeaving('b')], [undefined, undefined, false]);
});

test('behind relays a MAC is looked for at its site alone', () => {
  const book = new HostBook([host('here', 'm1'), { ...host('a', 'm1'), relay: 'rack7' }]);
  const found = () => [undefined, 'rack7', 'rack8'].map((relay) => book.withMac('m1' as Mac, relay)?.name);
  assert.deepEqual(found(), ['here', 'a', undefined]);
  assert.throws(() => book.put({ ...host('b', 'm1'), relay: 'rack7' }), /take in b: a has one of its MACs/);
  book.put({ ...host('a', 'm1'), relay: 'rack8' });
  assert.deepEqual(found(), ['here', undefined, 'a']);
  book.remove('a');
  assert.deepEqual(found(), ['here', undefined, undefined]);
});
