// docs/options.md is what the modules say. NIXIE_WRITE_DOCS=1 writes it anew.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { isReal, makeNixBox, type NixBox, root, skip } from './nix.ts';
import { optionsPage } from './options-page.ts';

const why = skip || (isReal && 'nixpkgs calls some types by other words');
const box: NixBox | undefined = why ? undefined : makeNixBox();
after(() => box?.remove());

test('docs/options.md is up to date, and every option is described', { skip: why }, async () => {
  const file = join(root, 'docs/options.md');
  const page = await optionsPage(box!);
  if (process.env.NIXIE_WRITE_DOCS === '1') {
    mkdirSync(join(root, 'docs'), { recursive: true });
    writeFileSync(file, page);
  }
  assert.equal(readFileSync(file, 'utf8'), page);
  const options = page.split(/^### /m).slice(1);
  assert.ok(options.length > 40);
  for (const option of options) assert.match(option, /^`services\.\S+`\n[A-Z`].{15,}/, option);
});
