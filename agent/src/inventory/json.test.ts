import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { readInventoryJson, writeInventoryJson } from '@nixie/proto/inventory-json';
import { check, type Node } from './check-schema.ts';

const schema = JSON.parse(readFileSync(new URL('../../../proto/inventory.schema.json', import.meta.url), 'utf8'));

/** An inventory in which every field of every message is given, made from the schema. */
function everything(node: Node): unknown {
  const { $ref, type } = node;
  if ($ref !== undefined) return everything(schema.$defs[$ref.split('/').pop()!]);
  if (type === 'array') return [everything(node.items!)];
  if (type === 'integer') return node.maximum === undefined ? 18_014_398_509_481_984 : 7;
  if (type === 'boolean') return false;
  if (type === 'string') return 'text';
  return Object.fromEntries(Object.entries(node.properties ?? {}).map(([name, each]) => [name, everything(each)]));
}

test('every field keeps its name and value in JSON and on the wire, large integers too', () => {
  const given = `${JSON.stringify(everything(schema), null, 2)}`.replaceAll('18014398509481984', '9007199254740993');
  const read = readInventoryJson(given);
  assert.equal(read.disks[0]!.sizeBytes, 9_007_199_254_740_993n);
  assert.equal(writeInventoryJson(read), given);
  const carried = Inventory.decode(Inventory.encode(read).finish());
  assert.equal(writeInventoryJson(carried), given);
  assert.deepEqual(check(schema, JSON.parse(given)), []);
});

test('what is absent stays absent, what is not known is left out, and the schema says what is wrong', () => {
  const empty = writeInventoryJson(readInventoryJson('{"schema_version": 1, "of_tomorrow": [1]}'), 0);
  assert.ok(!empty.includes('tomorrow') && !empty.includes('tpm') && empty.includes('"disks":[]'), empty);
  assert.deepEqual(check(schema, JSON.parse(empty)), []);
  const wrong = JSON.parse(empty);
  wrong.disks = [{ name: 'sda', size_bytes: '12' }];
  assert.deepEqual(
    check(schema, wrong).filter((problem) => /size_bytes|path: /.test(problem)),
    ['/disks/0/path: absent', '/disks/0/size_bytes: found string, want integer'],
  );
});

test('what is no inventory is refused with a sentence', () => {
  for (const text of [
    '',
    '[',
    '{"disks": 7',
    'null',
    '[]',
    '7',
    '{"disks": [{"size_bytes": "many"}]}',
    '{"collected_in_ms": 1e999}',
    '{"cpu": {"cores": 1.5}}',
  ])
    assert.throws(() => readInventoryJson(text), /JSON|inventory: /, text);
});
