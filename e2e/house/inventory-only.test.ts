// An inventory-only run can't write to a disk because it is made of nothing that could: followed through every import that is there at run time.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const source = resolve(dirname(fileURLToPath(import.meta.url)), '../../controller/src');

/** Files that are loaded with this one. Types vanish, and so do imports of nothing else. */
function loadedWith(file: string, all = new Set<string>()): Set<string> {
  const name = relative(source, file);
  if (all.has(name)) return all;
  all.add(name);
  const text = readFileSync(file, 'utf8');
  const imports = /^(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?'(\.[^']+)'/gm;
  for (const [, typeOnly, names, path] of text.matchAll(imports)) {
    const inner = /^\{([\s\S]*)\}$/.exec(names?.trim() ?? '')?.[1];
    const words = inner
      ?.split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '');
    if (
      typeOnly !== undefined ||
      (words !== undefined && words.length > 0 && words.every((word) => word.startsWith('type ')))
    )
      continue;
    loadedWith(resolve(dirname(file), path!), all);
  }
  return all;
}

/** What partitions, copies, logs in, or knows how. */
const writers = [
  'core/tasks.ts',
  'core/linked-disk.ts',
  'core/task-world.ts',
  'core/proof-tasks.ts',
  'install/plan.ts',
  'install/run.ts',
  'install/master.ts',
  'install/staging.ts',
  'daemon.ts',
];

test('an inventory-only run loads nothing that writes to a machine', () => {
  const loaded = loadedWith(join(source, 'inventory-run.ts'));
  assert.ok(loaded.size > 50 && loaded.has('core/admission.ts') && loaded.has('core/read-machine.ts'));
  assert.deepEqual(
    writers.filter((file) => loaded.has(file)),
    [],
  );
  const install = loadedWith(join(source, 'daemon.ts'));
  assert.deepEqual(
    writers.filter((file) => !install.has(file)),
    [],
    'the list names files that a run which installs is made of',
  );
});

test('it tells agents two things, and lets in no key', () => {
  const task = readFileSync(join(source, 'core/read-machine.ts'), 'utf8');
  const run = readFileSync(join(source, 'inventory-run.ts'), 'utf8');
  const said = [...`${task}\n${run}`.matchAll(/\$case: '(\w+)'/g)].map(([, word]) => word);
  assert.deepEqual([...new Set(said)].sort(), ['inspect', 'powerOff']);
  assert.match(run, /\bauthorizedKeys: \[\],/);
  assert.doesNotMatch(task, /'disks-free'/);
  assert.doesNotMatch(run, /'disks-free'/);
});
