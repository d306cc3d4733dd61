// A run's machines, with what comes in by its doors, over a network and a state folder in memory. Its doors are never opened.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Scene } from './answer/scene.ts';
import { Arrivals } from './arrivals.ts';
import { HostBook } from './core/hosts.ts';
import type { TaskWorld } from './core/task-world.ts';
import { Doors } from './doors.ts';
import { Installers } from './installers.ts';
import { Lifetime } from './lifetime.ts';
import type { RunEvent } from './machine/event.ts';
import type { Host } from './machine/host.ts';
import type { Mac } from './machine/mac.ts';
import { plainHost } from './machine/testing.ts';
import { Machines } from './machines.ts';
import type { Installer } from './nix/types.ts';
import { RunNetwork } from './run-network.ts';

const host = (last: number): Host => plainHost(`m${last}`, [`52:54:00:00:00:0${last}`]);
const installer: Installer = {
  system: 'x86_64-linux',
  kernel: { path: '/nix/store/k/bzImage', bytes: 100, sha256: 'a'.repeat(64) },
  initrd: { path: '/nix/store/i/initrd', bytes: 300, sha256: 'b'.repeat(64) },
  commandLine: ['init=/nix/store/s/init'],
  warnings: [],
};

function run(listed: readonly Host[], all = listed) {
  const events: RunEvent[] = [];
  const scenes: Scene[] = [];
  const addresses = new Map<string, string>();
  const cleared: string[] = [];
  const abort = new AbortController();
  const lifetime = new Lifetime(abort.signal);
  const hosts = new HostBook(listed);
  const clocks = { now: () => 0, ticks: () => 0 };
  const state = {
    leases: {},
    subnetLeases: {},
    declined: new Set<string>(),
    keepLeases: () => {},
    decline: (address: string) => void state.declined.add(address),
    consents: { get: () => undefined, put: () => {} },
    journal: { write: () => {}, close: () => {} },
    lastAddresses: {
      get: (name: string) => addresses.get(name),
      put: (name: string, address: string) => void addresses.set(name, address),
    },
    marks: { get: () => undefined, set: () => {}, clear: (name: string) => void cleared.push(name) },
    registrations: { get: () => undefined, put: () => {} },
    restoreTokens: () => {},
    tokensChanged: () => {},
    runKey: { privateFile: '/run/key', publicKey: 'ssh-ed25519 AAAA' },
    tls: {
      certPem: '',
      keyPem: '',
      fingerprint: '0'.repeat(64),
      credentialSecret: Buffer.alloc(32),
      made: false,
    },
  };
  const config = {
    allHosts: all,
    hosts: listed,
    subnets: [],
    dhcp: { mode: 'range', from: '10.0.0.100', to: '10.0.0.110' },
    jobs: 2,
    patience: {},
    reinstall: new Set<string>(),
  } as const;
  const links = [
    { name: 'eth0', address: '10.0.0.1', prefixLength: 24, mac: '52:54:00:00:00:aa' as Mac, mtu: 1500, physical: true },
  ];
  const network = new RunNetwork({ links, config, hosts, state, ownAddresses: () => links });
  const installers = new Installers();
  const doors = new (class extends Doors {
    override async setScene(scene: Scene) {
      scenes.push(scene);
    }
  })();
  const parts = { config, endless: false, hosts, state, network, installers, ...clocks };
  const machines = new Machines({
    ...parts,
    loaders: {},
    httpPort: 7480,
    doors,
    lifetime,
    logFiles: undefined,
    show: (event) => void events.push(event),
  });
  const arrivals = new Arrivals({ ...parts, machines, httpPort: 7480, grpcPort: 7481 });
  for (const { name } of listed) machines.core.add(name);
  const close = async () => {
    await machines.core.close(5000);
    await lifetime.close();
  };
  return { machines, arrivals, network, installers, hosts, lifetime, close, abort, events, scenes, cleared };
}

test('before anybody works on machines, a task fails and says so', async (t) => {
  const { machines, close, cleared } = run([host(1)]);
  t.after(close);
  machines.core.happened('m1', { kind: 'begin' });
  await machines.core.settle(5000);
  assert.match(machines.core.life('m1')?.reason ?? '', /^probe: nobody works on machines yet$/);
  assert.deepEqual(cleared, ['m1'], 'one that ended has no mark');
});

test('a run has ended when every machine has, and at the signal', async (t) => {
  const { machines, close, abort } = run([host(1), host(2)]);
  t.after(close);
  let over = false;
  const ended = machines.ended().then(() => {
    over = true;
  });
  const cancelled = { kind: 'cancelled', reason: 'by hand' } as const;
  machines.core.happened('m1', cancelled);
  await machines.core.settle(5000);
  await machines.answers.current();
  assert.equal(over, false);
  machines.core.happened('m2', cancelled);
  await ended;
  machines.core.add('m3');
  const second = machines.ended();
  abort.abort();
  await second;
});

test('a part that broke ends the wait for machines', async (t) => {
  const { machines, lifetime, close } = run([host(1)]);
  t.after(close);
  lifetime.broke(new Error('its thread has ended'));
  await assert.rejects(machines.ended(), /its thread/);
});

test('firmware is answered by what machines and the network are now', async (t) => {
  const { machines, arrivals, close, scenes, network } = run([host(1)]);
  t.after(close);
  const mac = host(1).macs[0]!;
  machines.core.happened('m1', { kind: 'begin' });
  machines.core.happened('m1', { kind: 'found-nobody' });
  await machines.answers.current();
  assert.equal(scenes.at(-1)?.machines.m1?.offer, 'installer');
  const [before] = network.leased(mac);
  arrivals.seen({ kind: 'dhcp-silent', mac, interface: 'eth0', why: 'declined', detail: before! });
  await machines.answers.current();
  const after = scenes.at(-1)?.machines.m1?.addresses[mac];
  assert.ok(after !== undefined && after !== before);
});

test('a service is told that a machine has moved', async (t) => {
  const { machines, close } = run([host(1)]);
  t.after(close);
  let moved = 0;
  machines.begin({ tasks: {} as TaskWorld, roster: { moved: () => void moved++ } });
  machines.core.remove('m1');
  assert.equal(moved, 1);
});

test('what a machine loads is told as its progress, and only of the installer that is its own', (t) => {
  const { machines, arrivals, installers, close, events } = run([host(1)]);
  t.after(close);
  machines.loading.take('x86_64-linux', installers.take('x86_64-linux', installer));
  machines.core.happened('m1', { kind: 'begin' });
  machines.core.happened('m1', { kind: 'found-nobody' });
  const mac = host(1).macs[0]!;
  const sent = { remoteAddress: '10.0.0.100', mac, sentBytes: 100, totalBytes: 100, ended: true };
  const progress = () => events.filter((event) => event.event === 'progress');
  arrivals.sent({ ...sent, file: `${'a'.repeat(64)}/kernel` });
  assert.equal(progress().length, 0, 'it is not loading yet');
  machines.core.happened('m1', { kind: 'script-fetched' });
  arrivals.sent({ ...sent, file: `${'a'.repeat(64)}/kernel` });
  arrivals.sent({ ...sent, file: `${'c'.repeat(64)}/kernel` });
  assert.deepEqual(
    progress().map(({ host: name, done_bytes, total_bytes }) => [name, done_bytes, total_bytes]),
    [['m1', 100, 400]],
  );
});

test('a stranger is one that no hosts file names, and none any more when one does', (t) => {
  const [one, two, three] = [host(1), host(2), host(3)];
  const { arrivals, hosts, close } = run([one], [one, two]);
  t.after(close);
  for (const { macs } of [one, two, three])
    arrivals.seen({ kind: 'dhcp-silent', mac: macs[0]!, interface: 'eth0', why: 'unknown machine', stranger: {} });
  assert.deepEqual(
    arrivals.strangers().map(({ mac }) => mac),
    three.macs,
    'one that --only leaves out is known',
  );
  hosts.put(three);
  assert.deepEqual(arrivals.strangers(), []);
});

test('of a host that left nothing is remembered', (t) => {
  const { machines, arrivals, close, events } = run([host(1)]);
  t.after(close);
  machines.core.happened('m1', { kind: 'begin' });
  arrivals.checkedIn.set('m1', '10.0.0.100');
  assert.ok(machines.trails.of('m1').stages.length > 0 && events.length > 0);
  arrivals.forget('m1');
  machines.forget('m1');
  assert.equal(arrivals.checkedIn.size, 0);
  assert.equal(machines.trails.of('m1').stages.length, 0);
});
