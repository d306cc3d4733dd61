// The packages as package-build.ts builds them: that they run with nothing of the workspace around them, and hold what they should.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { isReal, makeNixBox, type NixBox, skip } from './nix.ts';
import { buildPackage } from './package-build.ts';

const why = skip || (isReal && '`nix build` does it');
const box: NixBox | undefined = why ? undefined : makeNixBox();
const work = mkdtempSync(join(tmpdir(), 'nixie-packages-'));
after(() => {
  box?.remove();
  rmSync(work, { recursive: true, force: true });
});

const commit = 'c0ffee'.repeat(7).slice(0, 40);

const build = (name: string) => buildPackage(box!, name, work, commit);

/** A program of the package, with nothing of the workspace around it. */
const says = (program: string, ...args: string[]) =>
  execFileSync(program, args, { env: { PATH: '/usr/bin:/bin' }, encoding: 'utf8', timeout: 60_000 });

test('the controller', { skip: why, timeout: 180_000 }, async () => {
  const out = await build('nixie');
  assert.match(
    says(join(out, 'bin/nixie'), '--version'),
    new RegExp(`^nixie .*\\(commit ${commit.slice(0, 12)}, Node v24`),
  );
  // koffi is there, for this C library alone.
  const text = readFileSync(join(out, 'bin/nixie'), 'utf8');
  for (const name of ['nixos-anywhere', 'openssh', 'gitMinimal', 'nix', 'busybox', 'util-linux'])
    assert.match(text, new RegExp(`-${name}/bin`), name);
  assert.match(text, /NIXIE_IPXE=\/nix\/store\//);
  const native = readdirSync(join(out, 'lib/nixie/node_modules/@koromix'), { recursive: true }).map(String);
  assert.ok(native.some((path) => path.endsWith('koffi.node')));
  assert.ok(!native.some((path) => path.includes('musl')));
  assert.match(
    readFileSync(join(out, 'share/man/man8/nixie.8'), 'utf8'),
    /^\.TH NIXIE 8 [\s\S]*\n\.SS "nixie serve"\n/,
  );
  assert.deepEqual(readdirSync(join(out, 'share/completions')).sort(), ['--bash', '--fish', '--zsh']);
});

for (const name of ['nixie-agent', 'nixie-agent-script'])
  test(name, { skip: why, timeout: 180_000 }, async () => {
    const out = await build(name);
    const program = join(out, 'bin/nixie-agent');
    assert.match(says(program, '--version'), new RegExp(`^nixie-agent .*\\(commit ${commit.slice(0, 12)}, node v24`));
    assert.equal(JSON.parse(says(program, '--inventory', '--root', work)).schema_version, 1);
  });
