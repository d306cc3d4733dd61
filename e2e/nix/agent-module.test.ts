// services.nixie-agent, in our image and in another's, and services.nixie-host.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { readCommand } from '../../agent/src/settings.ts';
import { isReal, makeNixBox, type NixBox, root, skip, sources } from './nix.ts';
import { fingerprint, settings, system, unitOf, words } from './units.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

test('the agent in an image of ours', { skip }, async () => {
  const image = (config: string) => `(nixie.lib.mkInstaller { system = "x86_64-linux"; modules = [ (${config}) ]; })`;
  const all = await box!.value<{
    plain: string;
    told: string;
    ssh: Record<string, unknown>;
    keys: { type: string }[];
    substituters: string[];
    variant: string;
    zfs: boolean[];
    docs: boolean[];
    network: Record<string, unknown>;
    firewall: boolean;
    bundle: string;
    firmware: { all: boolean; some: string[] }[];
    lldpd: boolean;
    hostId: string;
  }>(`let
    firmware = i: { all = i.config.hardware.enableRedistributableFirmware; some = map (p: p.name) i.config.hardware.firmware; };
    plain = ${image('{ }')}; in {
    plain = ${unitOf('plain', 'nixie-agent')};
    told = ${unitOf(image('{ services.nixie-agent = { controller = "10.0.0.1:7481"; refused = "wait"; }; }'), 'nixie-agent')};
    ssh = { inherit (plain.config.services.openssh.settings) PasswordAuthentication KbdInteractiveAuthentication PermitRootLogin; };
    keys = plain.config.services.openssh.hostKeys;
    inherit (plain.config.nix.settings) substituters;
    variant = plain.config.system.nixos.variant_id;
    zfs = map (i: i.config.boot.supportedFilesystems.zfs) [ plain ${image('{ services.nixie-agent.zfs = true; }')} ];
    docs = map (i: i.config.documentation.enable) [ plain ${image('{ services.nixie-agent.slim = false; }')} ];
    network = plain.config.systemd.network.networks."10-nixie".dhcpV4Config;
    firewall = plain.config.networking.firewall.enable;
    bundle = plain.config.system.build.nixie.drvPath;
    firmware = map firmware [ plain ${image('{ services.nixie-agent.slim = false; }')} ];
    lldpd = plain.config.services.lldpd.enable;
    hostId = (${image('{ services.nixie-agent.zfs = true; }')}).config.networking.hostId;
  }`);
  const s = settings(all.plain);
  assert.match(s.get('ExecStart')![0]!, /bin\/nixie-agent'?$/);
  for (const [name, value] of [
    ['Type', 'notify'],
    ['NotifyAccess', 'all'],
    ['Restart', 'always'],
    ['OOMScoreAdjust', '-900'],
    ['ConditionKernelCommandLine', 'nixie.controller'],
    ['StartLimitIntervalSec', '0'],
  ] as const)
    assert.deepEqual(s.get(name), [value], name);
  assert.ok(Number(s.get('WatchdogSec')) >= 60);
  // It waits for network and sshd by itself, beside them.
  assert.equal(s.has('After') || s.has('Wants'), false);
  const told = settings(all.told);
  assert.deepEqual(words(told.get('ExecStart')![0]!).slice(1), ['--controller', '10.0.0.1:7481', '--refused', 'wait']);
  assert.equal(told.has('ConditionKernelCommandLine'), false);
  assert.deepEqual(all.ssh, {
    PasswordAuthentication: false,
    KbdInteractiveAuthentication: false,
    PermitRootLogin: 'prohibit-password',
  });
  assert.deepEqual(
    all.keys.map(({ type }) => type),
    ['ed25519'],
  );
  assert.deepEqual(all.substituters, ['auto?trusted=1']);
  assert.equal(all.variant, 'installer');
  assert.deepEqual(all.zfs, [false, true]);
  assert.deepEqual(all.docs, [false, true]);
  assert.equal(all.network.ClientIdentifier, 'mac');
  assert.equal(all.firewall, false);
  assert.match(all.bundle, /nixie-installer-x86_64-linux\.drv$/);
  // Against nixpkgs' image, which has none at all: cards that don't work without get theirs.
  assert.deepEqual(all.firmware[0], { all: false, some: ['nixie-installer-firmware'] });
  assert.equal(all.firmware[1]!.all, true);
  assert.equal(all.lldpd, true);
  // nixpkgs' own, so that pools that are made here are known to installers
  assert.match(all.hostId, /^[0-9a-f]{8}$/);
});

// A service has the programs of its `path` and none of the system's.
test('each program that the agent runs is on the path of its unit', {
  skip: skip || (isReal && 'names of the stub'),
}, async () => {
  const packageOf: Readonly<Record<string, string>> = {
    ...{ ethtool: 'ethtool', ip: 'iproute2', modprobe: 'kmod', lldpcli: 'lldpd', smartctl: 'smartmontools' },
    ...{ ipmitool: 'ipmitool', swapoff: 'util-linux', umount: 'util-linux', mount: 'util-linux', lsblk: 'util-linux' },
    ...{ losetup: 'util-linux', blkid: 'util-linux', vgchange: 'lvm2', dmsetup: 'lvm2', cryptsetup: 'cryptsetup' },
    ...{ mdadm: 'mdadm', 'nixos-facter': 'nixos-facter', zpool: 'zfs', sync: 'coreutils' },
    ...{
      systemctl: 'systemd',
      udevadm: 'systemd',
      'systemd-notify': 'systemd',
      reboot: 'systemd',
      poweroff: 'systemd',
    },
  };
  // of another unit, and a last way for images without systemd
  const elsewhere = ['ssh-keygen', 'busybox'];
  const run = new Set<string>();
  for (const path of sources())
    if (/^agent\/src\/.*(?<!\.test)\.ts$/.test(path) && !path.includes('/fixtures/'))
      for (const [, name] of readFileSync(join(root, path), 'utf8').matchAll(
        /(?:\b(?:run|step|program)\(|argv = |\? \[|: \[)\[?'([a-z][a-z0-9-]+)',/g,
      ))
        run.add(name!);
  for (const name of ['ip', 'ethtool', 'smartctl', 'zpool', 'vgchange', 'nixos-facter', 'systemctl'])
    assert.ok(run.has(name), `no call of ${name} was found: ${[...run].join(' ')}`);
  const unit = await box!.value<string>(
    unitOf(
      system('{ services.nixie-agent = { enable = true; facter = true; }; boot.supportedFilesystems.zfs = true; }'),
      'nixie-agent',
    ),
  );
  const path = /PATH=([^"\n]*)/.exec(unit)![1]!;
  for (const name of run) {
    if (elsewhere.includes(name)) continue;
    assert.ok(packageOf[name], `which package brings ${name}?`);
    assert.match(path, new RegExp(`-${packageOf[name]}/bin`), name);
  }
  const plain = await box!.value<string>(unitOf(system('{ services.nixie-agent.enable = true; }'), 'nixie-agent'));
  for (const name of ['zfs', 'nixos-facter']) assert.ok(!plain.includes(`-${name}/bin`), name);
});

test("the agent in somebody else's image", { skip }, async () => {
  const unit = await box!.value<string>(unitOf(system('{ services.nixie-agent.enable = true; }'), 'nixie-agent'));
  assert.match(unit, /nixie-agent-[\d.]+\/bin\/nixie-agent/);
});

test('the word of an installed system', { skip }, async () => {
  const unit = await box!.value<string>(
    unitOf(
      system(
        `{ networking.hostName = "web1"; services.nixie-host = { enable = true; controller = "10.0.0.1:7481"; fingerprint = "${fingerprint}"; }; }`,
      ),
      'nixie-host',
    ),
  );
  const s = settings(unit);
  const [, ...args] = words(s.get('ExecStart')![0]!);
  const command = readCommand(args);
  assert.ok(command.kind === 'check-in');
  assert.deepEqual(command.settings, {
    controllers: ['10.0.0.1:7481'],
    fingerprint,
    host: 'web1',
    root: '/',
    sshHostKeyFile: '/etc/ssh/ssh_host_ed25519_key',
  });
  // Once: what it leaves behind keeps the unit from being started again.
  assert.equal(s.get('ConditionPathExists')![0], '!/var/lib/nixie-host/told');
  assert.match(s.get('ExecStartPost')![0]!, /touch \/var\/lib\/nixie-host\/told$/);
  assert.deepEqual(s.get('Type'), ['oneshot']);
  // It is root, and kept from what the services are kept from.
  const hardening = await box!.value<object>(`import ${box!.tree}/installer-nix/hardening.nix`);
  assert.deepEqual(
    Object.keys(hardening).filter((name) => !s.has(name)),
    [],
  );
  assert.deepEqual(s.get('CapabilityBoundingSet'), ['CAP_DAC_READ_SEARCH']);
});
