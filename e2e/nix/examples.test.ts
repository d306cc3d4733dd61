// Every example evaluates: its hosts are its flake's machines, its hosts file is accepted, its installer is one.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { parseHosts } from '../../controller/src/config/hosts.ts';
import { askMany, readAnswers, readHost, readInstaller } from '../../controller/src/nix/expression.ts';
import { isReal, makeNixBox, type NixBox, root, skip } from './nix.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const places = [
  '.',
  ...readdirSync(join(root, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'lab')
    .map((entry) => entry.name),
];

interface Facts {
  readonly variant: string | null;
  readonly params: readonly string[];
  readonly toplevel: string;
  readonly services: readonly string[];
}

for (const place of places) {
  const folder = join(root, 'examples', place);
  test(`examples/${place}`, { skip }, async () => {
    const read = parseHosts(readFileSync(join(folder, 'hosts.json')), 'hosts.json');
    assert.ok(read.ok, JSON.stringify(read));
    assert.ok(place === '.' || existsSync(join(folder, 'README.md')));
    const flake = `path:${join(box!.tree, 'examples', place)}#nixosConfigurations`;
    const ask = async (apply: string): Promise<string> => {
      const overrides = box!.overrides(['nixpkgs', 'disko', 'nixie']);
      return (await box!.nix(['nix', 'eval', '--json', ...overrides, flake, '--apply', apply])).stdout;
    };

    // What nixie itself asks of the flake.
    const answers = readAnswers(
      await ask(
        askMany(
          read.hosts.map(({ flakeAttr }) => flakeAttr),
          ['installer'],
        ),
      ),
    );
    for (const { name, flakeAttr, system } of read.hosts) {
      const host = readHost((answers.hosts[flakeAttr] as { value: unknown }).value);
      assert.ok(typeof host !== 'string', `${name}: ${host}`);
      assert.equal(host.hostName, name);
      assert.equal(host.sshEnabled, true);
      assert.equal(host.system, system);
      assert.ok(Object.keys(host.diskDevices ?? {}).length > 0);
    }
    const installer = readInstaller((answers.installers.installer as { value: unknown }).value);
    assert.ok(typeof installer !== 'string' && installer.form === 'bundle', String(installer));
    assert.equal(installer.system, 'x86_64-linux');

    const facts = JSON.parse(
      await ask(`builtins.mapAttrs (n: c: {
        variant = c.config.system.nixos.variant_id or null;
        params = c.config.boot.kernelParams;
        toplevel = c.config.system.build.toplevel.drvPath;
        services = builtins.filter (n: builtins.match "nixie.*" n != null) (builtins.attrNames c.config.systemd.services);
      })`),
    ) as Record<string, Facts>;
    for (const [name, one] of Object.entries(facts)) {
      assert.match(one.toplevel, /\.drv$/);
      const isInstaller = name.startsWith('installer');
      assert.equal(one.variant === 'installer', isInstaller, name);
      assert.deepEqual(one.services, isInstaller ? ['nixie-agent'] : name === 'controller' ? ['nixie'] : []);
      if (isInstaller) assert.ok(one.params.includes('panic=30'));
    }
    if (!isReal) assert.ok(Object.keys(facts).length >= read.hosts.length + 1);
  });
}

test('the hosts of the isolated LAN are the same in both of its spellings', { skip }, async () => {
  const flake = `path:${join(box!.tree, 'examples/isolated-lan')}#nixosConfigurations.controller.config.environment.etc`;
  const { stdout } = await box!.nix([
    ...['nix', 'eval', '--raw', ...box!.overrides(['nixpkgs', 'disko', 'nixie']), flake],
    ...['--apply', 'etc: etc."nixie/hosts.json".source.text'],
  ]);
  assert.deepEqual(
    JSON.parse(stdout),
    JSON.parse(readFileSync(join(root, 'examples/isolated-lan/hosts.json'), 'utf8')),
  );
});
