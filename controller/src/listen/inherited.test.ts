import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { handedOver, inheritedUdp } from './inherited.ts';
import { closeDescriptor, descriptorPlace, openUdpDescriptor, type UdpPlace } from './udp.ts';

const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a.socket:b.socket' };
const places: Record<number, UdpPlace> = {
  3: { interface: 'eth1', address: '0.0.0.0', port: 67 },
  4: { interface: 'eth1', address: '10.0.0.1', port: 67 },
};

test('what was handed over, by interface and port', () => {
  const all = inheritedUdp(env, 7, (fd) => places[fd]);
  assert.deepEqual(all, [
    { ...places[3], fd: 3 },
    { ...places[4], fd: 4 },
  ]);
  const link = { name: 'eth1', address: '10.0.0.1' };
  assert.deepEqual(handedOver(all, link, 67), { any: 3, own: 4 });
  assert.deepEqual(handedOver(all, { ...link, address: '10.0.0.2' }, 67), { any: 3 });
  assert.equal(handedOver(all, link, 69), undefined);
  assert.equal(handedOver(all, { ...link, name: 'eth2' }, 67), undefined);
  // One that is bound to an address hears no broadcasts.
  assert.equal(handedOver(all.slice(1), link, 67), undefined);
});

test('nothing was, or to another process', () => {
  const never = () => assert.fail('looked at a descriptor');
  for (const other of [{}, { ...env, LISTEN_PID: '8' }, { ...env, LISTEN_FDS: '0' }, { ...env, LISTEN_FDS: 'x' }])
    assert.deepEqual(inheritedUdp(other, 7, never), []);
});

test('a unit that says what nobody means', () => {
  for (const [place, words] of [
    [undefined, /socket a\.socket of systemd: found no UDP socket for IPv4, accepted: UDP on port 67, 69, 4011/],
    [{ interface: '', address: '0.0.0.0', port: 67 }, /found udp 0\.0\.0\.0:67 on every interface/],
    [{ interface: 'eth1', address: '0.0.0.0', port: 68 }, /found udp 0\.0\.0\.0:68 on eth1/],
  ] as const)
    assert.throws(() => inheritedUdp({ ...env, LISTEN_FDS: '1' }, 7, () => place), words);
});

test('where a descriptor is bound is read from the kernel', () => {
  const fd = openUdpDescriptor({ interface: 'lo', address: '127.0.0.1', port: 0 });
  try {
    const place = descriptorPlace(fd);
    assert.equal(place?.interface, 'lo');
    assert.equal(place.address, '127.0.0.1');
    assert.ok(place.port > 1023);
  } finally {
    closeDescriptor(fd);
  }
  assert.equal(descriptorPlace(0), undefined);
  assert.equal(descriptorPlace(-1), undefined);
});

test('children of ours do not get the sockets of systemd', () => {
  const program = `
    import { spawnSync } from 'node:child_process';
    import { prepareInherited } from ${JSON.stringify(join(import.meta.dirname, 'udp.ts'))};
    prepareInherited(3);
    console.log(spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }).stdout);
  `;
  const fd = openUdpDescriptor({ interface: 'lo', address: '127.0.0.1', port: 0 });
  try {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe', fd],
      encoding: 'utf8',
    });
    assert.match(stdout, /-> /, stderr);
    assert.doesNotMatch(stdout, /3 -> socket/);
  } finally {
    closeDescriptor(fd);
  }
});
