import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Mac } from '../machine/mac.ts';
import { NoSuchInterface } from './errors.ts';
import { broadcastAddress, chooseInterfaces, type LinkInterface, listInterfaces } from './interfaces.ts';

const link = (name: string, address: string, physical = false): LinkInterface => ({
  name,
  address,
  prefixLength: 24,
  mac: '52:54:00:00:00:01' as Mac,
  mtu: 1500,
  physical,
});
const eth0 = link('eth0', '10.0.0.1', true);
const eth0b = link('eth0', '10.0.5.1', true);
const eth1 = link('eth1', '10.1.0.1', true);
const docker0 = link('docker0', '172.17.0.1');
const veth = link('lan0', '10.9.0.1');

test('which interfaces are served', () => {
  const table: readonly [string, LinkInterface[], { interfaces: string[]; address?: string }, LinkInterface[]][] = [
    ['all physical by default', [docker0, eth0, eth0b, eth1], { interfaces: [] }, [eth0, eth1]],
    ['the only one, even if not physical', [veth], { interfaces: [] }, [veth]],
    ['named ones in their order', [eth0, eth1, docker0], { interfaces: ['eth1', 'docker0'] }, [eth1, docker0]],
    ['by address', [eth0, eth0b, eth1], { interfaces: [], address: '10.0.5.1' }, [eth0b]],
    [
      'one address of a named one',
      [eth0, eth0b, eth1],
      { interfaces: ['eth1', 'eth0'], address: '10.0.5.1' },
      [eth1, eth0b],
    ],
    ['named twice', [eth0, eth1], { interfaces: ['eth0', 'eth0'] }, [eth0]],
  ];
  for (const [name, all, wanted, want] of table) assert.deepEqual(chooseInterfaces(all, wanted), want, name);
});

test('what can not be served is told with what there is', () => {
  const table: readonly [LinkInterface[], { interfaces: string[]; address?: string }, RegExp][] = [
    [[], { interfaces: [] }, /nothing to serve; no interface is up/],
    [
      [docker0, veth],
      { interfaces: [] },
      /physical network; there are docker0 \(172.17.0.1\/24\), lan0 .*name one with --interface/,
    ],
    [[eth0], { interfaces: ['eth7'] }, /interface eth7 is not there.*there are eth0/],
    [[eth0], { interfaces: [], address: '10.0.0.9' }, /no interface has the address 10.0.0.9/],
    [[eth0, eth1], { interfaces: ['eth1'], address: '10.0.0.1' }, /belongs to eth0, not to eth1/],
  ];
  for (const [all, wanted, message] of table) {
    assert.throws(
      () => chooseInterfaces(all, wanted),
      (error) => error instanceof NoSuchInterface && message.test(error.message),
      String(message),
    );
  }
});

test('listing: IPv4 with a MAC only; a bridge above a card is physical, one of containers is not', () => {
  const folders: Record<string, string[]> = {
    eth0: ['device', 'mtu'],
    br0: ['lower_eth0', 'mtu'],
    docker0: ['lower_veth12'],
    veth12: ['mtu'],
  };
  const sys = {
    text: (path: string) => (path === '/sys/class/net/br0/mtu' ? '9000' : undefined),
    names: (path: string) => folders[path.slice('/sys/class/net/'.length)] ?? [],
  };
  const entry = (address: string, more = {}) => ({
    address,
    netmask: '255.255.255.0',
    family: 'IPv4' as const,
    mac: '52:54:00:00:00:01',
    internal: false,
    cidr: `${address}/24`,
    ...more,
  });
  const found = {
    lo: [entry('127.0.0.1', { internal: true, mac: '00:00:00:00:00:00' })],
    tun0: [entry('10.8.0.1', { mac: '00:00:00:00:00:00' })],
    br0: [entry('10.0.0.1'), entry('10.0.0.2')],
    docker0: [entry('172.17.0.1')],
  };
  assert.deepEqual(
    listInterfaces(sys, found).map(({ name, address, mtu, physical }) => [name, address, mtu, physical]),
    [
      ['br0', '10.0.0.1', 9000, true],
      ['br0', '10.0.0.2', 9000, true],
      ['docker0', '172.17.0.1', 1500, false],
    ],
  );
});

test('broadcast address of a subnet', () => {
  const table: readonly [string, number, string][] = [
    ['10.0.0.7', 24, '10.0.0.255'],
    ['192.168.5.130', 25, '192.168.5.255'],
    ['172.16.3.4', 12, '172.31.255.255'],
    ['200.1.2.3', 8, '200.255.255.255'],
    ['10.0.0.7', 32, '10.0.0.7'],
    ['10.0.0.7', 0, '255.255.255.255'],
  ];
  for (const [address, prefix, want] of table) assert.equal(broadcastAddress(address, prefix), want);
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (address, prefix) => {
      const once = broadcastAddress(address, prefix);
      assert.equal(broadcastAddress(once, prefix), once);
    }),
  );
});
