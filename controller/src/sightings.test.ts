import assert from 'node:assert/strict';
import test from 'node:test';
import type { NetworkPlan } from './core/network.ts';
import type { RunEvent } from './machine/event.ts';
import type { Happening } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { StrangerBook } from './machine/stranger.ts';
import { makeSightings } from './sightings.ts';

const mac = '52:54:00:00:00:01' as Mac;
function world(
  stage: 'waking' | 'restarting' | 'disko' = 'waking',
  strangers?: StrangerBook,
  subnets: NetworkPlan['subnets'] = [],
) {
  const told: Happening['kind'][] = [];
  const events: RunEvent[] = [];
  const warnings: string[] = [];
  const avoided: string[] = [];
  const heard: (string | undefined)[][] = [];
  const plan = (address: string): NetworkPlan => ({ interfaces: [], subnets, addresses: { [mac]: address } });
  let network = plan('10.0.0.100');
  const seen = makeSightings({
    hostOfMac: new Map([[mac, 'm1']]),
    stageOf: () => stage,
    happened: (_host, happening) => void told.push(happening.kind),
    emit: (event) => void events.push(event),
    warn: (text) => void warnings.push(text),
    network: () => network,
    avoid(address) {
      avoided.push(address);
      network = plan('10.0.0.101');
      return network;
    },
    now: () => 0,
    ticks: () => 0,
    whereabouts: { heard: (_mac, { interface: link, giaddr, address }) => void heard.push([link, giaddr, address]) },
    ...(strangers === undefined ? {} : { strangers }),
  });
  return { seen, told, events, warnings, avoided, heard };
}

test('firmware that asks for a boot file is a sign of life; a lease for an operating system is none', () => {
  const { seen, told } = world();
  seen({ kind: 'dhcp-answered', mac, machine: 'm1', why: 'address confirmed' });
  assert.deepEqual(told, []);
  seen({ kind: 'dhcp-answered', mac, machine: 'm1', why: 'proxy offer', detail: 'snponly.efi' });
  assert.deepEqual(told, ['firmware-asked']);
  const afresh = world('restarting');
  afresh.seen({ kind: 'tftp-started', mac, machine: 'm1' });
  assert.deepEqual(afresh.told, ['firmware-asked']);
  const later = world('disko');
  later.seen({ kind: 'tftp-started', mac, machine: 'm1' });
  assert.deepEqual(later.told, []);
});

test('a declined address is named, and another one is given', () => {
  const { seen, warnings, avoided } = world();
  seen({ kind: 'dhcp-silent', why: 'declined', detail: '10.0.0.100', mac, machine: 'm1' });
  assert.deepEqual(avoided, ['10.0.0.100']);
  assert.match(
    warnings[0] ?? '',
    /another machine uses 10\.0\.0\.100.*52:54:00:00:00:01.*it gets 10\.0\.0\.101 instead/,
  );
});

test('a relay speaks for the addresses of its own subnets only, though a MAC may be at several sites', () => {
  const { seen, avoided } = world();
  seen({ kind: 'dhcp-silent', why: 'declined', detail: '10.0.0.100', mac, relay: 'rack7' });
  assert.deepEqual(avoided, [], 'that is one of our own networks');
  const subnet = { cidr: '10.7.0.0/24', network: '10.7.0.0', prefixLength: 24, relay: 'rack7' };
  const behind = world('waking', undefined, [{ key: 'rack7:10.7.0.0/24', subnet, addresses: { [mac]: '10.7.0.9' } }]);
  const declined = { kind: 'dhcp-silent', why: 'declined', detail: '10.7.0.9', mac } as const;
  behind.seen({ ...declined, relay: 'rack8' });
  behind.seen(declined);
  assert.deepEqual(behind.avoided, []);
  behind.seen({ ...declined, relay: 'rack7' });
  assert.deepEqual(behind.avoided, ['10.7.0.9']);
});

test('only the address that a machine was given can be declined by it', () => {
  const { seen, avoided } = world();
  for (const detail of ['10.0.0.1', '10.0.0.200', undefined])
    seen({ kind: 'dhcp-silent', why: 'declined', mac, machine: 'm1', ...(detail === undefined ? {} : { detail }) });
  seen({ kind: 'dhcp-silent', why: 'declined', detail: '10.0.0.100', mac: '52:54:00:00:00:99' as Mac });
  assert.deepEqual(avoided, []);
});

test('a flood of strangers is a few lines, and displaces no machine of ours', () => {
  const { seen, events } = world();
  for (let i = 0; i < 10_000; i++) seen({ kind: 'http-refused', address: '10.0.0.66', detail: '/x' });
  assert.equal(events.length, 100);
  seen({ kind: 'http-script', mac });
  assert.equal(events.length, 101);
});

test('of strangers a share is told, and always that there is a flood', () => {
  const { seen, events } = world();
  for (let index = 0; index < 1000; index++) seen({ kind: 'dhcp-silent', why: 'unknown machine', interface: 'lan0' });
  assert.equal(events.length, 100);
  seen({ kind: 'dhcp-flood', detail: '900 packets' });
  const { at: _at, ...told } = events.at(-1)!;
  assert.deepEqual(told, { event: 'seen', kind: 'dhcp-flood', detail: '900 packets' });
});

test('who asks to boot and is none of ours is remembered, however many strangers knock', () => {
  const strangers = new StrangerBook();
  const { seen, events } = world('waking', strangers);
  for (let i = 0; i < 500; i++) {
    const other = `52:54:00:00:01:${(i % 200).toString(16).padStart(2, '0')}` as Mac;
    seen({
      kind: 'dhcp-silent',
      mac: other,
      why: 'unknown machine',
      interface: 'eth1',
      stranger: { architecture: 'x64-efi' },
    });
  }
  assert.equal(strangers.all().length, 200);
  assert.ok(events.length < 200, 'of what they do only a share is told');
  seen({ kind: 'dhcp-silent', mac, why: 'unknown machine', stranger: {} });
  seen({ kind: 'dhcp-silent', mac: '52:54:00:00:02:01' as Mac, why: 'unknown machine' });
  assert.equal(
    strangers.all().length,
    200,
    'one of ours is no stranger, and one that wants an address only is nobody to list',
  );
});

const giaddr = '10.78.0.254';
const relayed = { kind: 'dhcp-answered', mac, machine: 'm1', interface: 'eth0', giaddr } as const;

test('a relay that is in no declared subnet is told of once, with what to write', () => {
  const { seen, warnings, events } = world();
  for (let i = 0; i < 3; i++) seen({ ...relayed, undeclared: true, asked: 'DISCOVER', why: 'proxy offer' });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /at 10\.78\.0\.254.*offered.*"\$subnets": \[\{"cidr": "10\.78\.0\.0\/24"\}\]/);
  seen({ ...relayed, kind: 'dhcp-silent', why: 'undeclared subnet', undeclared: true });
  assert.match(warnings[1]!, /they get no answer/);
  const first = events[0]!;
  assert.equal(first.event === 'seen' && first.giaddr, giaddr);
  const { machine: _ours, ...nobody } = relayed;
  seen({ ...nobody, undeclared: true, mac: '52:54:00:00:00:99' as Mac });
  assert.equal(warnings.length, 2, 'of strangers nothing is said');
});

test('an answer that does not reach its relay is told of once', () => {
  const { seen, warnings } = world();
  for (let i = 0; i < 3; i++) seen({ ...relayed, kind: 'dhcp-unsent', detail: 'no route from eth0' });
  assert.deepEqual(warnings, [
    "answers don't reach the relay 10.78.0.254, which asks by eth0: no route from eth0; this computer needs a route to it by eth0",
  ]);
});

test('where DHCP hears a machine is remembered; what it was refused is not', () => {
  const { seen, heard } = world();
  seen({ ...relayed, asked: 'DISCOVER' });
  seen({ ...relayed, asked: 'REQUEST', address: '10.78.0.7', kind: 'dhcp-silent', why: 'another server was chosen' });
  seen({ ...relayed, asked: 'REQUEST', address: '10.78.0.8', why: 'address refused' });
  seen({ ...relayed, asked: 'REQUEST', address: '10.78.0.9', kind: 'dhcp-silent', why: 'another network' });
  seen({ ...relayed, asked: 'RELEASE', kind: 'dhcp-silent', why: 'released' });
  seen({ kind: 'tftp-started', mac, machine: 'm1', interface: 'eth0', address: '10.78.0.10' });
  assert.deepEqual(heard, [
    ['eth0', giaddr, undefined],
    ['eth0', giaddr, '10.78.0.7'],
  ]);
});
