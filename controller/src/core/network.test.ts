import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { planNetwork } from './network.ts';

const host = (name: string, last: number, more: Partial<Host> = {}): Host => ({
  name,
  flakeAttr: name,
  macs: [`52:54:00:00:00:0${last}` as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
  ...more,
});
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
