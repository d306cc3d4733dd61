import assert from 'node:assert/strict';
import test from 'node:test';
import type { NetworkPlan } from './core/network.ts';
import type { RunEvent } from './machine/event.ts';
import type { Happening } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { StrangerBook } from './machine/stranger.ts';
import { makeSightings } from './sightings.ts';

const mac = '52:54:00:00:00:01' as Mac;
function world(stage: 'waking' | 'restarting' | 'disko' = 'waking', strangers?: StrangerBook) {
  const told: Happening['kind'][] = [];
  const events: RunEvent[] = [];
  const warnings: string[] = [];
  const avoided: string[] = [];
  const plan = (address: string): NetworkPlan => ({ interfaces: [], subnets: [], addresses: { [mac]: address } });
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
    ...(strangers === undefined ? {} : { strangers }),
  });
  return { seen, told, events, warnings, avoided };
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
