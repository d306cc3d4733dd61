import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import type { Subnet } from '../machine/subnet.ts';
import { plainHost } from '../machine/testing.ts';
import {
  alsoReachedAt,
  type DhcpWish,
  leasedBehind,
  leasedTo,
  planNetwork,
  subnetWarnings,
  wakePlaces,
} from './network.ts';

const host = (name: string, last: number, more: Partial<Host> = {}): Host =>
  plainHost(name, [`52:54:00:00:00:0${last}`], more);
const links = [{ name: 'eth0', address: '10.0.0.1', prefixLength: 24 }];
const addresses = (hosts: Host[], range: [string, string], previous: Record<Mac, string>, declined: string[]) => {
  const made = planNetwork(links, { mode: 'range', from: range[0], to: range[1] }, hosts, previous, new Set(declined));
  if ('problems' in made) throw new Error(made.problems.join());
  return made.plan.addresses;
};

test('an address that was declined is given to nobody, and the others keep theirs', () => {
  const hosts = [host('m1', 1), host('m2', 2)];
  const [a, b] = hosts.map(({ macs }) => macs[0]!) as [Mac, Mac];
  const first = addresses(hosts, ['10.0.0.100', '10.0.0.110'], {}, []);
  const second = addresses(hosts, ['10.0.0.100', '10.0.0.110'], first, [first[a]!]);
  assert.notEqual(second[a], first[a]);
  assert.equal(second[b], first[b]);
});

test('an address of the hosts file stays, and a range without others is used whole', () => {
  const fixed = host('m1', 1, { address: '10.0.0.50' });
  assert.equal(addresses([fixed], ['10.0.0.100', '10.0.0.110'], {}, ['10.0.0.50'])[fixed.macs[0]!], '10.0.0.50');
  const only = host('m2', 2);
  assert.equal(addresses([only], ['10.0.0.100', '10.0.0.100'], {}, ['10.0.0.100'])[only.macs[0]!], '10.0.0.100');
});

test('a range that no interface is in is a problem with the interfaces there are', () => {
  const made = planNetwork(links, { mode: 'range', from: '10.9.0.1', to: '10.9.0.9' }, [], {});
  assert.match('problems' in made ? made.problems.join() : '', /none of the interfaces.*eth0 \(10\.0\.0\.1\/24\)/);
});

const far: Subnet = {
  cidr: '10.78.0.0/24',
  network: '10.78.0.0',
  prefixLength: 24,
  range: { from: '10.78.0.100', to: '10.78.0.110' },
};
const declared = (...all: Subnet[]) => ({ all, earlier: {} });
const plan = (hosts: Host[], all: Subnet[], wish: DhcpWish = { mode: 'proxy' }, earlier = {}) => {
  const made = planNetwork(links, wish, hosts, {}, new Set(), { all, earlier });
  if ('problems' in made) throw new Error(made.problems.join('\n'));
  return made.plan;
};

test('a MAC has an address in each range where it may be, and the same ones each time', () => {
  const site: Subnet = { ...far, relay: 'site-b' };
  const range: DhcpWish = { mode: 'range', from: '10.0.0.100', to: '10.0.0.110' };
  const pinned = host('m2', 2, { subnet: '10.78.0.0/24' });
  const beyond = host('m3', 1, { relay: 'site-b' });
  const made = plan([host('m1', 1), pinned, beyond], [far, site], range);
  const [mac1, mac2] = ['52:54:00:00:00:01', '52:54:00:00:00:02'] as [Mac, Mac];
  assert.deepEqual(Object.keys(made.addresses), [mac1]);
  assert.deepEqual(
    made.subnets.map(({ key, addresses: given }) => [key, Object.keys(given).sort()]),
    [
      ['10.78.0.0/24', [mac1, mac2]],
      ['site-b:10.78.0.0/24', [mac1]],
    ],
  );
  assert.deepEqual(plan([pinned, beyond, host('m1', 1)], [site, far], range).addresses, made.addresses);
  assert.equal(leasedTo(made, mac1).length, 2);
  assert.equal(leasedBehind(made, 'site-b', mac1).length, 1);
  assert.equal(leasedTo(made, mac2).length, 1);
});

test('what a MAC had in a subnet it keeps, and what others need is taken', () => {
  const earlier = { '10.78.0.0/24': { '52:54:00:00:00:01': '10.78.0.105' } };
  const router = { ...far, router: '10.78.0.101', controllerAddress: '10.78.0.102' };
  const hosts = Array.from({ length: 9 }, (_, index) => host(`m${index + 1}`, index + 1));
  const given = plan(hosts, [router], { mode: 'proxy' }, earlier).subnets[0]!.addresses;
  assert.equal(given['52:54:00:00:00:01' as Mac], '10.78.0.105');
  assert.ok(!Object.values(given).some((address) => ['10.78.0.101', '10.78.0.102'].includes(address)));
  assert.equal(new Set(Object.values(given)).size, 9);
});

test('an address of the hosts file counts in the network that it is of', () => {
  const fixed = host('m1', 1, { address: '10.78.0.7' });
  const range: DhcpWish = { mode: 'range', from: '10.0.0.100', to: '10.0.0.110' };
  const made = plan([fixed], [far], range);
  assert.equal(made.subnets[0]!.addresses[fixed.macs[0]!], '10.78.0.7');
  assert.match(made.addresses[fixed.macs[0]!] ?? '', /^10\.0\.0\.1/);
  const nowhere = planNetwork(links, range, [host('m1', 1, { address: '10.5.0.7' })], {}, new Set(), declared(far));
  assert.match('problems' in nowhere ? nowhere.problems.join() : '', /10\.5\.0\.7 is not of 10\.0\.0\.0\/24/);
});

test('foreign subnets are at every interface; those of a relay of ours at none', () => {
  const made = plan([], [far, { ...far, relay: 'b' }]);
  assert.deepEqual(
    made.interfaces[0]!.networks?.map(({ key, dhcp }) => [key, dhcp]),
    [['10.78.0.0/24', 'range']],
  );
});

test('a range too small, and a subnet that is our own network, are problems', () => {
  const small = { ...far, range: { from: '10.78.0.100', to: '10.78.0.100' } };
  const { range: _, ...own } = { ...far, cidr: '10.0.0.0/24', network: '10.0.0.0' };
  const made = planNetwork(
    links,
    { mode: 'proxy' },
    [host('m1', 1), host('m2', 2)],
    {},
    new Set(),
    declared(small, own),
  );
  const problems = 'problems' in made ? made.problems : [];
  assert.equal(problems.length, 2, problems.join('\n'));
  assert.match(problems[0]!, /subnet 10\.0\.0\.0\/24: it is in the network of eth0 \(10\.0\.0\.1\/24\)/);
  assert.match(problems[1]!, /subnet 10\.78\.0\.0\/24: range .* 1 more address is needed/);
  const site = planNetwork(links, { mode: 'proxy' }, [], {}, new Set(), declared({ ...own, relay: 'b' }));
  assert.ok('plan' in site, 'another site may have the same private addresses');
});

test('magic packets go everywhere, or where the host is', () => {
  const places = (subnet?: string) =>
    wakePlaces(
      subnet === undefined ? undefined : { subnet },
      links,
      [
        { ...far, controllerAddress: '10.0.0.1' },
        { ...far, relay: 'b' },
      ],
      ['10.0.0.1'],
    );
  assert.deepEqual(places(), { links, beyond: [{ broadcast: '10.78.0.255', from: '10.0.0.1' }] });
  assert.deepEqual(places('10.78.0.0/24'), { links: [], beyond: [{ broadcast: '10.78.0.255', from: '10.0.0.1' }] });
  assert.deepEqual(places('b:10.78.0.0/24'), { links: [], beyond: [] });
  assert.deepEqual(wakePlaces({ relay: 'b' }, links, [far], []), { links: [], beyond: [] });
});

test('an address of ours that is on no served interface is listened at on those by which it is reached', () => {
  const two = [...links, { name: 'eth1', address: '10.1.0.1', prefixLength: 24 }];
  const at = (controllerAddress: string) =>
    alsoReachedAt(
      two,
      [{ ...far, controllerAddress }],
      [
        { name: 'eth1', address: '10.1.0.9' },
        { name: 'lo', address: '203.0.113.7' },
      ],
    );
  assert.deepEqual(at('10.0.0.1'), []);
  assert.deepEqual(at('10.1.0.9'), [{ name: 'eth1', address: '10.1.0.9' }]);
  assert.deepEqual(at('203.0.113.7'), [
    { name: 'eth0', address: '203.0.113.7' },
    { name: 'eth1', address: '203.0.113.7' },
  ]);
  assert.deepEqual(at('198.51.100.1'), []);
  assert.equal(subnetWarnings([{ ...far, controllerAddress: '198.51.100.1' }], ['10.0.0.1']).length, 1);
});
