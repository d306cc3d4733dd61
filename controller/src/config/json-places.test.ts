import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { parseHosts } from './hosts.ts';
import { placesOf } from './json-places.ts';
import { parseJson, positionOf, toValue } from './json-tree.ts';

const text = '{"a": {"b": [1,\n {"c": true}]},\n "a": {"d": 2},\n "1": 3}';

test('a place is where counting the lines leads to', () => {
  const places = placesOf(parseJson(text), text);
  fc.assert(
    fc.property(fc.nat(text.length), (offset) => assert.deepEqual(places.position(offset), positionOf(text, offset))),
  );
});

test('the node at a path, or the nearest above it: of doubled keys the last', () => {
  const root = parseJson(text);
  const at = (...path: (string | number)[]) => placesOf(root, text).node(path);
  assert.equal(at('nothing', 'here'), root);
  assert.equal(at('constructor'), root);
  assert.deepEqual(toValue(at('a', 'd')), 2);
  assert.deepEqual(toValue(at('a', 'b', 1)), { d: 2 });
  assert.deepEqual(toValue(at('1')), 3);
  const list = placesOf(parseJson('[[1, 2], {"c": true}]'), '');
  assert.deepEqual(toValue(list.node([0, 1])), 2);
  assert.deepEqual(toValue(list.node([1, 'c', 'more'])), true);
});

test('the place of a key: of doubled ones the last, of a missing one what it would be in', () => {
  const places = placesOf(parseJson(text), text);
  assert.equal(places.keyOffset(['a', 'd']), text.indexOf('"d"'));
  assert.equal(places.keyOffset(['a', 'none']), text.indexOf('{"d"'));
});

test('a file full of mistakes is told of in linear time', () => {
  const entries = Array.from({ length: 30_000 }, (_, index) => `"${index % 2}x": {"mac_adress": 7, "tags": 1},\n`);
  const began = process.cpuUsage();
  const result = parseHosts(new TextEncoder().encode(`{${entries.join('')}"z": 1}`), 'hosts.json');
  assert.ok(!result.ok && result.problems.length > 29_000);
  // Of the processor's time: others may be at work as well.
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 5_000_000);
});
