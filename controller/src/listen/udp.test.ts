import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import {
  closeDescriptor,
  datagramsLost,
  descriptorPlace,
  grantedReceiveBuffer,
  openUdpDescriptor,
  receiveBufferBytes,
  receiveWaiting,
  sendTo,
} from './udp.ts';

/** A door at a port that the kernel chose, kept until the door has it: one that is only chosen may be somebody else's by then. */
function open(): { fd: number; port: number } {
  const place = { interface: 'lo', address: '127.0.0.1' };
  const chosen = openUdpDescriptor({ ...place, port: 0 }, true);
  try {
    const { port } = descriptorPlace(chosen)!;
    return { fd: openUdpDescriptor({ ...place, port }, true), port };
  } finally {
    closeDescriptor(chosen);
  }
}

test('a door gets as large a buffer as the kernel allows; what it granted is read back', () => {
  const { fd } = open();
  try {
    const allowed = Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8'));
    const granted = grantedReceiveBuffer(fd);
    assert.ok([receiveBufferBytes, Math.min(allowed, receiveBufferBytes)].includes(granted), `${granted}`);
  } finally {
    closeDescriptor(fd);
  }
});

test('what the kernel throws away is counted', async () => {
  const { fd, port } = open();
  const sender = dgram.createSocket('udp4');
  try {
    assert.equal(datagramsLost(fd), 0);
    // Nobody reads: 16 MiB, twice the buffer, have no room.
    const bytes = new Uint8Array(32 << 10);
    let failed = 0;
    for (let round = 0; round < 16; round++) {
      const sends = Array.from(
        { length: 64 },
        () =>
          new Promise<void>((resolve) => {
            sender.send(bytes, port, '127.0.0.1', (error) => {
              if (error) failed++;
              resolve();
            });
          }),
      );
      await Promise.all(sends);
    }
    assert.equal(failed, 0);
    const lost = datagramsLost(fd)!;
    assert.ok(lost > 100 && lost < 1024, `${lost}`);
  } finally {
    sender.close();
    closeDescriptor(fd);
  }
});

test('what waits is taken one by one with its sender, cut to what has room, and nothing is waited for', () => {
  const { fd, port } = open();
  const { fd: sender, port: from } = open();
  const into = new Uint8Array(8);
  const take = () => {
    const one = receiveWaiting(fd, into);
    return one && [...into.subarray(0, one.length), `${one.from.address}:${one.from.port}`];
  };
  try {
    assert.equal(take(), undefined);
    for (const bytes of [[1, 2, 3], [], [4, 4, 4, 4, 4, 4, 4, 4, 4, 4]])
      assert.equal(sendTo(sender, Uint8Array.from(bytes), { address: '127.0.0.1', port }), undefined);
    const who = `127.0.0.1:${from}`;
    assert.deepEqual(take(), [1, 2, 3, who]);
    assert.deepEqual(take(), [who]);
    assert.deepEqual(take(), [4, 4, 4, 4, 4, 4, 4, 4, who]);
    assert.equal(take(), undefined);
  } finally {
    closeDescriptor(sender);
    closeDescriptor(fd);
  }
});

test('of a descriptor that is no socket nothing is known', () => {
  assert.equal(grantedReceiveBuffer(-1), 0);
  assert.equal(datagramsLost(-1), undefined);
  assert.equal(receiveWaiting(-1, new Uint8Array(8)), undefined);
});
