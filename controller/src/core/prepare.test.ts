// What a preparation tells of each host, and when: against a nix whose builds end when the test says so.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host, System } from '../machine/host.ts';
import type { NixCall, NixResult, RunNix } from '../nix/command.ts';
import type { StoreReader } from '../nix/installer.ts';
import { prepare } from './prepare.ts';

const hash = '0gkv8wq1yz50vcf6y645p8117ai0rjsl';
const output = (name: string) => ({ drv: `/nix/store/${hash}-${name}.drv`, out: `/nix/store/${hash}-${name}` });
const hostOf = (name: string, system: System = 'x86_64-linux'): Host => ({
  name,
  flakeAttr: name,
  macs: [],
  system,
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
});
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const store: StoreReader = {
  async realPath(path) {
    if (path.endsWith('/image')) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return path;
  },
  linkTarget: async () => `/nix/store/${hash}-init/init`,
  stat: async () => ({ bytes: 12_000_000, isFile: true }),
  head: async () => Buffer.from('loglevel=4'),
  sha256: async () => '0'.repeat(64),
  chunkHashes: async () => ({ sha256: '0'.repeat(64), chunks: [] }),
};

/** @param systems of which each host's configuration is built for; one that is absent has no configuration */
function scene(hosts: readonly Host[], systems: Readonly<Record<string, string>>) {
  const valid = new Set<string>();
  const calls: NixCall[] = [];
  const told: string[] = [];
  const alarms: (() => void)[] = [];
  const ends = Promise.withResolvers<NixResult>();
  const done = { ended: 'exited', code: 0, stdout: '', stderr: '' } as const;
  const value = (name: string) => ({
    toplevel: output(`sys-${name}`),
    diskoScript: output('disko'),
    system: systems[name],
    hostName: name,
  });
  const answer = {
    names: Object.keys(systems),
    hosts: Object.fromEntries(Object.keys(systems).map((name) => [name, { value: value(name) }])),
    installers: { installer: { value: { system: 'x86_64-linux', bundle: output('installer') } } },
  };
  const run: RunNix = async (call) => {
    calls.push(call);
    const paths = call.args.filter((arg) => arg.startsWith('/nix/store/'));
    if (call.args[0] === 'flake')
      return {
        ...done,
        stdout: JSON.stringify({ url: 'git+file:///flake', locked: { type: 'git', rev: 'abc', narHash: 'x' } }),
      };
    if (call.args[0] === 'path-info') return { ...done, stdout: JSON.stringify({ [paths[0]!]: { narSize: 7 } }) };
    if (call.program === 'nix') return { ...done, stdout: JSON.stringify(answer) };
    if (call.args[0] === '--check-validity')
      return { ...done, stdout: paths.filter((path) => !valid.has(path)).join('\n') };
    if (call.args.includes('--add-root') || call.args[0] === '--query') return done;
    return ends.promise;
  };
  const prepared = prepare({
    flake: 'git+file:///flake',
    installers: { 'x86_64-linux': '#installer' },
    hosts,
    run,
    cwd: '/',
    probe: { exists: () => false },
    store,
    gcRootsDir: '/roots',
    nowMs: () => 0,
    after(_milliseconds, call) {
      alarms.push(call);
      return () => void alarms.splice(alarms.indexOf(call), 1);
    },
    signal: new AbortController().signal,
    deadlineMs: 1000,
    onProgress: () => {},
    told: {
      evaluated: () => told.push('evaluated'),
      warned: (text) => told.push(`warned ${text}`),
      installer: (system) => told.push(`installer ${system}`),
      begins: ({ host, closure }) => told.push(`${host.name} begins${closure === undefined ? '' : ' built'}`),
      built: ({ host, closure }) => told.push(`${host.name} built ${closure.bytes}`),
      failed: ({ name }, { text }) => told.push(`${name} failed: ${text}`),
    },
  });
  prepared.catch(() => {});
  const look = async () => {
    for (let i = 0; i < 20; i++) await turn();
    for (const call of alarms.splice(0)) call();
    for (let i = 0; i < 20; i++) await turn();
  };
  return {
    prepared,
    told,
    calls,
    /** These are in the store from now on; what was told since. */
    async has(...names: string[]): Promise<string[]> {
      for (const name of names) valid.add(output(name).out);
      const before = told.length;
      await look();
      return told.slice(before);
    },
    end: (code: number) => ends.resolve({ ...done, code }),
  };
}

test('machines begin with their installer, and each is built in its own time', async () => {
  const { prepared, has, told, calls, end } = scene([hostOf('a'), hostOf('b')], {
    a: 'x86_64-linux',
    b: 'x86_64-linux',
  });
  assert.deepEqual(await has(), ['evaluated']);
  assert.deepEqual(await has('sys-a', 'disko'), [], 'a system without its installer can wait');
  assert.deepEqual(await has('installer'), ['installer x86_64-linux', 'a begins', 'b begins', 'a built 7']);
  assert.deepEqual(await has('sys-b'), ['b built 7']);
  end(0);
  const { plans, failures } = await prepared;
  assert.deepEqual([[...plans.keys()], failures.size, told.length], [['a', 'b'], 0, 6]);
  const realised = calls.filter(({ args }) => args.includes('--log-format') && args[0] === '--realise');
  assert.deepEqual([realised.length, calls.filter(({ args }) => args[0] === 'eval').length], [1, 1]);
  assert.equal(
    realised[0]!.args.find((arg) => arg.startsWith('/nix/store/')),
    output('installer').drv,
    'first',
  );
});

test('what can not be installed whatever is built for it fails at once, and is not built', async () => {
  const { has, calls } = scene([hostOf('a'), hostOf('arm', 'aarch64-linux'), hostOf('other'), hostOf('gone')], {
    a: 'x86_64-linux',
    arm: 'aarch64-linux',
    other: 'aarch64-linux',
  });
  const told = await has();
  assert.equal(told[0], 'evaluated');
  assert.match(told[1]!, /^arm failed: there is no installer for aarch64-linux: give --installer/);
  assert.match(told[2]!, /^other failed: its configuration is built for aarch64-linux, but the hosts file says x86_64/);
  assert.match(told[3]!, /^gone failed: the flake has no nixosConfigurations.gone/);
  assert.equal(told.length, 4);
  const realised = calls.find(({ args }) => args.includes('--keep-going'))!;
  assert.equal(
    realised.args.some((arg) => /sys-(?:arm|other)/.test(arg)),
    false,
  );
});

test('without its installer no machine begins, and each fails with that', async () => {
  const { prepared, has, told, end } = scene([hostOf('a')], { a: 'x86_64-linux' });
  await has('sys-a', 'disko');
  end(1);
  const { plans, installerFailures } = await prepared;
  assert.deepEqual([plans.size, installerFailures.size], [0, 1]);
  assert.deepEqual(told.length, 2);
  assert.match(told[1]!, /^a failed: installer for x86_64-linux: /);
});

test('one that is not built at the end fails, also while others were', async () => {
  const { prepared, has, told, end } = scene([hostOf('a'), hostOf('b')], { a: 'x86_64-linux', b: 'x86_64-linux' });
  await has('sys-a', 'disko', 'installer');
  end(1);
  const { plans, failures } = await prepared;
  assert.deepEqual([[...plans.keys()], [...failures.keys()]], [['a'], ['b']]);
  assert.match(told.at(-1)!, /^b failed: /);
});
