// services.nixie-relay: its unit, what the program makes of its command line, what is refused; and the controller's door for relays.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { after } from 'node:test';
import { readRelay } from '../../controller/src/cli/relay-request.ts';
import { joinTokenText } from '../../controller/src/machine/relay.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { isReal, makeNixBox, type NixBox, skip } from './nix.ts';
import { fingerprint, settings, system, unitOf, verify, withController, words } from './units.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const withRelay = (more: string) =>
  system(
    `{ services.nixie-relay = { enable = true; interfaces = [ "eth1" ]; tokenFile = "/run/secrets/relay"; } // ${more}; }`,
  );

test('services.nixie-relay: a unit without any right, whose sockets systemd opens and whose command line the program takes', {
  skip,
}, async () => {
  const units = await box!.value<Record<string, string>>(`{
    plain = ${unitOf(withRelay('{ }'), 'nixie-relay')};
    full = ${unitOf(
      withRelay(
        '{ controller = "10.0.0.1:7482"; interfaces = [ "eth1" "eth1.20" ]; cacheSize = "500GiB"; extraArgs = [ "--plan-life=30m" ]; }',
      ),
      'nixie-relay',
    )};
    socket = ${unitOf(withRelay('{ }'), 'nixie-relay-eth1', 'socket')};
  }`);
  assert.deepEqual(
    settings(units.socket!),
    new Map(
      Object.entries({
        Description: ["The doors of Nixie's relay on eth1: DHCP, PXE, TFTP"],
        PartOf: ['nixie-relay.service'],
        BindToDevice: ['eth1'],
        Broadcast: ['true'],
        FreeBind: ['true'],
        ListenDatagram: ['0.0.0.0:67', '0.0.0.0:4011', '0.0.0.0:69'],
        ReceiveBuffer: ['8M'],
        Service: ['nixie-relay.service'],
      }),
    ),
  );
  assert.ok(settings(units.plain!).get('After')![0]!.endsWith('nixie-relay-eth1.socket'));
  const s = settings(units.plain!);
  for (const [name, value] of [
    ['DynamicUser', 'true'],
    ['StateDirectory', 'nixie-relay'],
    ['StateDirectoryMode', '0700'],
    ['CacheDirectory', 'nixie-relay'],
    ['CacheDirectoryMode', '0700'],
    ['Type', 'notify'],
    ['NotifyAccess', 'all'],
    ['WatchdogSec', '120'],
    ['LoadCredential', 'token:/run/secrets/relay'],
    ['AmbientCapabilities', ''],
    ['CapabilityBoundingSet', ''],
    ['Requires', 'nixie-relay-eth1.socket'],
    ['NoNewPrivileges', 'true'],
    ['ProtectSystem', 'strict'],
    ['Restart', 'on-failure'],
    ['RestartPreventExitStatus', '2'],
    ['WantedBy', 'multi-user.target'],
  ] as const)
    assert.deepEqual(s.get(name), [value], name);

  const around = (mode: number) => ({
    cwd: '/',
    uid: 61_000,
    env: {},
    readFile: () =>
      new TextEncoder().encode(
        joinTokenText({ name: 'rack7', url: 'https://192.0.2.7', fingerprint, secret: randomBytes(32) }),
      ),
    look: (path: string) =>
      path === '/run/credentials/nixie-relay.service/token'
        ? ({ kind: 'file', mode, uid: 61_000 } as const)
        : undefined,
  });
  const read = (unit: string) => {
    const [program, name, ...args] = words(settings(unit).get('ExecStart')![0]!);
    assert.match(program!, /\/bin\/nixie$/);
    assert.equal(name, 'relay');
    const options: Record<string, string | string[]> = {};
    for (let i = 0; i < args.length; i++) {
      const [flag = '', inline] = args[i]!.replace(/^--/, '').split('=');
      const key = flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      const value = inline ?? args[++i]!;
      if (key === 'interface') options[key] = [...((options[key] as string[] | undefined) ?? []), value];
      else options[key] = value;
    }
    return readRelay(options, around(0o100400));
  };
  const plain = read(units.plain!);
  assert.ok(plain.ok, JSON.stringify(plain));
  assert.deepEqual(plain.request.endpoint, { host: '192.0.2.7', port: 7482 });
  assert.equal(plain.request.stateDir, '/var/lib/nixie-relay');
  assert.equal(plain.request.cacheDir, '/var/cache/nixie-relay');
  const full = read(units.full!);
  assert.ok(full.ok, JSON.stringify(full));
  assert.deepEqual(full.request.endpoint, { host: '10.0.0.1', port: 7482 });
  assert.deepEqual(full.request.interfaces, ['eth1', 'eth1.20']);
  assert.equal(full.request.cacheBytes, 500 * 2 ** 30);
  assert.equal(full.request.planLifeMs, 30 * 60_000);
});

test('services.nixie-relay: firewall, and what is refused', { skip }, async () => {
  const facts = await box!.value<{
    open: Record<string, Record<string, number[]>>;
    closed: object;
    failing: string[][];
  }>(`{
    open = ${withRelay('{ openFirewall = true; }')}.config.networking.firewall.interfaces;
    closed = ${withRelay('{ }')}.config.networking.firewall.interfaces;
    failing = map (sys: map (a: a.message) (lib.filter (a: !a.assertion && lib.hasPrefix "services.nixie-relay" a.message) sys.config.assertions)) [
      ${withRelay('{ interfaces = [ ]; }')}
      ${withRelay('{ tokenFile = "/nix/store/x"; }')}
      ${system(
        '{ services.nixie = { enable = true; flake = "x"; hosts.m.macAddress = "aa:bb:cc:dd:ee:09"; }; services.nixie-relay = { enable = true; interfaces = [ "eth1" ]; tokenFile = "/x"; }; }',
      )}
      ${withRelay('{ }')}
    ];
  }`);
  assert.deepEqual(facts.open.eth1!.allowedUDPPorts, [67, 69, 4011]);
  assert.deepEqual(facts.open.eth1!.allowedTCPPorts, [7480, 7481]);
  assert.deepEqual(facts.closed, {});
  const [none, store, both, good] = facts.failing;
  assert.match(none!.join(), /name the interfaces/);
  assert.match(store!.join(), /can be read by everybody: \/nix\/store\/x/);
  assert.match(both!.join(), /both want the same ports/);
  assert.deepEqual(good, []);
});

test('services.nixie: relays get their door, where they are named or where it says', { skip }, async () => {
  const firewall = (services: string) => `${withController(services)}.config.networking.firewall`;
  const facts = await box!.value<Record<string, number[]>>(`{
    none = ${firewall('{ openFirewall = true; interfaces = [ "eth1" ]; }')}.interfaces.eth1.allowedTCPPorts;
    host = ${firewall('{ openFirewall = true; interfaces = [ "eth1" ]; hosts.m1 = { macAddress = "aa:bb:cc:dd:ee:01"; relay = "rack7"; }; }')}.interfaces.eth1.allowedTCPPorts;
    subnet = ${firewall('{ openFirewall = true; interfaces = [ "eth1" ]; subnets = [ { cidr = "10.30.0.0/24"; relay = "rack7"; } ]; }')}.interfaces.eth1.allowedTCPPorts;
    said = ${firewall('{ openFirewall = true; interfaces = [ "eth1" ]; relayListen = "0.0.0.0"; }')}.allowedTCPPorts;
  }`);
  assert.deepEqual(facts, {
    none: [7480, 7481],
    host: [7480, 7481, 7482],
    subnet: [7480, 7481, 7482],
    said: [7482],
  });
  const unit = settings(await box!.value<string>(unitOf(withController('{ relayListen = "0.0.0.0"; }'), 'nixie')));
  assert.match(words(unit.get('ExecStart')![0]!).join(' '), / --relay-listen 0\.0\.0\.0( |$)/);
});

const analyze = skip || (isReal ? 'the stub alone' : skipUnless(needPrograms(['systemd-analyze'])));
test('systemd takes the unit', { skip: analyze }, async () => {
  const units = await box!.value<Record<string, string>>(`{
    "nixie-relay.service" = ${unitOf(withRelay('{ openFirewall = true; }'), 'nixie-relay')};
    "nixie-relay-eth1.socket" = ${unitOf(withRelay('{ }'), 'nixie-relay-eth1', 'socket')};
  }`);
  assert.equal(verify(units), '');
});
