import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import test from 'node:test';
import type { Carried } from '@nixie/proto/relay';
import { type CarriedStream, carry } from './carry.ts';

// An ssh may be killed while the relay still tries to reach its machine.
test('whoever is gone before the other side is there ends it at once: nothing would tell of it any more', async () => {
  const socket = new Socket({ allowHalfOpen: true });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.destroy();
  await closed;
  const written: Carried[] = [];
  const stream: CarriedStream = {
    write: (message) => void written.push(message),
    on: () => {},
    pause() {},
    resume() {},
  };
  const ends: (string | undefined)[] = [];
  const { ended } = carry(stream, socket, (why) => ends.push(why));
  let end: Awaited<typeof ended> | undefined;
  void ended.then((it) => {
    end = it;
  });
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  assert.deepEqual(end, { why: 'the connection was closed', sent: 0, received: 0 });
  assert.deepEqual([ends, written], [['the connection was closed'], []]);
});
