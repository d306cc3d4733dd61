import assert from 'node:assert/strict';
import test from 'node:test';
import { defaultPatience, nixEnvironment, type PhaseRequest, planPhase, stepLimitMs, withPatience } from './plan.ts';

const request: PhaseRequest = {
  phase: 'disko',
  host: 'm1',
  address: '10.0.0.7',
  program: '/opt/nixos-anywhere',
  disko: '/nix/store/aaa-disko',
  toplevel: '/nix/store/bbb-nixos-system-m1',
  keyFile: '/dev/shm/nixie-x/keys/id',
  paths: { shim: '/dev/shm/nixie-x/bin', home: '/dev/shm/nixie-x/home', tmp: '/dev/shm/nixie-x/tmp' },
  searchPath: '/usr/bin:/bin',
  extraFiles: '/dev/shm/nixie-x/extra',
};

test('one child: both store paths, one phase, nothing of the caller', () => {
  const plan = planPhase(request);
  assert.deepEqual(plan.argv, [
    '--store-paths',
    '/nix/store/aaa-disko',
    '/nix/store/bbb-nixos-system-m1',
    '--build-on',
    'local',
    '--phases',
    'disko',
    '-i',
    '/dev/shm/nixie-x/keys/id',
    '--no-use-machine-substituters',
    '--ssh-option',
    'ServerAliveInterval=15',
    '--ssh-option',
    'ServerAliveCountMax=4',
    '--target-host',
    'root@10.0.0.7',
  ]);
  assert.deepEqual(plan.env, {
    PATH: '/dev/shm/nixie-x/bin:/usr/bin:/bin',
    HOME: '/dev/shm/nixie-x/home',
    TMPDIR: '/dev/shm/nixie-x/tmp',
    LC_ALL: 'C',
  });
});

test('extra files go with install alone', () => {
  assert.ok(
    planPhase({ ...request, phase: 'install' })
      .argv.join(' ')
      .includes('--extra-files /dev/shm/nixie-x/extra'),
  );
  for (const phase of ['disko', 'reboot'] as const) {
    assert.ok(!planPhase({ ...request, phase }).argv.includes('--extra-files'));
  }
});

test('keys of disks go with disko alone, as descriptors from 3 on; owners of files with install alone', () => {
  const more = { diskKeys: ['/tmp/a.key', '/tmp/b.key'], owners: [{ path: '/etc/s', owner: '7:8' }] };
  const disko = planPhase({ ...request, ...more }).argv.join(' ');
  assert.ok(
    disko.includes('--disk-encryption-keys /tmp/a.key /dev/fd/3 --disk-encryption-keys /tmp/b.key /dev/fd/4 '),
    disko,
  );
  assert.ok(!disko.includes('--chown'));
  const install = planPhase({ ...request, ...more, phase: 'install' }).argv.join(' ');
  assert.ok(install.includes('--chown /etc/s 7:8 '), install);
  assert.ok(!install.includes('--disk-encryption-keys'));
  assert.doesNotMatch(planPhase({ ...request, ...more, phase: 'reboot' }).argv.join(' '), /--chown|--disk-enc/);
  for (const path of ['/a b', 'a', '/a;b', '/$(a)'])
    assert.throws(() => planPhase({ ...request, diskKeys: [path] }), /expected a plain absolute path/);
});

test('no flag that disables substitution or prints secrets', () => {
  for (const phase of ['disko', 'install', 'reboot'] as const) {
    const { argv } = planPhase({ ...request, phase });
    assert.ok(!argv.includes('--no-substitute-on-destination'));
    assert.ok(!argv.includes('--debug'));
  }
});

test('values that could not be passed on are refused by name', () => {
  const cases: [Partial<PhaseRequest>, RegExp][] = [
    [{ address: '-oProxyCommand=x' }, /address: expected an IP address/],
    [{ address: 'host.example' }, /address/],
    [{ keyFile: '/tmp/a b' }, /keyFile/],
    [{ keyFile: 'relative' }, /keyFile/],
    [{ paths: { ...request.paths, tmp: "/tmp/it's" } }, /tmp/],
    [{ disko: '--debug' }, /disko: expected a store path/],
    [{ extraFiles: '' }, /extraFiles/],
  ];
  for (const [change, want] of cases) assert.throws(() => planPhase({ ...request, ...change }), want);
});

test('only what nix needs is taken from the environment', () => {
  const kept = nixEnvironment({
    NIX_CONF_DIR: '/etc/x',
    https_proxy: 'http://p',
    SSH_AUTH_SOCK: '/s',
    SSH_PRIVATE_KEY: 'secret',
    SSHPASS: 'secret',
    NIX_SSHOPTS: '-v',
    NIXOS_NO_CHECK: '1',
    HOME: '/root',
    NIX_REMOTE: undefined,
  });
  assert.deepEqual(kept, { NIX_CONF_DIR: '/etc/x', https_proxy: 'http://p' });
});

test('patience grows with the bytes of a copy and can be changed in parts', () => {
  assert.equal(stepLimitMs(defaultPatience, 'copy', 600_000_000), 120_000 + 600_000);
  assert.equal(stepLimitMs(defaultPatience, 'disko', 600_000_000), 600_000);
  const short = withPatience({ stepMs: { keys: 5 }, graceMs: 1 });
  assert.equal(short.stepMs.keys, 5);
  assert.equal(short.stepMs.install, 900_000);
  assert.equal(short.graceMs, 1);
});
