import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type InstallOptions, readInstallOptions, type Surroundings } from './flags.ts';
import { problemLine } from './problem.ts';
import { defaultStateDir, makeStateDir } from './state-dir.ts';
import { realSurroundings } from './surroundings.ts';

const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILt8QSC9tZ0lNHzLQzHHsEP0ck4ZFnQSxwaOVc8tcQAj';
const pem =
  '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n';
const files: Readonly<Record<string, { text?: string; mode?: number; uid?: number }>> = {
  '/w/hosts.json': {
    text: '{"web1": {"mac_address": "02:00:00:00:00:01"}, "web2": {"mac_address": "02:00:00:00:00:02", "address": "10.0.0.9"}}',
  },
  '/w/two.json': {
    text: '{"pc": {"mac_address": "02:00:00:00:00:01"}, "arm": {"mac_address": "02:00:00:00:00:02", "system": "aarch64-linux"}}',
  },
  '/w/bad.json': { text: '{"a": {}, "b": {}}' },
  '/w/key': { text: pem, mode: 0o600 },
  '/w/open-key': { text: pem, mode: 0o644 },
  '/w/others-key': { text: pem, mode: 0o644, uid: 1000 },
  '/w/key.pub': { text: `${publicKey} me@here\n`, mode: 0o644 },
  '/w/script': { text: '', mode: 0o644 },
  '/w/anywhere': { text: '', mode: 0o755 },
  '/w': {},
  '/w/ipxe': {},
  '/w/inventories': {},
  '/w/inventories/web2/inventory.json': { text: '{"schema_version": 1}' },
  '/w/recorded.json': {
    text: '{"web1": {"mac_address": "02:00:00:00:00:01", "inventory": "none.json"}, "web2": {"mac_address": "02:00:00:00:00:02", "inventory": "bad.json"}}',
  },
};
const around: Surroundings = {
  cwd: '/w',
  uid: 0,
  env: { HOME: '/w' },
  readFile: (path) => {
    const text = files[path]?.text;
    if (text === undefined) throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    return new TextEncoder().encode(text);
  },
  look: (path) => {
    const file = files[path];
    if (file === undefined) return undefined;
    return { kind: file.text === undefined ? 'folder' : 'file', mode: file.mode ?? 0o755, uid: file.uid ?? 0 };
  },
};
const least: InstallOptions = { installer: ['.#nixosConfigurations.installer'], flake: '.', hosts: 'hosts.json' };

function configOf(options: InstallOptions, needs: 'install' | 'check' = 'install') {
  const result = readInstallOptions({ ...least, ...options }, around, needs);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(problemLine).join('\n'));
  return result;
}

test('the three options of the Go Nixie are enough', () => {
  const { config, warnings } = configOf({});
  assert.deepEqual(
    { ...config, hosts: config.hosts.map(({ name }) => name), allHosts: config.allHosts.length },
    {
      hosts: ['web1', 'web2'],
      allHosts: 2,
      hostsFile: '/w/hosts.json',
      installers: { 'x86_64-linux': '.#nixosConfigurations.installer' },
      flake: '.',
      interfaces: [],
      dhcp: { mode: 'proxy' },
      subnets: [],
      stateDir: '/var/lib/nixie',
      logDir: '/var/lib/nixie/logs',
      strictHardware: false,
      cache: true,
      jobs: 16,
      reinstall: new Set(),
      json: false,
      debug: false,
      dryRun: false,
      patience: {},
      buildTimeoutSeconds: 21_600,
    },
  );
  assert.deepEqual(warnings, ['web2: its address 10.0.0.9 is given out only with --dhcp range=FROM-TO']);
});

test('each option changes the configuration', () => {
  const { config, warnings } = configOf({
    sshKey: '~/key',
    address: '10.0.0.1',
    interface: ['eth0', 'eth0', 'eth1.5'],
    dhcp: 'range=10.0.0.100-10.0.0.199',
    ipxe: 'ipxe',
    nixosAnywhere: './anywhere',
    state: 'state',
    logDir: '~/nixie-logs',
    inventoryDir: 'inventories',
    strictHardware: true,
    cache: false,
    knownHosts: 'known_hosts',
    jobs: '3',
    only: ['web2'],
    reinstall: ['web2'],
    json: true,
    debug: true,
    dryRun: true,
    bootTimeout: '120',
    proofTimeout: '30',
    buildTimeout: '60',
  });
  const { hosts, allHosts, sshKey, ...rest } = config;
  assert.deepEqual(
    hosts.map(({ name }) => name),
    ['web2'],
  );
  assert.equal(allHosts.length, 2);
  assert.equal(sshKey?.path, '/w/key');
  assert.equal(sshKey?.kind, 'private');
  assert.match(sshKey?.publicKey ?? '', /^ssh-ed25519 AAAA/);
  assert.deepEqual(warnings, []);
  assert.deepEqual(rest, {
    hostsFile: '/w/hosts.json',
    installers: { 'x86_64-linux': '.#nixosConfigurations.installer' },
    flake: '.',
    address: '10.0.0.1',
    interfaces: ['eth0', 'eth1.5'],
    dhcp: { mode: 'range', from: '10.0.0.100', to: '10.0.0.199' },
    subnets: [],
    ipxeDir: '/w/ipxe',
    nixosAnywhere: '/w/anywhere',
    stateDir: '/w/state',
    logDir: '/w/nixie-logs',
    inventoryDir: '/w/inventories',
    strictHardware: true,
    cache: false,
    knownHosts: '/w/known_hosts',
    jobs: 3,
    reinstall: new Set(['web2']),
    json: true,
    debug: true,
    dryRun: true,
    patience: { firmware: 120, loading: 120, restarting: 120, proving: 30 },
    buildTimeoutSeconds: 60,
  });
});

test('installers for several systems', () => {
  const two = { hosts: 'two.json' };
  const both = ['x86_64-linux=.#pc', 'aarch64-linux=github:o/r?ref=main#arm'];
  const want = { 'x86_64-linux': '.#pc', 'aarch64-linux': 'github:o/r?ref=main#arm' };
  assert.deepEqual(configOf({ ...two, installer: both }).config.installers, want);
  const rest = ['.#pc', 'aarch64-linux=github:o/r?ref=main#arm'];
  assert.deepEqual(configOf({ ...two, installer: rest }).config.installers, want);
  assert.deepEqual(configOf({ ...two, installer: ['.#arm'], only: ['arm'] }).config.installers, {
    'aarch64-linux': '.#arm',
  });
  assert.deepEqual(configOf({ ...two, installer: [] }, 'check').config.installers, {});
});

test('a key of another user may be readable by others: ssh asks that of its own user only', () => {
  assert.equal(configOf({ sshKey: 'others-key' }).config.sshKey?.kind, 'private');
  assert.deepEqual(configOf({ sshKey: 'key.pub' }).config.sshKey, { path: '/w/key.pub', kind: 'public', publicKey });
});

const wrong: readonly [name: string, options: InstallOptions, lines: readonly RegExp[]][] = [
  [
    'nothing given',
    { installer: undefined, flake: undefined, hosts: undefined } as unknown as InstallOptions,
    [/^--hosts: not given; accepted: /, /^--flake: not given; accepted: /, /^--installer: not given; accepted: /],
  ],
  [
    'recorded inventories that are not there, or are something else',
    { hosts: 'recorded.json' },
    [
      /^recorded\.json: web1: read recorded inventory \/w\/none\.json: ENOENT/,
      /^recorded\.json: web2: read .*is it an inventory\?/,
    ],
  ],
  [
    'strict about hardware that is not recorded',
    { inventoryDir: 'inventories', strictHardware: true },
    [/^hosts\.json: web1: --strict-hardware: its hardware is not recorded at \/w\/inventories\/web1\/inventory\.json/],
  ],
  [
    'strict, and nothing is recorded',
    { only: ['web1'], strictHardware: true },
    [
      /^hosts\.json: web1: --strict-hardware: its hardware is not recorded; accepted: "inventory" in its entry, or --inventory-dir/,
    ],
  ],
  ['a folder of inventories that is none', { inventoryDir: 'key' }, [/^--inventory-dir: found no folder at \/w\/key/]],
  ['a missing hosts file', { hosts: 'none.json' }, [/^--hosts: read \/w\/none\.json: there is no such file/]],
  [
    'a bad hosts file with a bad flag',
    { hosts: 'bad.json', dhcp: 'on' },
    [/^bad\.json:1:7: \$\.a: /, /^bad\.json:1:16: \$\.b: /, /^--dhcp: found "on", accepted: proxy, off, or range=/],
  ],
  ['a flake with attribute', { flake: '.#web1' }, [/^--flake: found "\.#web1", accepted: .* without "#…"/]],
  [
    'an installer with a space',
    { installer: ['. #x'] },
    [/^--installer: found "\. #x", accepted: a flake reference, like/],
  ],
  ['a strange system', { installer: ['riscv64-linux=.#i'] }, [/^--installer: found the system "riscv64-linux"/]],
  [
    'two installers for one system',
    { installer: ['x86_64-linux=.#a', 'x86_64-linux=.#b'] },
    [/^--installer: found two for x86_64-linux/],
  ],
  ['two installers without system', { installer: ['.#a', '.#b'] }, [/^--installer: found 2 without a system/]],
  [
    'one installer for two systems',
    { hosts: 'two.json' },
    [
      /^--installer: found one for hosts of x86_64-linux and aarch64-linux, accepted: one for each, as x86_64-linux=REF aarch64-linux=REF/,
    ],
  ],
  [
    'no installer for a system',
    { hosts: 'two.json', installer: ['x86_64-linux=.#a'] },
    [/^--installer: found none for aarch64-linux \(arm\)/],
  ],
  ['an unknown host', { only: ['web3'] }, [/^--only: found "web3", which is no host; did you mean "web[12]"\?/]],
  [
    'a host like none',
    { reinstall: ['database'] },
    [/^--reinstall: found "database", which is no host; accepted: a host of hosts\.json: web1, web2/],
  ],
  [
    'a reinstall left out',
    { only: ['web1'], reinstall: ['web2'] },
    [/^--reinstall: found "web2", which --only leaves out/],
  ],
  [
    'a range backwards',
    { dhcp: 'range=10.0.0.9-10.0.0.1' },
    [/^--dhcp: .* ends before it begins; accepted: range=10\.0\.0\.1-10\.0\.0\.9/],
  ],
  ['a huge range', { dhcp: 'range=10.0.0.0-11.0.0.0' }, [/^--dhcp: found a range of 16777217 addresses/]],
  ['a range of no addresses', { dhcp: 'range=10.0.0.1-300' }, [/^--dhcp: /]],
  ['an address that is none', { address: '10.0.0' }, [/^--address: found "10\.0\.0", accepted: an IPv4 address/]],
  [
    'an interface that is none',
    { interface: ['a b', '../x'] },
    [/^--interface: found "a b"/, /^--interface: found "\.\.\/x"/],
  ],
  ['a missing key', { sshKey: 'no' }, [/^--ssh-key: read \/w\/no: there is no such file/]],
  [
    'a key for all to read',
    { sshKey: 'open-key' },
    [/^--ssh-key: found mode 644 on open-key, which ssh refuses; accepted: `chmod 600 open-key`/],
  ],
  ['no key', { sshKey: 'script' }, [/^--ssh-key: found an empty file in script, accepted: /]],
  ['a program that is none', { nixosAnywhere: 'script' }, [/^--nixos-anywhere: found a file that is not executable/]],
  ['a folder for a program', { nixosAnywhere: 'ipxe' }, [/^--nixos-anywhere: found no file at \/w\/ipxe/]],
  ['a name to listen at', { relayListen: 'nixie:7482' }, [/^--relay-listen: found "nixie:7482", accepted: an IPv4/]],
  ['no iPXE folder', { ipxe: 'none' }, [/^--ipxe: found nothing at \/w\/none, accepted: a folder/]],
  ['a file for the state', { state: 'script' }, [/^--state: found no folder at \/w\/script/]],
  ['a folder for known hosts', { knownHosts: 'ipxe' }, [/^--known-hosts: found no file at/]],
  ['no jobs', { jobs: '0' }, [/^--jobs: found "0", accepted: a number from 1 to 1000/]],
  [
    'a time limit with a unit',
    { bootTimeout: '5m' },
    [/^--boot-timeout: found "5m", accepted: seconds from 1 to 604800/],
  ],
];
for (const [name, options, lines] of wrong)
  test(`refuses ${name}`, () => {
    const result = readInstallOptions({ ...least, ...options }, around, 'install');
    assert.ok(!result.ok);
    const found = result.problems.map(problemLine);
    assert.equal(found.length, lines.length, found.join('\n'));
    for (const [index, line] of lines.entries()) assert.match(found[index]!, line);
  });

test('where the state is kept', () => {
  assert.equal(defaultStateDir(0, { XDG_STATE_HOME: '/x' }), '/var/lib/nixie');
  assert.equal(defaultStateDir(1000, { XDG_STATE_HOME: '/x', HOME: '/h' }), '/x/nixie');
  assert.equal(defaultStateDir(1000, { XDG_STATE_HOME: 'relative', HOME: '/h' }), '/h/.local/state/nixie');
  assert.equal(defaultStateDir(1000, {}), undefined);
});

test('the state folder is for its owner alone, also when it was there', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-state-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const uid = process.getuid!();
  const mode = (path: string) => statSync(path).mode & 0o777;
  makeStateDir(join(folder, 'a/b'), uid);
  assert.equal(mode(join(folder, 'a/b')), 0o700);
  const open = (name: string) => {
    mkdirSync(join(folder, name));
    // Whatever the umask is.
    chmodSync(join(folder, name), 0o755);
  };
  open('open');
  makeStateDir(join(folder, 'open'), uid);
  assert.equal(mode(join(folder, 'open')), 0o700);
  assert.throws(() => makeStateDir(join(folder, 'open'), uid + 1), /make state folder .*: it belongs to user/);
  // Somebody's home, or /tmp itself: it is refused, and stays as it is.
  open('home');
  writeFileSync(join(folder, 'home/letter'), '');
  assert.throws(() => makeStateDir(join(folder, 'home'), uid), /holds other things .*"letter".* \(mode 755\).*--state/);
  assert.equal(mode(join(folder, 'home')), 0o755);
  // One of ours, as a copy that lost its modes has it.
  writeFileSync(join(folder, 'home/tls.pem'), '');
  makeStateDir(join(folder, 'home'), uid);
  assert.equal(mode(join(folder, 'home')), 0o700);
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => makeStateDir(join(folder, 'file'), uid), /make state folder .*\/file: /);
});

test('the real surroundings', () => {
  const real = realSurroundings();
  assert.equal(real.look(import.meta.dirname)?.kind, 'folder');
  assert.equal(real.look(import.meta.filename)?.kind, 'file');
  assert.equal(real.look('/dev/null')?.kind, 'other');
  assert.equal(real.look('/nothing/here'), undefined);
  assert.throws(() => real.readFile('/nothing/here'), { code: 'ENOENT' });
});

test("a package's iPXE is taken unless another one is named, and never asked for by check", () => {
  const packaged = { ...around, env: { ...around.env, NIXIE_IPXE: '/w/ipxe' } };
  const of = (options: InstallOptions, needs: 'install' | 'check' = 'install') => {
    const result = readInstallOptions({ ...least, ...options }, packaged, needs);
    assert.ok(result.ok);
    return result.config.ipxeDir;
  };
  assert.equal(of({}), '/w/ipxe');
  assert.equal(of({ ipxe: '/w' }), '/w');
  assert.equal(of({}, 'check'), undefined);
  assert.equal(configOf({}).config.ipxeDir, undefined);
});
