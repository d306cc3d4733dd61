// The modules: defaults, what is refused, the text of the units, and that the hosts' options say what hosts.json says.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { readCommand } from '../../agent/src/settings.ts';
import { type Handlers, runProgram } from '../../controller/src/cli/program.ts';
import type { Surroundings } from '../../controller/src/config/flags.ts';
import { parseHosts } from '../../controller/src/config/hosts.ts';
import type { RunConfig } from '../../controller/src/config/run-config.ts';
import { timeouts } from '../../controller/src/config/timeouts.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { isReal, makeNixBox, type NixBox, root, skip } from './nix.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const fingerprint = 'a1'.repeat(32);

/** A system with the modules, and `config` as the body of a module. */
const system = (config: string) => `(lib.nixosSystem { system = "x86_64-linux"; modules = [
  nixie.nixosModules.default
  { system.stateVersion = "25.11"; fileSystems."/".device = "/dev/x"; boot.loader.grub.enable = false; }
  (${config})
]; })`;
const one = (services: string) =>
  system(
    `{ services.nixie = { enable = true; flake = "/etc/nixos"; hosts.m1.macAddress = "aa:bb:cc:dd:ee:01"; } // ${services}; }`,
  );

const unitOf = (of: string, name: string, kind = 'service') => `${of}.config.systemd.units."${name}.${kind}".text`;

/** `Name=value` lines of a unit, by name. */
function settings(unit: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of unit.split('\n')) {
    const [, name, value] = /^([A-Za-z0-9]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), value!]);
  }
  return found;
}

/** A command line of a unit as systemd takes it apart. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) =>
    (match[1] ?? match[2]!).replaceAll('%%', '%').replaceAll('$$', '$'),
  );
}

/** What systemd says against a set of units, by file name; empty: nothing. */
function verify(units: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-unit-'));
  try {
    // Their programs are nowhere here; everything else is judged.
    for (const [name, unit] of Object.entries(units))
      writeFileSync(join(folder, name), unit.replace(/^(Exec\w+=)\S+/gm, '$1/bin/true'));
    const files = Object.keys(units).map((name) => join(folder, name));
    const argv = ['verify', '--man=no', '--recursive-errors=no', ...files];
    const ran = spawnSync('systemd-analyze', argv, { encoding: 'utf8', timeout: 30_000 });
    // What it ignores it says, and is content.
    return ran.status === 0 ? ran.stderr : ran.stderr || `ended with ${ran.status}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

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
  subnets = [ { cidr = "10.20.0.0/24"; range = "10.20.0.100-10.20.0.199"; router = "10.20.0.1"; controllerAddress = "10.0.0.1"; } { cidr = "10.30.0.0/24"; relay = "hall"; } ];
  installer = { x86_64-linux = "/etc/nixos#i"; aarch64-linux = "/etc/nixos#arm"; };
  interfaces = [ "eth1" "eth2" ]; address = "10.0.0.1"; dhcp = { mode = "range"; from = "10.0.0.100"; to = "10.0.0.199"; };
  jobs = 4; timeouts.boot = 900; sshKeyFile = "/run/keys/ssh"; credentials.disk = "/run/keys/disk"; openFirewall = true;
  extraArgs = [ "--debug" ];
}`;

test('services.nixie: as little as can be said', { skip }, async () => {
  const unit = await box!.value<string>(unitOf(one('{ }'), 'nixie'));
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
  const of = one(full);
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
  const doors = { allowedTCPPorts: [7480, 7481], allowedUDPPorts: [67, 69, 4011] };
  assert.deepEqual(all.firewall, { eth1: doors, eth2: doors });
  assert.deepEqual(all.closed, []);

  // The program itself reads what the module wrote.
  const read = parseHosts(new TextEncoder().encode(all.hosts), 'hosts.json');
  assert.ok(read.ok, JSON.stringify(read));
  assert.deepEqual(JSON.parse(all.hosts), {
    $subnets: [
      { cidr: '10.20.0.0/24', range: '10.20.0.100-10.20.0.199', router: '10.20.0.1', controller_address: '10.0.0.1' },
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
  const many = one('{ interfaces = [ "eth1" "eth1.20" ]; }');
  const all = await box!.value<Record<string, string>>(`{
    service = ${unitOf(many, 'nixie')};
    eth1 = ${unitOf(many, 'nixie-eth1', 'socket')};
    vlan = ${unitOf(many, 'nixie-eth1.20', 'socket')};
    addressed = ${unitOf(one('{ interfaces = [ "eth1" ]; address = "10.0.0.1"; }'), 'nixie-eth1', 'socket')};
    tftp = ${unitOf(one('{ interfaces = [ "eth1" ]; dhcp.mode = "off"; }'), 'nixie-eth1', 'socket')};
    hearing = ${unitOf(one('{ interfaces = [ "eth1" ]; hearOtherServers = true; }'), 'nixie')};
    all = ${unitOf(one('{ hearOtherServers = true; }'), 'nixie')};
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
    const shown = box!.value(`${one(config)}.config.system.build.toplevel.drvPath`);
    await assert.rejects(
      shown,
      (error: Error) => pattern.test(error.message) || assert.fail(`${config}: ${error.message}`),
    );
  }
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
    `map (a: a.message) (lib.filter (a: !a.assertion) ${one(
      `{ timeouts = { ${timeouts.map(({ key }) => `${key.replace('Timeout', '')} = 1;`).join(' ')} }; }`,
    )}.config.assertions)`,
  );
  assert.deepEqual(
    accepted.filter((message) => message.includes('nixie')),
    [],
  );
});

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
  }>(`let plain = ${image('{ }')}; in {
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
    "nixie.service" = ${unitOf(one(full), 'nixie')};
    "nixie-eth1.socket" = ${unitOf(one(full), 'nixie-eth1', 'socket')};
    "nixie-eth2.socket" = ${unitOf(one(full), 'nixie-eth2', 'socket')};
    "nixie-agent.service" = ${unitOf(system('{ services.nixie-agent.enable = true; }'), 'nixie-agent')};
    "nixie-host.service" = ${unitOf(system(host), 'nixie-host')};
  }`);
  assert.equal(verify(units), '');
});
