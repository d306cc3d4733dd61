import assert from 'node:assert/strict';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import type { PlannedSubnet } from './network.ts';
import { Whereabouts } from './whereabouts.ts';

const mac = '52:54:00:00:00:01' as Mac;
const leased = '10.78.0.100';
const far: PlannedSubnet = {
  key: '10.78.0.0/24',
  subnet: { cidr: '10.78.0.0/24', network: '10.78.0.0', prefixLength: 24 },
  addresses: { [mac]: leased },
};
const other: PlannedSubnet = {
  key: '10.79.0.0/24',
  subnet: { cidr: '10.79.0.0/24', network: '10.79.0.0', prefixLength: 24 },
  addresses: { [mac]: '10.79.0.100' },
};
const atRelay: PlannedSubnet = {
  key: 'b:10.80.0.0/24',
  subnet: { cidr: '10.80.0.0/24', network: '10.80.0.0', prefixLength: 24, relay: 'b' },
  addresses: {},
};
const proxied: PlannedSubnet = { ...far, addresses: {} };
const behind = { interface: 'eth0', giaddr: '10.78.0.254', subnet: far.key };

function make(subnets: PlannedSubnet[] = [far, other, atRelay]) {
  let now = 0;
  const isNear = (address: string) => address.startsWith('10.77.0.');
  const book = new Whereabouts({ subnets: () => subnets, isNear, ticks: () => now });
  const allows = (address: string, subnet?: string) =>
    book.contradicts(subnet === undefined ? {} : { subnet }, [mac], address) === undefined;
  const pass = (ms: number) => {
    now += ms;
  };
  return { book, allows, pass };
}

test('of whom nothing was heard, nothing is said', () => {
  const { book, allows } = make();
  assert.ok(allows('203.0.113.9'));
  assert.deepEqual(book.leased(mac), [leased, '10.79.0.100'], 'it may be in either');
});

test('in a subnet that we lease in, it is at the address that we lease', () => {
  const { book, allows } = make();
  book.heard(mac, behind);
  assert.ok(allows(leased));
  assert.equal(allows('10.78.0.101'), false);
  assert.equal(allows('10.79.0.100'), false);
  assert.equal(book.contradicts({}, [mac], '10.78.0.101'), 'by DHCP it is behind 10.78.0.254 at 10.78.0.100');
  assert.deepEqual(book.leased(mac), [leased]);
});

test('beside another server: anywhere in the subnet, and once it has named its addresses, at one of those', () => {
  const { book, allows } = make([proxied]);
  book.heard(mac, behind);
  assert.ok(allows('10.78.0.7'));
  assert.equal(allows('10.99.0.7'), false);
  book.heard(mac, { ...behind, address: '10.78.0.7' });
  book.heard(mac, { ...behind, address: '10.78.0.8' });
  assert.ok(allows('10.78.0.7') && allows('10.78.0.8'), 'firmware and iPXE may have one each');
  assert.equal(allows('10.78.0.9'), false);
  assert.deepEqual(book.beyond([mac]), ['10.78.0.8', '10.78.0.7']);
});

test('port 4011 and renewals, which come past the relay, belong to what came through it', () => {
  const { book, allows } = make([proxied]);
  book.heard(mac, behind);
  book.heard(mac, { interface: 'eth0', subnet: far.key, address: '10.78.0.7', holds: true });
  assert.ok(allows('10.78.0.7'));
  assert.equal(allows('10.78.0.8'), false);
});

test('on our own segment: only with the address that it took there, which may be of another network', () => {
  const { book, allows } = make();
  book.heard(mac, { interface: 'eth0' });
  assert.equal(allows('203.0.113.9'), false);
  book.heard(mac, { interface: 'eth0', address: '203.0.113.9' });
  assert.ok(allows('203.0.113.9'));
});

test('a copy of the MAC elsewhere takes nothing from the machine', () => {
  const { book, allows } = make();
  book.heard(mac, behind);
  book.heard(mac, { interface: 'eth1', giaddr: '10.79.0.254', subnet: other.key });
  assert.ok(allows(leased));
  for (let index = 0; index < 3; index++) book.heard(mac, { interface: `eth${index + 2}` });
  assert.equal(allows('203.0.113.9'), false, 'the places of a MAC are few');
});

test('a host of one subnet is there, whatever is heard; one of a relay of ours never comes here', () => {
  const { book, allows } = make();
  assert.ok(allows('10.79.0.100', other.key));
  assert.equal(allows('10.78.0.100', other.key), false);
  assert.equal(allows('10.80.0.5', atRelay.key), false);
  assert.equal(allows('10.78.0.5', 'gone'), false);
  book.heard(mac, behind);
  assert.equal(allows(leased, other.key), false);
});

test('after an hour nothing is known any more', () => {
  const { book, allows, pass } = make();
  book.heard(mac, { ...behind, address: '10.78.0.7' });
  pass(3_600_001);
  assert.ok(allows('203.0.113.9'));
  assert.deepEqual(book.beyond([mac]), []);
});

test('addresses of our own networks are looked for there', () => {
  const { book } = make();
  book.heard(mac, { interface: 'eth0', address: '10.77.0.5' });
  assert.deepEqual(book.beyond([mac]), []);
});

test('an address is known behind each of two relays with the same addresses alone', () => {
  const { book, allows } = make([]);
  book.heard(mac, { interface: 'eth0', giaddr: '192.168.1.1', address: '192.168.1.7' });
  book.heard(mac, { interface: 'eth1', giaddr: '192.168.1.1', address: '192.168.1.8' });
  assert.ok(allows('192.168.1.7') && allows('192.168.1.8'));
  assert.equal(allows('192.168.1.9'), false);
});

test('a word from afar that no relay bears out opens nothing and closes nothing', () => {
  const { book, allows } = make([proxied]);
  book.heard(mac, { interface: 'eth0', address: '203.0.113.9', holds: true });
  assert.ok(allows('198.51.100.1'), 'nothing was heard of it yet');
  book.heard(mac, behind);
  book.heard(mac, { interface: 'eth0', address: '203.0.113.9', holds: true });
  assert.equal(allows('203.0.113.9'), false);
  assert.ok(allows('10.78.0.7'));
});

test('behind an undeclared relay it keeps the address that it renews', () => {
  const { book, allows, pass } = make([]);
  book.heard(mac, { interface: 'eth0', giaddr: '10.99.0.1', address: '10.99.0.7' });
  pass(3_000_000);
  book.heard(mac, { interface: 'eth0', address: '10.99.0.7', holds: true });
  pass(3_000_000);
  assert.ok(allows('10.99.0.7'));
  assert.equal(allows('10.99.0.8'), false);
});
