// Makes proto/gen from proto/nixie by buf and ts-proto, and inventory.schema.json. `--check` makes it in a temporary folder and fails on any difference.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inventorySchema } from './json-schema.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const check = process.argv.includes('--check');

function run(cwd, args) {
  const r = spawnSync(join(root, 'node_modules/.bin/buf'), args, { cwd, stdio: 'inherit' });
  if (r.status !== 0) process.exit(r.status ?? 1);
}
function files(dir) {
  return readdirSync(dir, { recursive: true })
    .filter((f) => statSync(join(dir, f)).isFile())
    .sort();
}

const schemaFile = join(here, 'inventory.schema.json');
const schema = inventorySchema(readFileSync(join(here, 'nixie/v1/inventory.proto'), 'utf8'));

if (!check) {
  rmSync(join(here, 'gen'), { recursive: true, force: true });
  run(here, ['lint']);
  run(here, ['generate']);
  writeFileSync(schemaFile, schema);
} else {
  const box = mkdtempSync(join(tmpdir(), 'nixie-proto-'));
  try {
    cpSync(here, join(box, 'proto'), {
      recursive: true,
      filter: (f) => !/\/(gen|node_modules)(\/|$)/.test(relative(here, f) ? `/${relative(here, f)}` : ''),
    });
    symlinkSync(join(root, 'node_modules'), join(box, 'node_modules'));
    run(join(box, 'proto'), ['generate']);
    const made = files(join(box, 'proto/gen'));
    const kept = files(join(here, 'gen'));
    const differs =
      readFileSync(schemaFile, 'utf8') !== schema ||
      made.join() !== kept.join() ||
      made.some((f) => readFileSync(join(box, 'proto/gen', f), 'utf8') !== readFileSync(join(here, 'gen', f), 'utf8'));
    if (differs) {
      console.error(
        'proto/gen is not what proto/nixie makes: run `npx pnpm@10.34.8 run generate` and commit the result',
      );
      process.exit(1);
    }
  } finally {
    rmSync(box, { recursive: true, force: true });
  }
}
