// `nix flake metadata` and `show` on this flake and on each example, with the inputs in their places.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { isReal, makeNixBox, type NixBox, root, skip } from './nix.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const examples = [
  'examples',
  ...readdirSync(join(root, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'lab')
    .map((entry) => `examples/${entry.name}`),
];
const systems = ['aarch64-linux', 'x86_64-linux'];

async function json(argv: readonly string[]) {
  return JSON.parse((await box!.nix(argv)).stdout);
}

test('this flake has what it promises', { skip }, async () => {
  const flake = `path:${box!.tree}`;
  const overrides = box!.overrides(['nixpkgs', 'disko']);
  const { description } = await json(['nix', 'flake', 'metadata', '--json', flake, ...overrides]);
  assert.match(description, /NixOS installations/);
  const shown = await json(['nix', 'flake', 'show', '--json', flake, ...overrides]);
  const packages = ['default', 'ipxe', 'nixie', 'nixie-agent', 'nixie-agent-script'];
  for (const [output, names] of [
    ['packages', packages],
    ['devShells', ['default']],
    ['apps', ['default']],
  ] as const) {
    assert.deepEqual(Object.keys(shown[output]).sort(), systems);
    for (const system of systems)
      assert.deepEqual(Object.keys(shown[output][system]).sort(), names, `${output}.${system}`);
  }
  const built = ['installer', 'nixie', 'nixie-agent', 'nixie-agent-script'];
  assert.deepEqual(Object.keys(shown.checks['aarch64-linux']).sort(), built);
  assert.deepEqual(
    Object.keys(shown.checks['x86_64-linux']).sort(),
    ['full-install', 'image-registers', ...built].sort(),
  );
  assert.deepEqual(Object.keys(shown.formatter).sort(), systems);
  assert.deepEqual(Object.keys(shown.nixosModules).sort(), [
    'default',
    'installer',
    'nixie',
    'nixie-agent',
    'nixie-host',
    'nixie-relay',
  ]);
  assert.deepEqual(Object.keys(shown.overlays), ['default']);
  assert.deepEqual(Object.keys(shown.templates).sort(), ['default', 'fleet', 'zfs-encrypted']);
  assert.deepEqual(
    Object.keys(shown.nixosConfigurations).sort(),
    systems.map((system) => `installer-${system}`),
  );
});

test('every example', { skip }, async (t) => {
  assert.equal(examples.length, 7);
  for (const example of examples) {
    await t.test(example, async () => {
      const flake = `path:${join(box!.tree, example)}`;
      const overrides = box!.overrides(['nixpkgs', 'disko', 'nixie', 'nixie/nixpkgs', 'nixie/disko']);
      const { locks } = await json(['nix', 'flake', 'metadata', '--json', flake, ...overrides]);
      assert.deepEqual(Object.keys(locks.nodes.root.inputs).sort(), ['disko', 'nixie', 'nixpkgs']);
      const shown = await json(['nix', 'flake', 'show', '--json', flake, ...overrides]);
      assert.ok(Object.keys(shown.nixosConfigurations).includes('installer'));
    });
  }
});

test('in a checkout the examples find this flake by themselves', {
  skip: skip || (isReal && 'a matter of nix'),
}, async (t) => {
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-C', box!.tree, ...argv], {
      stdio: 'pipe',
    });
  git('init', '-q');
  git('add', '.');
  git('commit', '-q', '-m', 'checkout');
  for (const example of examples) {
    await t.test(example, async () => {
      const inputs = ['nixpkgs', 'disko', 'nixie/nixpkgs', 'nixie/disko'];
      const installer = `${join(box!.tree, example)}#nixosConfigurations.installer.config.system.build.toplevel.drvPath`;
      const { stdout } = await box!.nix(['nix', 'eval', '--raw', ...box!.overrides(inputs), installer]);
      assert.match(stdout, /-nixos-system-nixie-installer\.drv$/);
    });
  }
});

test('what these tests look at can be wrong', { skip }, async () => {
  const broken = join(box!.tree, 'broken');
  mkdirSync(broken);
  const write = (text: string) => writeFileSync(join(broken, 'flake.nix'), text);
  const ask = (what: string) =>
    box!.nix(['nix', 'flake', what, '--json', '--no-write-lock-file', `path:${broken}`], true);
  write('{ outputs = _: { packages.x86_64-linux.default = throw "not there"; }; }');
  assert.equal((await ask('metadata')).code, 0);
  const shown = await ask('show');
  assert.notEqual(shown.code, 0);
  assert.match(shown.stderr, /not there/);
  write('{ outputs = _: { nixosModules = 3; }; }');
  assert.notEqual((await ask('show')).code, 0);
  write('{ outputs = _: { };');
  assert.notEqual((await ask('metadata')).code, 0);
});

test('a template is a folder with a flake', { skip }, async () => {
  const paths = await box!.value<Record<string, string>>('lib.mapAttrs (_: one: toString one.path) nixie.templates');
  for (const [name, path] of Object.entries(paths)) assert.ok(readdirSync(path).includes('flake.nix'), name);
});
