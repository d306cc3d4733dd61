import assert from 'node:assert/strict';
import test from 'node:test';
import type { Surroundings } from '../config/flags.ts';
import type { InventoryRun } from '../config/inventory-run.ts';
import { ConfigError } from '../config/problem.ts';
import type { RunConfig } from '../config/run-config.ts';
import { joinTokenText } from '../machine/relay.ts';
import type { DoctorRequest } from './doctor-request.ts';
import type { ExitCode } from './exit-codes.ts';
import type { InventoryRequest } from './inventory-request.ts';
import type { LogsRequest } from './logs-request.ts';
import type { OperatorRequest, StatusRequest } from './operator-request.ts';
import { type ExplainRequest, type Handlers, runProgram, UsageError } from './program.ts';
import type { RelayRequest } from './relay-request.ts';
import type { RelayTokenRequest } from './relay-token-request.ts';
import type { WakeRequest } from './wake-request.ts';

const hostsText =
  '{"web1": {"mac_address": "02:00:00:00:00:01"}, "web2": {"mac_addresses": ["02:00:00:00:00:02", "02:00:00:00:00:03"]}}';
const joinToken = joinTokenText({
  name: 'rack7',
  url: 'https://192.0.2.7',
  fingerprint: 'a'.repeat(64),
  secret: new Uint8Array(32),
});
const around: Surroundings = {
  cwd: '/w',
  uid: 1000,
  env: { HOME: '/h' },
  readFile: (path) => {
    if (path.endsWith('.token')) return new TextEncoder().encode(joinToken);
    if (!path.endsWith('hosts.json')) throw Object.assign(new Error('no'), { code: 'ENOENT' });
    return new TextEncoder().encode(hostsText);
  },
  look: (path) => (path.endsWith('.token') ? { kind: 'file', mode: 0o100600, uid: 1000 } : undefined),
};

interface Call {
  readonly command: string;
  readonly given:
    | RunConfig
    | ExplainRequest
    | WakeRequest
    | OperatorRequest
    | StatusRequest
    | LogsRequest
    | DoctorRequest
    | InventoryRequest
    | InventoryRun
    | RelayRequest
    | RelayTokenRequest;
  readonly warnings?: readonly string[];
}

async function run(line: string, code: ExitCode = 0) {
  const calls: Call[] = [];
  const took = async (call: Call) => {
    calls.push(call);
    return code;
  };
  const handlers: Handlers = {
    install: (given, warnings) => took({ command: 'install', given, warnings }),
    check: (given, warnings) => took({ command: 'check', given, warnings }),
    explain: (given) => took({ command: 'explain', given }),
    wake: (given) => took({ command: 'wake', given }),
    serve: (given, warnings) => took({ command: 'serve', given, warnings }),
    retry: (given) => took({ command: 'retry', given }),
    cancel: (given) => took({ command: 'cancel', given }),
    status: (given) => took({ command: 'status', given }),
    inventory: (given) => took({ command: 'inventory', given }),
    inventoryOnly: (given) => took({ command: 'inventory-only', given }),
    logs: (given) => took({ command: 'logs', given }),
    doctor: (given) => took({ command: 'doctor', given }),
    relay: (given) => took({ command: 'relay', given }),
    relayToken: (given) => took({ command: 'relay-token', given }),
    names: async ({ socket }) => [`of ${socket}`],
  };
  let out = '';
  let err = '';
  const world = {
    around,
    version: '1.2.3 (Node v24.0.0)',
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  };
  const status = await runProgram(line.split(' ').filter(Boolean), handlers, world);
  return { status, calls, out, err };
}

const needed = '--installer .#installer --flake . --hosts hosts.json';

test('a binary cache unless --no-cache; a run that only looks has none to switch off', async () => {
  const cacheOf = async (words: string) => ((await run(words)).calls[0]!.given as RunConfig).cache;
  assert.equal(await cacheOf(needed), true);
  assert.equal(await cacheOf(`${needed} --no-cache`), false);
  assert.equal(await cacheOf(`serve ${needed} --no-cache`), false);
  const looking = '--inventory-only --installer .#installer --hosts hosts.json';
  assert.equal((await run(looking)).calls.length, 1);
  await assert.rejects(
    run(`${looking} --no-cache`),
    (error: ConfigError) => error.problems.length === 1 && error.problems[0]?.where === '--no-cache',
  );
});

test('the bare form is install', async () => {
  const bare = await run(`${needed} --only web2 --reinstall web2 --interface eth0 --interface eth1 --dry-run`, 4);
  const named = await run(
    `install ${needed} --only web2 --reinstall web2 --interface eth0 --interface eth1 --dry-run`,
    4,
  );
  assert.deepEqual(bare, named);
  assert.equal(bare.status, 4);
  const [call] = bare.calls;
  assert.equal(call?.command, 'install');
  const config = call.given as RunConfig;
  assert.deepEqual(
    config.hosts.map(({ name }) => name),
    ['web2'],
  );
  assert.deepEqual(config.interfaces, ['eth0', 'eth1']);
  assert.equal(config.dryRun, true);
  assert.equal(config.stateDir, '/h/.local/state/nixie');
});

test('check needs no installer', async () => {
  const { calls } = await run('check --flake . --hosts=hosts.json --json');
  assert.equal(calls[0]?.command, 'check');
  assert.equal((calls[0]!.given as RunConfig).json, true);
});

test('explain hands on only what was given', async () => {
  assert.deepEqual((await run('explain x.pcap')).calls[0]?.given, { capture: 'x.pcap', json: false });
  const { given } = (
    await run('explain x.pcap --hosts hosts.json --dhcp range=10.0.0.5-10.0.0.9 --address 10.0.0.1 --json')
  ).calls[0]!;
  const { hosts, subnets, ...rest } = given as ExplainRequest;
  assert.equal(hosts?.length, 2);
  assert.deepEqual(subnets, []);
  assert.deepEqual(rest, {
    capture: 'x.pcap',
    dhcp: { mode: 'range', from: '10.0.0.5', to: '10.0.0.9' },
    address: '10.0.0.1',
    json: true,
  });
});

test('wake takes names and MACs, each machine once', async () => {
  const { given } = (
    await run('wake --hosts hosts.json web2 02-00-00-00-00-09 web2 --secure-on 192.168.1.1 --interface br0')
  ).calls[0]!;
  assert.deepEqual(given, {
    targets: [
      { name: 'web2', macs: ['02:00:00:00:00:02', '02:00:00:00:00:03'] },
      { name: '02:00:00:00:00:09', macs: ['02:00:00:00:00:09'] },
    ],
    subnets: [],
    interfaces: ['br0'],
    secureOn: Uint8Array.of(192, 168, 1, 1),
    json: false,
  });
});

test('retry, cancel and status name hosts and the socket of a state folder', async () => {
  const socket = '/h/.local/state/nixie/operator.sock';
  const given = async (line: string) => (await run(line)).calls[0];
  assert.deepEqual(await given('retry a b a'), { command: 'retry', given: { hosts: ['a', 'b'], socket } });
  assert.deepEqual(await given('cancel --state s a'), {
    command: 'cancel',
    given: { hosts: ['a'], socket: '/w/s/operator.sock' },
  });
  assert.deepEqual((await given('status --watch --json'))?.given, { watch: true, json: true, socket });
  assert.equal((await run('complete-hosts --state=~/x')).out, 'of /h/x/operator.sock\n');
  assert.equal((await run('retry')).status, 2);
});

test('--inventory-only needs an installer, and says who may be booted', async () => {
  const given = async (line: string) => (await run(`--inventory-only --installer .#i ${line}`)).calls[0];
  const one = await given('--any --for 1h30m --count 3 --out x');
  assert.ok(one?.command === 'inventory-only');
  const { allowed, ask, flake, milliseconds, count, out, installers } = one.given as InventoryRun;
  assert.deepEqual(
    { allowed, ask, flake, milliseconds, count, out, installers },
    {
      allowed: { hosts: [], prefixes: [''] },
      ask: false,
      flake: '.',
      milliseconds: 5_400_000,
      count: 3,
      out: '/w/x',
      installers: { 'x86_64-linux': '.#i' },
    },
  );
  const two = (await given('--any 52-54 --any 525400 --hosts hosts.json'))?.given as InventoryRun;
  assert.deepEqual([two.allowed.prefixes, two.allowed.hosts.length, two.ask], [['52:54', '52:54:00'], 2, false]);
  const none = await given('');
  assert.equal((none!.given as InventoryRun).ask, true);
});

test('inventory asks for one machine or for all, in a form', async () => {
  const state = '/h/.local/state/nixie';
  const given = async (line: string) => (await run(line)).calls[0]?.given;
  assert.deepEqual(await given('inventory'), { format: 'table', socket: `${state}/operator.sock`, stateDir: state });
  assert.deepEqual(await given('inventory web1 --format runtime-info --state s'), {
    host: 'web1',
    format: 'runtime-info',
    socket: '/w/s/operator.sock',
    stateDir: '/w/s',
  });
});

test('serve takes the options of install, but for a dry run', async () => {
  const { calls, status } = await run(`serve ${needed} --only web2 --dhcp off`);
  assert.deepEqual([status, calls[0]!.command, (calls[0]!.given as RunConfig).dhcp.mode], [0, 'serve', 'off']);
  assert.equal((await run(`serve ${needed} --dry-run`)).status, 2);
});

const refused: readonly [line: string, problems: readonly RegExp[]][] = [
  ['', [/^--hosts: not given/, /^--flake: not given/, /^--installer: not given/]],
  ['check --flake . --hosts none.json', [/^--hosts: read \/w\/none\.json: there is no such file/]],
  [`${needed} --any --out x`, [/^--any: has no meaning without --inventory-only/, /^--out: has no meaning/]],
  [
    '--inventory-only --any 5 --for 9 --count 0 --reinstall a --dry-run',
    [
      /^--reinstall: has no meaning with --inventory-only: nothing is installed/,
      /^--dry-run: has no meaning/,
      /^--any: found "5"/,
      /^--installer: not given/,
      /^--for: found "9"/,
      /^--count: found "0"/,
    ],
  ],
  ['inventory --format nix', [/^--format: nix is of one machine; accepted without a host: table, json/]],
  ['inventory ../x --format xml', [/^--format: found "xml", accepted: table, json/, /^HOST: found "\.\.\/x"/]],
  ['explain x --dhcp on --address 1', [/^--dhcp: found "on"/, /^--address: found "1"/]],
  ['explain x --hosts none.json', [/^--hosts: read none\.json: /]],
  ['wake web1', [/^wake: found "web1"; accepted: a MAC address, or with --hosts FILE/]],
  [
    'wake --hosts hosts.json web3 --secure-on secret',
    [/^wake: found "web3"; did you mean "web[12]"/, /^--secure-on: accepted: 6 bytes/],
  ],
];
for (const [line, problems] of refused)
  test(`refuses: nixie ${line}`, async () => {
    const error: unknown = await run(line).then(
      () => undefined,
      (reason) => reason,
    );
    assert.ok(error instanceof ConfigError);
    const lines = error.message.split('\n');
    assert.equal(lines.length, problems.length, error.message);
    for (const [index, problem] of problems.entries()) assert.match(lines[index]!, problem);
    assert.doesNotMatch(error.message, /secret/);
  });

test('what commander refuses ends with 2', async () => {
  for (const line of [`${needed} --nonsense`, `${needed} extra`, '--hosts', 'explain', 'wake', 'completion']) {
    const { status, err, calls } = await run(line);
    assert.equal(status, 2, line);
    assert.match(err, /^nixie: .*\n(?:.*\n)?see nixie \w+ --help\n$/, line);
    assert.deepEqual(calls, []);
  }
  assert.match((await run(`${needed} --hostss x`)).err, /Did you mean --hosts\?/);
  assert.match((await run('--json status')).err, /\nthe command comes first: nixie status …\n$/);
  await assert.rejects(run('help statsu'), (error) => error instanceof UsageError && /mean status/.test(error.message));
  assert.doesNotMatch((await run('install --help')).out, /preset/);
});

test('an unknown command is named, with the nearest', async () => {
  await assert.rejects(
    run('instal'),
    (error) => error instanceof UsageError && /did you mean install\?/.test(error.message),
  );
  await assert.rejects(
    run('frobnicate'),
    /commands: install, serve, check, explain, wake, retry, cancel, inventory, status, logs, doctor, relay, relay-token, completion, help$/,
  );
  await assert.rejects(run('completion tcsh'), /accepted: bash, zsh, fish/);
});

test('help and version end with 0 on standard output', async () => {
  const version = await run('--version');
  assert.deepEqual([version.status, version.out, version.err], [0, 'nixie 1.2.3 (Node v24.0.0)\n', '']);
  for (const line of ['--help', 'help', 'install --help', 'check -h', 'help wake', 'explain --help']) {
    const { status, out, err } = await run(line);
    assert.deepEqual([status, err], [0, ''], line);
    assert.match(out, /^Usage: nixie/);
  }
  const { out } = await run('--help');
  assert.match(out, /Examples:\n {2}\$ sudo nixie --installer /);
  assert.match(out, /Exit status:\n {2}0 {3}every host is proved/);
});

test('the examples of the help are understood', async () => {
  const lines = (await run('--help')).out.split('\n').filter((line) => line.startsWith('  $ '));
  assert.ok(lines.length >= 6);
  for (const line of lines) {
    const { status, calls } = await run(line.replace(/^ {2}\$ (?:sudo )?nixie /, ''));
    assert.deepEqual([status, calls.length], [0, 1], line);
  }
});

test('complete-hosts prints names, and nothing for a bad file', async () => {
  assert.equal((await run('complete-hosts hosts.json')).out, 'web1\nweb2\n');
  const bad = await run('complete-hosts none.json');
  assert.deepEqual([bad.status, bad.out, bad.err], [0, '', '']);
});
