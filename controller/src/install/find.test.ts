import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import fc from 'fast-check';
import type { Mac } from '../machine/mac.ts';
import { findByMac, neighbours, parseNeighbours, pokeSubnet, subnetAddresses } from './find.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-find-'));
after(() => rmSync(folder, { recursive: true }));
const table = join(folder, 'arp');
writeFileSync(
  table,
  `IP address       HW type     Flags       HW address            Mask     Device
10.0.0.5         0x1         0x2         52:54:00:00:00:01     *        eth0
10.0.0.6         0x1         0x0         00:00:00:00:00:00     *        eth0
10.0.0.7         0x1         0x6         52:54:00:00:00:02     *        eth0
10.1.0.7         0x1         0x2         52:54:00:00:00:01     *        eth1
10.0.0.8         0x1         0x0         52:54:00:00:00:01     *        eth0
`,
);
const mac = (last: number) => `52:54:00:00:00:0${last}` as Mac;

test('complete neighbours of one interface', async () => {
  assert.deepEqual(
    (await neighbours('eth0', table)).map(({ address, mac: of }) => [address, of]),
    [
      ['10.0.0.5', mac(1)],
      ['10.0.0.7', mac(2)],
    ],
  );
  await assert.rejects(neighbours('eth0', join(folder, 'none')), /read neighbours: ENOENT/);
});

test('any text is a table, at worst an empty one', () => {
  fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => void parseNeighbours(text)));
});

test('addresses of a subnet', () => {
  assert.deepEqual(subnetAddresses('10.0.0.9/30'), ['10.0.0.9', '10.0.0.10']);
  assert.deepEqual(subnetAddresses('10.0.0.9/32'), ['10.0.0.9']);
  assert.deepEqual(subnetAddresses('10.0.0.9/31'), ['10.0.0.8', '10.0.0.9']);
  const wide = subnetAddresses('192.168.7.200/22');
  assert.equal(wide.length, 1022);
  assert.equal(wide[0], '192.168.4.1');
  assert.equal(wide.at(-1), '192.168.7.254');
  assert.equal(subnetAddresses('255.255.255.1/24').at(-1), '255.255.255.254');
  for (const bad of ['10.0.0.0/21', '10.0.0.0/33', '10.0.0.0', '10.0.0.256/24', 'fe80::/64', '']) {
    assert.throws(() => subnetAddresses(bad), /list subnet/);
  }
});

test('each address gets one datagram, in bursts, and the socket is closed', async () => {
  const sent: string[] = [];
  const pauses: number[] = [];
  let closed = 0;
  await pokeSubnet('10.0.0.0/24', {
    open: () => ({ send: (address, port) => sent.push(`${address}:${port}`), close: () => closed++ }),
    wait: async (ms) => void pauses.push(ms),
    burst: 100,
    pauseMs: 7,
  });
  assert.equal(new Set(sent).size, 254);
  assert.equal(sent[0], '10.0.0.1:9');
  assert.deepEqual(pauses, [7, 7, 7]);
  assert.equal(closed, 1);
});

test('real datagrams on loopback', () => pokeSubnet('127.0.0.1/30', { pauseMs: 1 }));

test('a machine is found by any of its MACs', async () => {
  const order: string[] = [];
  const request = {
    interfaceName: 'eth0',
    table,
    cidr: '10.0.0.0/29',
    open: () => ({ send: () => order.push('poke'), close: () => {} }),
    wait: async () => void order.push('wait'),
  };
  assert.deepEqual(await findByMac({ ...request, macs: [mac(9), mac(2)] }), ['10.0.0.7']);
  assert.equal(order.filter((word) => word === 'poke').length, 6);
  assert.deepEqual(await findByMac({ ...request, macs: [mac(9)] }), []);
});
