// For tests: the inventory of a recorded machine as it is printed, held against its schema.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { check } from './check-schema.ts';
import { collectIdle } from './collect-idle.ts';
import { type Laid, layTree } from './lay-tree.ts';

const schema = JSON.parse(readFileSync(new URL('../../../proto/inventory.schema.json', import.meta.url), 'utf8'));

// biome-ignore lint/suspicious/noExplicitAny: the printed form, checked against its schema
export async function printed(machine: Laid, depth: 'quick' | 'full' = 'full'): Promise<any> {
  const { root, remove } = layTree(machine);
  try {
    const told = JSON.parse(writeInventoryJson(await collectIdle({ root, depth })));
    assert.deepEqual(check(schema, told), []);
    return told;
  } finally {
    remove();
  }
}
export const codes = (told: { errors: { section: string; path: string; code: string }[] }): string[] =>
  told.errors.map(({ section, path, code }) => `${section}: ${path} ${code}`);
