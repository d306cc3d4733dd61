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
      const overrides = box!.overrides(['nixpkgs', 'disko', 'nixie', 'nixie/nixpkgs', 'nixie/disko']);
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
      const own: Record<string, string> = { controller: 'nixie', relay: 'nixie-relay' };
      assert.deepEqual(one.services, isInstaller ? ['nixie-agent'] : own[name] === undefined ? [] : [own[name]]);
      if (isInstaller) assert.ok(one.params.includes('panic=30'));
    }
    if (!isReal) assert.ok(Object.keys(facts).length >= read.hosts.length + 1);
  });
}

test('the encrypted machine: its key and its initrd’s host key are what the hosts file brings', { skip }, async () => {
  const place = 'examples/zfs-encrypted';
  const flake = `path:${join(box!.tree, place)}#nixosConfigurations`;
  const overrides = box!.overrides(['nixpkgs', 'disko', 'nixie']);
  const apply = `cs: let c = cs.vault1.config; in {
    ssh = { inherit (c.boot.initrd.network.ssh) enable port hostKeys authorizedKeys; };
    pool = c.disko.devices.zpool.rpool.rootFsOptions; hook = c.disko.devices.zpool.rpool.postCreateHook;
    inherit (c) warnings; zfs = cs.installer.config.boot.supportedFilesystems.zfs;
  }`;
  const { stdout } = await box!.nix(['nix', 'eval', '--json', ...overrides, flake, '--apply', apply]);
  const machine = JSON.parse(stdout);
  const { vault1 } = JSON.parse(readFileSync(join(root, place, 'hosts.json'), 'utf8'));
  const [key] = Object.keys(vault1.secrets.disk_keys);
  assert.equal(machine.pool.keylocation, `file://${key}`);
  assert.equal(machine.pool.encryption, 'aes-256-gcm');
  // afterwards it is asked for
  assert.match(machine.hook, /keylocation=prompt/);
  assert.equal(vault1.secrets.disk_keys[key!], 'prompt');
  const { hostKeys, authorizedKeys, ...ssh } = machine.ssh;
  assert.deepEqual(ssh, { enable: true, port: 2222 });
  assert.deepEqual(hostKeys, Object.keys(vault1.secrets.files));
  assert.equal(authorizedKeys.length, 1);
  // as it stands it says what is to be done
  assert.match(machine.warnings.join(), /put your public key/);
  assert.equal(machine.zfs, true);
});

test('the hosts of the isolated LAN are the same in both of its spellings', { skip }, async () => {
  const flake = `path:${join(box!.tree, 'examples/isolated-lan')}#nixosConfigurations.controller.config.environment.etc`;
  const { stdout } = await box!.nix([
    ...[
      'nix',
      'eval',
      '--raw',
      ...box!.overrides(['nixpkgs', 'disko', 'nixie', 'nixie/nixpkgs', 'nixie/disko']),
      flake,
    ],
    ...['--apply', 'etc: etc."nixie/hosts.json".source.text'],
  ]);
  assert.deepEqual(
    JSON.parse(stdout),
    JSON.parse(readFileSync(join(root, 'examples/isolated-lan/hosts.json'), 'utf8')),
  );
});
