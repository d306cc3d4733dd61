// Checks that other programs do: types, form, generated code. They are tests, so that one command says whether the tree is fit to commit.
import assert from 'node:assert/strict';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../lab/child.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const limitMs = 240_000;

async function passes(argv: readonly string[]): Promise<void> {
  const ran = await run(argv, { cwd: root, accept: true, deadlineMs: limitMs - 10_000 });
  assert.equal(ran.code, 0, `${argv.join(' ')}:\n${`${ran.stdout}\n${ran.stderr}`.trim().slice(0, 6000)}`);
}

test('types are sound', { timeout: limitMs }, () => passes(['node_modules/.bin/tsc', '--noEmit']));

test('form and lint rules are kept', { timeout: limitMs }, () =>
  passes(['node_modules/.bin/biome', 'check', '--colors=off', '.']),
);

test('generated protocol code is what the .proto files make', { timeout: limitMs }, () =>
  passes([process.execPath, 'proto/generate.mjs', '--check']),
);
