// services.nixie: defaults, what is refused, the text of the units, and that the hosts' options say what hosts.json says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { type Handlers, runProgram } from '../../controller/src/cli/program.ts';
import type { Surroundings } from '../../controller/src/config/flags.ts';
import { parseHosts } from '../../controller/src/config/hosts.ts';
import type { RunConfig } from '../../controller/src/config/run-config.ts';
import { timeouts } from '../../controller/src/config/timeouts.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { isReal, makeNixBox, type NixBox, root, skip } from './nix.ts';
import { fingerprint, settings, system, unitOf, verify, withController, words } from './units.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const full = `{
  hosts = {
    m1 = { macAddress = "AA-BB-CC-DD-EE-01"; address = "10.20.0.5"; tags = [ "web" ]; boot = [ "console=ttyS0" ]; wipe = true; subnet = "10.20.0.0/24"; };
    arm = {
      macAddresses = [ "aabb.ccdd.ee02" "aa:bb:cc:dd:ee:03" ]; system = "aarch64-linux"; flakeAttr = "edge";
      expectDisks = [ { serial = "S1"; minSize = "400G"; rotational = false; } { wwn = "w"; maxSize = 5; } ];
      secrets.diskKeys."/tmp/disk.key" = "credential:disk";
      secrets.files."/etc/a" = "env:A";
      secrets.files."/etc/b" = { source = "command:pass show b"; mode = "0400"; owner = "1:2"; };
    };
  };
  subnets = [ { cidr = "10.20.0.0/24"; range = "10.20.0.100-10.20.0.199"; router = "10.20.0.1"; dns = [ "10.20.0.53" ]; controllerAddress = "10.0.0.1"; } { cidr = "10.30.0.0/24"; relay = "hall"; } ];
  installer = { x86_64-linux = "/etc/nixos#i"; aarch64-linux = "/etc/nixos#arm"; };
  interfaces = [ "eth1" "eth2" ]; address = "10.0.0.1"; dhcp = { mode = "range"; from = "10.0.0.100"; to = "10.0.0.199"; };
  jobs = 4; timeouts.boot = 900; sshKeyFile = "/run/keys/ssh"; credentials.disk = "/run/keys/disk"; openFirewall = true;
  extraArgs = [ "--debug" ];
}`;

test('services.nixie: as little as can be said', { skip }, async () => {
  const unit = await box!.value<string>(unitOf(withController('{ }'), 'nixie'));
  const s = settings(unit);
  const [program, ...args] = words(s.get('ExecStart')![0]!);
  assert.match(program!, /^\/nix\/store\/.*-nixie-[\d.]+\/bin\/nixie$/);
  assert.deepEqual(args, [
    'serve',
    ...['--flake', '/etc/nixos', '--installer', '/etc/nixos#nixosConfigurations.installer'],
    ...['--hosts', '/etc/nixie/hosts.json', '--state', '/var/lib/nixie', '--dhcp', 'proxy', '--jobs', '16'],
  ]);
  for (const [name, value] of [
    ['DynamicUser', 'true'],
    ['StateDirectory', 'nixie'],
    ['Type', 'notify'],
    ['NotifyAccess', 'all'],
    // No interface is named, so no socket can be handed over.
    ['AmbientCapabilities', 'CAP_NET_BIND_SERVICE'],
    ['CapabilityBoundingSet', 'CAP_NET_BIND_SERVICE'],
    ['ProtectSystem', 'strict'],
    ['NoNewPrivileges', 'true'],
    ['Restart', 'on-failure'],
    ['WantedBy', 'multi-user.target'],
  ] as const)
    assert.deepEqual(s.get(name), [value], name);
  assert.ok(s.get('Environment')!.some((line) => line.includes('HOME=/var/lib/nixie')));
  assert.equal(s.has('LoadCredential'), false);
  assert.equal(s.has('Requires'), false);
  assert.ok(!s.get('RestrictAddressFamilies')!.includes('AF_PACKET'));
  assert.ok(Number(s.get('WatchdogSec')) >= 60);
  // compiled JavaScript
  assert.equal(s.has('MemoryDenyWriteExecute'), false);
});

test('services.nixie: everything said', { skip }, async () => {
  const of = withController(full);
  const all = await box!.value<{ unit: string; hosts: string; firewall: unknown; closed: unknown }>(`{
    unit = ${unitOf(of, 'nixie')};
    hosts = ${of}.config.environment.etc."nixie/hosts.json".source.text;
    firewall = lib.mapAttrs (_: i: { inherit (i) allowedTCPPorts allowedUDPPorts; }) ${of}.config.networking.firewall.interfaces;
    closed = ${of}.config.networking.firewall.allowedUDPPorts;
  }`);
  const s = settings(all.unit);
  const args = words(s.get('ExecStart')![0]!).slice(2);
  assert.deepEqual(args, [
    ...[
      '--flake',
      '/etc/nixos',
      '--installer',
      'aarch64-linux=/etc/nixos#arm',
      '--installer',
      'x86_64-linux=/etc/nixos#i',
    ],
    ...['--hosts', '/etc/nixie/hosts.json', '--state', '/var/lib/nixie', '--dhcp', 'range=10.0.0.100-10.0.0.199'],
    ...['--jobs', '4', '--interface', 'eth1', '--interface', 'eth2', '--address', '10.0.0.1'],
    ...['--ssh-key', '/run/credentials/nixie.service/ssh-key', '--boot-timeout', '900', '--debug'],
  ]);
  assert.deepEqual(s.get('LoadCredential'), ['disk:/run/keys/disk', 'ssh-key:/run/keys/ssh']);
  const doors = { allowedTCPPorts: [7480, 7481, 7482], allowedUDPPorts: [67, 69, 4011] };
  assert.deepEqual(all.firewall, { eth1: doors, eth2: doors });
  assert.deepEqual(all.closed, []);

  // The program itself reads what the module wrote.
  const read = parseHosts(new TextEncoder().encode(all.hosts), 'hosts.json');
  assert.ok(read.ok, JSON.stringify(read));
  assert.deepEqual(JSON.parse(all.hosts), {
    $subnets: [
      {
        cidr: '10.20.0.0/24',
        range: '10.20.0.100-10.20.0.199',
        router: '10.20.0.1',
        dns: ['10.20.0.53'],
        controller_address: '10.0.0.1',
      },
      { cidr: '10.30.0.0/24', relay: 'hall' },
    ],
    m1: {
      mac_address: 'AA-BB-CC-DD-EE-01',
      address: '10.20.0.5',
      tags: ['web'],
      boot: ['console=ttyS0'],
      wipe: true,
      subnet: '10.20.0.0/24',
    },
    arm: {
      mac_addresses: ['aabb.ccdd.ee02', 'aa:bb:cc:dd:ee:03'],
      system: 'aarch64-linux',
      flake_attr: 'edge',
      expect_disks: [
        { serial: 'S1', min_size: '400G', rotational: false },
        { wwn: 'w', max_size: 5 },
      ],
      secrets: {
        disk_keys: { '/tmp/disk.key': 'file:/run/credentials/nixie.service/disk' },
        files: { '/etc/a': 'env:A', '/etc/b': { source: 'command:pass show b', mode: '0400', owner: '1:2' } },
      },
    },
  });
  // …and understands the command line.
  let said = '';
  const out = (text: string) => {
    said += text;
  };
  let asked: RunConfig | undefined;
  // Whatever commands there are: only `serve` is asked for.
  const handlers = new Proxy({} as Handlers, {
    get: (_, name) => async (config: RunConfig) => {
      if (name === 'serve') asked = config;
      return 0;
    },
  });
  const owned = { uid: 61_000 };
  const around: Surroundings = {
    cwd: '/',
    ...owned,
    env: {},
    readFile: (path) => (path.endsWith('hosts.json') ? new TextEncoder().encode(all.hosts) : sshKey()),
    look: (path) =>
      path.startsWith('/var/lib/nixie')
        ? { kind: 'folder', mode: 0o40700, ...owned }
        : { kind: 'file', mode: 0o100400, ...owned },
  };
  await runProgram(['serve', ...args], handlers, { around, out, err: out, version: '0' });
  assert.ok(asked, said);
  assert.deepEqual(asked.interfaces, ['eth1', 'eth2']);
  assert.deepEqual(asked.dhcp, { mode: 'range', from: '10.0.0.100', to: '10.0.0.199' });
  assert.equal(asked.sshKey?.path, '/run/credentials/nixie.service/ssh-key');
  assert.equal(asked.hosts.length, 2);
});

function sshKey(): Uint8Array {
  const blob = Buffer.concat([
    Buffer.from([0, 0, 0, 11]),
    Buffer.from('ssh-ed25519'),
    Buffer.from([0, 0, 0, 32]),
    Buffer.alloc(32, 7),
  ]);
  return Buffer.from(`ssh-ed25519 ${blob.toString('base64')}\n`);
}

test('services.nixie: systemd opens the sockets of named interfaces, and the service has no right to any', {
  skip,
}, async () => {
  const many = withController('{ interfaces = [ "eth1" "eth1.20" ]; }');
  const all = await box!.value<Record<string, string>>(`{
    service = ${unitOf(many, 'nixie')};
    eth1 = ${unitOf(many, 'nixie-eth1', 'socket')};
    vlan = ${unitOf(many, 'nixie-eth1.20', 'socket')};
    addressed = ${unitOf(withController('{ interfaces = [ "eth1" ]; address = "10.0.0.1"; }'), 'nixie-eth1', 'socket')};
    tftp = ${unitOf(withController('{ interfaces = [ "eth1" ]; dhcp.mode = "off"; }'), 'nixie-eth1', 'socket')};
    hearing = ${unitOf(withController('{ interfaces = [ "eth1" ]; hearOtherServers = true; }'), 'nixie')};
    all = ${unitOf(withController('{ hearOtherServers = true; }'), 'nixie')};
  }`);
  const service = settings(all.service!);
  const sockets = 'nixie-eth1.socket nixie-eth1.20.socket';
  assert.deepEqual(service.get('Requires'), [sockets]);
  assert.ok(service.get('After')![0]!.endsWith(sockets));
  // Said, and nothing: a unit without the lines may have all of them.
  for (const name of ['AmbientCapabilities', 'CapabilityBoundingSet']) assert.deepEqual(service.get(name), [''], name);
  assert.deepEqual(
    settings(all.eth1!),
    new Map(
      Object.entries({
        Description: ["Nixie's doors on eth1: DHCP, PXE, TFTP"],
        PartOf: ['nixie.service'],
        BindToDevice: ['eth1'],
        Broadcast: ['true'],
        FreeBind: ['true'],
        ListenDatagram: ['0.0.0.0:67', '0.0.0.0:4011', '0.0.0.0:69'],
        ReceiveBuffer: ['8M'],
        Service: ['nixie.service'],
      }),
    ),
  );
  assert.deepEqual(settings(all.vlan!).get('BindToDevice'), ['eth1.20']);
  assert.deepEqual(settings(all.addressed!).get('ListenDatagram'), [
    ...['0.0.0.0:67', '0.0.0.0:4011', '10.0.0.1:67', '10.0.0.1:4011', '0.0.0.0:69'],
  ]);
  assert.deepEqual(settings(all.tftp!).get('ListenDatagram'), ['0.0.0.0:69']);
  assert.deepEqual(settings(all.hearing!).get('CapabilityBoundingSet'), ['CAP_NET_RAW']);
  assert.ok(settings(all.hearing!).get('RestrictAddressFamilies')!.includes('AF_PACKET'));
  assert.deepEqual(settings(all.all!).get('AmbientCapabilities'), ['CAP_NET_BIND_SERVICE CAP_NET_RAW']);
});

test('services.nixie: what is refused, and how', { skip }, async () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      'doubled MAC',
      'hosts = { a.macAddress = "aa:bb:cc:dd:ee:01"; b.macAddresses = [ "AABB.CCDD.EE01" ]; };',
      /aabbccddee01 is of a, b/,
    ],
    ['no MAC', 'hosts.a = { };', /needs macAddress or macAddresses, missing at a/],
    ['no such MAC', 'hosts.a.macAddress = "aa:bb";', /not a MAC address: aabb of a/],
    ['no hosts', 'hosts = { };', /either hosts or hostsFile/],
    [
      'hosts twice',
      'hosts.a.macAddress = "aa:bb:cc:dd:ee:01"; hostsFile = "/etc/h.json";',
      /either hosts or hostsFile/,
    ],
    [
      'subnets twice',
      'hosts = { }; hostsFile = "/etc/h.json"; subnets = [ { cidr = "10.20.0.0/24"; } ];',
      /hostsFile has its own, as \$subnets/,
    ],
    ['half a range', 'dhcp.mode = "range"; dhcp.from = "10.0.0.1";', /needs both/],
    ['a range for nothing', 'dhcp.from = "10.0.0.1"; dhcp.to = "10.0.0.2";', /belong to mode "range"/],
    ['unknown credential', 'hosts.a.secrets.diskKeys."/k" = "credential:x";', /credentials: no entry for x/],
    ['a key in the store', 'sshKeyFile = "/nix/store/x";', /can be read by everybody: \/nix\/store\/x/],
    ['unknown time limit', 'timeouts.boots = 3;', /found boots, accepted: build, probe/],
  ];
  const failing = `{ ${cases
    .map(
      ([, text], i) =>
        `c${i} = map (a: a.message) (lib.filter (a: !a.assertion) ${system(
          `{ services.nixie = { enable = true; flake = "x"; ${
            /hosts/.test(text) ? '' : 'hosts.m.macAddress = "aa:bb:cc:dd:ee:09";'
          } ${text} }; }`,
        )}.config.assertions);`,
    )
    .join('\n')} }`;
  const found = await box!.value<Record<string, string[]>>(failing);
  cases.forEach(([name, , pattern], i) => {
    const messages = found[`c${i}`]!.filter((message) => message.startsWith('services.nixie'));
    assert.ok(
      messages.some((message) => pattern.test(message)),
      `${name}: ${JSON.stringify(messages)}`,
    );
  });

  // A failed assertion stops the system, and types do their part.
  for (const [config, pattern] of [
    ['{ hosts = { }; }', /Failed assertions[\s\S]*either hosts or hostsFile/],
    ['{ dhcp.mode = "both"; }', /services\.nixie\.dhcp\.mode/],
    ['{ sshKeyFile = ./key; }', /services\.nixie\.sshKeyFile/],
    ['{ hosts.a.macAdress = "x"; }', /services\.nixie\.hosts\.a\.macAdress' does not exist/],
    ['{ hosts.a.secrets.diskKeys."/k" = "hunter2"; }', /services\.nixie\.hosts\.a\.secrets\.diskKeys/],
  ] as const) {
    const shown = box!.value(`${withController(config)}.config.system.build.toplevel.drvPath`);
    await assert.rejects(
      shown,
      (error: Error) => pattern.test(error.message) || assert.fail(`${config}: ${error.message}`),
    );
  }
});

test('services.nixie: one MAC may be at two sites, and in one site once', { skip }, async () => {
  const subnets = '[ { cidr = "10.20.0.0/24"; relay = "hall"; } { cidr = "10.30.0.0/24"; } ]';
  const failing = (hosts: string) =>
    box!.value<string[]>(
      `map (a: a.message) (lib.filter (a: !a.assertion && lib.hasPrefix "services.nixie" a.message) ${system(
        `{ services.nixie = { enable = true; flake = "x"; subnets = ${subnets}; hosts = { ${hosts} }; }; }`,
      )}.config.assertions)`,
    );
  const mac = 'macAddress = "aa:bb:cc:dd:ee:01";';
  assert.deepEqual(await failing(`a.${mac} b = { ${mac} relay = "hall"; };`), []);
  assert.deepEqual(await failing(`a = { ${mac} relay = "yard"; }; b = { ${mac} subnet = "10.20.0.0/24"; };`), []);
  for (const hosts of [
    `a = { ${mac} relay = "hall"; }; b = { ${mac} subnet = "10.20.0.0/24"; };`,
    `a.${mac} b = { ${mac} subnet = "10.30.0.0/24"; };`,
  ])
    assert.match((await failing(hosts)).join(), /aabbccddee01 is of a, b/);
});

test('the options of a host mirror hosts.schema.json', { skip }, async () => {
  const whole = JSON.parse(readFileSync(join(root, 'controller/hosts.schema.json'), 'utf8'));
  const schema = whole.additionalProperties;
  const names = await box!.value<Record<string, string[]>>(`let
    nixieOptions = (lib.nixosSystem { system = "x86_64-linux"; modules = [ nixie.nixosModules.nixie { services.nixie.flake = "x"; } ]; }).options.services.nixie;
    opts = nixieOptions.hosts.type.getSubOptions [ ];
    plain = set: lib.filter (name: name != "_module" && name != "_freeformOptions") (lib.attrNames set);
  in {
    host = plain opts; subnet = plain (nixieOptions.subnets.type.getSubOptions [ ]); secrets = plain opts.secrets;
    hints = plain (opts.disk.type.getSubOptions [ ]); disk = plain (opts.expectDisks.type.getSubOptions [ ]); file = plain (opts.secrets.files.type.getSubOptions [ ]);
  }`);
  const camel = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  const keys = (part: { properties: object }) => Object.keys(part.properties).map(camel).sort();
  assert.deepEqual(names.host, keys(schema));
  assert.deepEqual(names.subnet, keys(whole.properties.$subnets.items));
  assert.deepEqual(names.disk, keys(schema.properties.expect_disks.items));
  assert.deepEqual(names.hints, keys(schema.properties.disk));
  assert.deepEqual(names.secrets, keys(schema.properties.secrets));
  const [, file] = schema.properties.secrets.properties.files.additionalProperties.anyOf;
  assert.deepEqual(names.file, keys(file));
});

test('the time limits are those of the command line', { skip }, async () => {
  const accepted = await box!.value<string[]>(
    `map (a: a.message) (lib.filter (a: !a.assertion) ${withController(
      `{ timeouts = { ${timeouts.map(({ key }) => `${key.replace('Timeout', '')} = 1;`).join(' ')} }; }`,
    )}.config.assertions)`,
  );
  assert.deepEqual(
    accepted.filter((message) => message.includes('nixie')),
    [],
  );
});

// Units of a real nixpkgs name files of a real store.
const analyze = skip || (isReal ? 'the stub alone' : skipUnless(needPrograms(['systemd-analyze'])));
test('systemd takes each unit', { skip: analyze }, async () => {
  // What it says nothing about would prove nothing.
  const faulty = (line: string) => verify({ 'bad.service': `[Service]\nExecStart=/bin/true\n${line}\n` });
  assert.equal(faulty('Restart=always'), '');
  assert.match(faulty('Restart=perhaps'), /restart specifier/);
  assert.match(faulty('ProtectSystme=strict'), /Unknown key 'ProtectSystme'/);
  assert.match(faulty('RestrictAddressFamilies=AF_PAKET'), /AF_PAKET/);
  const socket = '[Socket]\nListenDatagram=0.0.0.0:x\n';
  assert.match(verify({ 'bad.service': '[Service]\nExecStart=/bin/true\n', 'bad.socket': socket }), /'0\.0\.0\.0:x'/);
  const host = `{ services.nixie-host = { enable = true; controller = "10.0.0.1:7481"; fingerprint = "${fingerprint}"; }; }`;
  const units = await box!.value<Record<string, string>>(`{
    "nixie.service" = ${unitOf(withController(full), 'nixie')};
    "nixie-eth1.socket" = ${unitOf(withController(full), 'nixie-eth1', 'socket')};
    "nixie-eth2.socket" = ${unitOf(withController(full), 'nixie-eth2', 'socket')};
    "nixie-agent.service" = ${unitOf(system('{ services.nixie-agent.enable = true; }'), 'nixie-agent')};
    "nixie-host.service" = ${unitOf(system(host), 'nixie-host')};
  }`);
  assert.equal(verify(units), '');
});
