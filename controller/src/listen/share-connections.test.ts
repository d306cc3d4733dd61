import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import test from 'node:test';
import { startHttp } from './http.ts';

test('one address that opens all it can get keeps out no other, and gets places again when it has fewer', async (t) => {
  const http = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ refuse: 'no' }),
    loaders: new Map(),
    limits: { maxConnections: 16 },
  });
  const sockets: Socket[] = [];
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await http.close();
  });
  const open = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ host: '127.0.0.1', port: http.port, localAddress });
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  /** The first line of the answer; undefined when the connection is cut without one. */
  const ping = async (socket: Socket): Promise<string | undefined> => {
    const answer = new Promise<string | undefined>((resolve) => {
      socket.once('data', (bytes) => resolve(bytes.toString().split('\r\n')[0]));
      socket.once('close', () => resolve(undefined));
    });
    socket.write('GET /ping HTTP/1.1\r\nHost: x\r\n\r\n');
    return answer;
  };
  const greedy: Socket[] = [];
  for (let i = 0; i < 20; i++) greedy.push(await open('127.0.0.2'));
  assert.equal(await ping(await open('127.0.0.2')), undefined);
  assert.equal(await ping(await open('127.0.0.3')), 'HTTP/1.1 200 OK');
  for (const socket of greedy) socket.destroy();
  let again: string | undefined;
  for (const end = performance.now() + 60_000; again === undefined && performance.now() < end; )
    again = await ping(await open('127.0.0.2'));
  assert.equal(again, 'HTTP/1.1 200 OK');
});
