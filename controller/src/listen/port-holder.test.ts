import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { PortTaken } from './errors.ts';
import { inodesOfPort, type ProcReader, portHolder } from './port-holder.ts';

const udp = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  205: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31337 2 0000000000000000 0
  206: 0100007F:0045 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31338 2 0000000000000000 0
  207: 00000000:4300 00000000:0043 07 00000000:00000000 00:00000000 00000000     0        0 31339 2 0000000000000000 0
`;
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1D38 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:1D38 00000000000000000000000000000000:0001 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0
`;

test('sockets of a port in the tables of the kernel', () => {
  assert.deepEqual(inodesOfPort(udp, 67, 'udp'), ['31337']);
  assert.deepEqual(inodesOfPort(udp, 69, 'udp'), ['31338']);
  assert.deepEqual(inodesOfPort(udp, 68, 'udp'), []);
  assert.deepEqual(inodesOfPort(tcp6, 7480, 'tcp'), ['4242']); // listening, not connected
});

test('the holder is found by its descriptors', () => {
  const texts: Record<string, string> = {
    '/proc/self/net/udp': udp,
    '/proc/812/comm': 'dnsmasq\n',
    '/proc/900/comm': 'MainThread\n',
    '/proc/900/cmdline': '/usr/bin/node\0x.js\0',
  };
  const links: Record<string, string> = {
    '/proc/812/fd/3': '/dev/null',
    '/proc/812/fd/4': 'socket:[31337]',
    '/proc/900/fd/4': 'socket:[31338]',
  };
  const proc: ProcReader = {
    text: (path) => texts[path] ?? '',
    names: (path) =>
      ({ '/proc': ['1', '812', '900', 'self', 'net'], '/proc/812/fd': ['3', '4'], '/proc/900/fd': ['4'] })[path] ?? [],
    link: (path) => links[path] ?? '',
  };
  assert.deepEqual(portHolder(67, 'udp', proc), { pid: 812, process: 'dnsmasq' });
  assert.deepEqual(portHolder(69, 'udp', proc), { pid: 900, process: 'node' });
  assert.equal(portHolder(68, 'udp', proc), undefined);
  const error = new PortTaken({ port: 67, protocol: 'udp', address: '0.0.0.0' }, portHolder(67, 'udp', proc));
  assert.match(error.message, /udp port 67 .* held by dnsmasq \(process 812\)/);
});

test('any text is read without throwing', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 0, max: 65535 }), (text, port) => void inodesOfPort(text, port, 'udp')),
  );
});
