import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { downloads, gotHash, withHash } from './hashes.ts';
import { root } from './nix.ts';

const file = readFileSync(join(root, 'installer-nix/hashes.nix'), 'utf8');
// Of no file: that of the text below is to be found, whatever it is.
const hash = `sha256-${'Ab+/'.repeat(10)}Abc=`;

test('each download has its line, and it can be filled twice', () => {
  for (const name of Object.keys(downloads)) {
    const once = withHash(file, name, hash);
    assert.ok(once.includes(`  ${name} = "${hash}";`));
    assert.equal(withHash(once, name, hash), once);
  }
  assert.throws(() => withHash(file, 'other', hash), /no line for other/);
});

test('the hash that nix got', () => {
  const words = (found: string) =>
    `error: hash mismatch in fixed-output derivation '/nix/store/x-pnpm-deps.drv':\n         specified: sha256-${'A'.repeat(43)}=\n            got:    ${found}\n`;
  assert.equal(gotHash(words(hash)), hash);
  assert.equal(gotHash(`warning: x\n${words(hash)}error: 1 dependencies of derivation failed`), hash);
  assert.equal(gotHash("error: builder for '/nix/store/x.drv' failed with exit code 1"), undefined);
});
