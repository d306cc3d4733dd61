import assert from 'node:assert/strict';
import test from 'node:test';
import { HostBook } from './core/hosts.ts';
import type { Host } from './machine/host.ts';
import type { Mac } from './machine/mac.ts';
import type { Subnet } from './machine/subnet.ts';
import { plainHost } from './machine/testing.ts';
import { RunNetwork, type RunNetworkWorld, Unusable } from './run-network.ts';

const host = (last: number, more: Partial<Host> = {}): Host => plainHost(`m${last}`, [`52:54:00:00:00:0${last}`], more);
const mac = (each: Host): Mac => each.macs[0]!;
const far: Subnet = {
  cidr: '10.78.0.0/24',
  network: '10.78.0.0',
  prefixLength: 24,
  range: { from: '10.78.0.100', to: '10.78.0.110' },
  relay: 'barn',
};

/** A run in 10.0.0.0/24 with a range of its own, and a state folder in memory. */
function open(hosts: readonly Host[], more: { subnets?: Subnet[]; to?: string; book?: HostBook } = {}) {
  const kept: Parameters<RunNetworkWorld<never>['state']['keepLeases']>[] = [];
  const declined = new Set<string>();
  const book = more.book ?? new HostBook(hosts);
  const here = [
    { name: 'eth0', address: '10.0.0.1' },
    { name: 'lo', address: '192.0.2.7' },
  ];
  const network = new RunNetwork({
    links: [{ name: 'eth0', address: '10.0.0.1', prefixLength: 24 }],
    config: {
      dhcp: { mode: 'range', from: '10.0.0.100', to: more.to ?? '10.0.0.110' },
      hosts,
      subnets: more.subnets ?? [],
    },
    hosts: book,
    state: {
      leases: {},
      subnetLeases: {},
      declined,
      keepLeases: (...all) => void kept.push(all),
      decline: (address) => void declined.add(address),
    },
    ownAddresses: () => here,
  });
  return { network, kept, declined, book, here };
}

test('a plan is kept as soon as it is made, and one that can not be made is nothing to begin with', () => {
  const one = host(1);
  const { network, kept } = open([one]);
  assert.deepEqual(kept, [[network.plan.addresses, {}]]);
  assert.deepEqual(network.leased(mac(one)), [network.plan.addresses[mac(one)]]);
  assert.throws(() => open([host(1), host(2)], { to: '10.0.0.100' }), Unusable);
});

test('who comes back has the address from before, and who came meanwhile another one', () => {
  const [one, two] = [host(1), host(2)];
  const { network, book } = open([one]);
  const before = network.leased(mac(one));
  book.remove(one.name);
  book.put(two);
  network.replan();
  assert.deepEqual(network.leased(mac(one)), []);
  book.put(one);
  network.replan();
  assert.deepEqual(network.leased(mac(one)), before);
  assert.notDeepEqual(network.leased(mac(two)), before);
});

test('hosts for which there is no plan leave the one that holds', () => {
  const one = host(1);
  const { network, book } = open([one], { to: '10.0.0.100' });
  const { plan } = network;
  book.put(host(2));
  network.replan();
  assert.equal(network.plan, plan);
  assert.match(network.problems({ hosts: book.all(), subnets: [] }).join(), /10\.0\.0\.100/);
});

test('an address that was declined is remembered, and nobody has it from then on', () => {
  const one = host(1);
  const { network, declined, kept } = open([one]);
  const [before] = network.leased(mac(one));
  network.avoid(before!);
  const [after] = network.leased(mac(one));
  assert.notEqual(after, before);
  assert.deepEqual([...declined], [before]);
  assert.equal(kept.at(-1)?.[0][mac(one)], after);
});

test('subnets that are declared later are planned, told and remembered when they go', () => {
  const one = host(1, { relay: 'barn' });
  const { network, kept } = open([one]);
  assert.deepEqual([network.leased(mac(one), 'barn'), network.told().lines], [[], []]);
  network.declare([far]);
  const given = network.leased(mac(one), 'barn');
  assert.match(given.join(), /^10\.78\.0\.1\d\d$/);
  assert.deepEqual(network.leased(mac(one)), [], 'it has none on our own networks');
  assert.match(network.told().lines.join(), /10\.78\.0\.0\/24/);
  network.declare([]);
  assert.deepEqual(network.leased(mac(one), 'barn'), []);
  assert.deepEqual(kept.at(-1)?.[1], { 'barn:10.78.0.0/24': { [mac(one)]: given[0] } });
});

test('an address of this computer that came after the doors were opened is not listened at', () => {
  const routed = { ...far, relay: undefined, controllerAddress: '192.0.2.7' } as unknown as Subnet;
  const { network, here } = open([], { subnets: [routed] });
  assert.deepEqual(network.own, ['10.0.0.1', '192.0.2.7']);
  assert.deepEqual(network.problems({ hosts: [], subnets: [routed] }), []);
  const later = { ...routed, controllerAddress: '192.0.2.8' };
  assert.deepEqual(network.problems({ hosts: [], subnets: [later] }), [], 'of an address of nobody here it is said');
  here.push({ name: 'lo', address: '192.0.2.8' });
  assert.match(
    network.problems({ hosts: [], subnets: [later] }).join(),
    /192\.0\.2\.8 is not listened at; start the service anew/,
  );
});

test('near is what is in a network of ours', () => {
  const { network } = open([]);
  assert.deepEqual(
    ['10.0.0.77', '10.0.1.77'].map((address) => network.isNear(address)),
    [true, false],
  );
});
