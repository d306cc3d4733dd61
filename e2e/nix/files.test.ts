// Every Nix file parses and has the form that can be checked without nixfmt, which Debian doesn't have: the flake's `formatter` is nixfmt.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { formFaults } from './form.ts';
import { root, sources } from './nix.ts';

const files = sources().filter((path) => path.endsWith('.nix'));
const text = (path: string) => readFileSync(join(root, path), 'utf8');

test('every .nix file parses', { skip: skipUnless(needPrograms(['nix-instantiate'])) }, () => {
  assert.ok(files.length > 30);
  const state = mkdtempSync(join(tmpdir(), 'nixie-parse-'));
  try {
    // Parsing needs no store, but nix opens one: this one is in memory.
    const argv = ['--parse', '--store', 'dummy://', ...files.map((path) => join(root, path))];
    const env = { ...process.env, HOME: state, NIX_STATE_DIR: state, NIX_CONF_DIR: state };
    execFileSync('nix-instantiate', argv, { env, stdio: 'pipe', timeout: 120_000 });
  } catch (error) {
    assert.fail(String((error as { stderr?: Buffer }).stderr ?? error));
  } finally {
    rmSync(state, { recursive: true });
  }
});

test('the form of every .nix file', () => {
  // The lab and the small nixpkgs are dense: one line for one thing.
  const dense = (path: string) => /^e2e\/|^examples\/lab\//.test(path);
  const faults = files.flatMap((path) =>
    formFaults(text(path))
      .filter((fault) => !(dense(path) && fault.endsWith('several on one line')))
      .map((fault) => `${path}:${fault}`),
  );
  assert.deepEqual(faults, []);
});

for (const [name, given, want] of [
  ['tabs', '{\n\ta = 1;\n}\n', ['2: tab']],
  ['blanks at the end', '{ } \n', ['1: blank at the end of the line']],
  ['odd indentation', '{\n   a = 1;\n}\n', ['2: indented by 3']],
  ['text is free', "{\n  a = ''\n     x\n  '';\n}\n", []],
  ['code after a text of one line is not', "{\n  a = ''x'';\n   b = 1;\n}\n", ['3: indented by 3']],
  ['a quote in a text', "{\n  a = ''\n   it''$x ''' '\n  '';\n}\n", []],
  ['several on one line', '{\n  a = { b = 1; c = "}"; };\n}\n', ['2: a set of several on one line']],
  ['one on one line', '{\n  a = { b = "x; y;"; };\n}\n', []],
  ['no line end', '{ }', ['1: no line end at the end of the file']],
  ['two empty lines', '{\n\n\n}\n', ['3: two empty lines']],
] as const) {
  test(`form: ${name}`, () => assert.deepEqual(formFaults(given), want));
}

test('no hash was invented: each one is lib.fakeHash until nix has said it', () => {
  const hash = /\b(?:sha(?:1|256|512)-[A-Za-z0-9+/]{20,}={0,2}|[0-9a-z]{52}|[0-9a-f]{64})/;
  const found = files
    .filter((path) => path !== 'installer-nix/hashes.nix' && !path.startsWith('e2e/nix/stub/'))
    .flatMap((path) =>
      text(path)
        .split('\n')
        .flatMap((line, i) => (hash.test(line) ? [`${path}:${i + 1}`] : [])),
    );
  assert.deepEqual(found, []);
  const listed = text('installer-nix/hashes.nix')
    .split('\n')
    .filter((line) => /^ {2}\w+ = /.test(line));
  assert.equal(listed.length, 2);
  for (const line of listed) assert.match(line, /= (?:lib\.fakeHash|"sha256-[A-Za-z0-9+/]{43}=");$/);
  // and nowhere else is one expected
  const users = files.filter((path) => /\bfakeHash\b/.test(text(path)) && !path.startsWith('e2e/nix/stub/'));
  assert.deepEqual(users, ['installer-nix/hashes.nix']);
});
