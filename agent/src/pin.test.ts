import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { createServer } from 'node:tls';
import { RegisterRequest } from '@nixie/proto/agent';
import { makeTls } from '../../controller/src/store/tls.ts';
import { makeClient } from './client.ts';
import { PinError, pin } from './pin.ts';
import { register } from './register.ts';

const [own, other] = [await makeTls(), await makeTls()];

async function listen(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

const pinned = async (t: TestContext, endpoint: string, timeoutMs?: number) => {
  const reached = await pin(endpoint, own.fingerprint, makeClient, timeoutMs === undefined ? {} : { timeoutMs });
  t.after(() => reached.client.close());
  return reached;
};

/** As much of HTTP/2 as a client wants to hear before it asks: an empty SETTINGS frame (RFC 9113 3.4). */
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

test('the named certificate passes and tells which address reached it; another one does not', async (t) => {
  const server = createServer({ key: own.keyPem, cert: own.certPem }, (socket) => socket.write(settings));
  server.on('tlsClientError', () => {});
  const endpoint = await listen(t, server);
  assert.equal((await pinned(t, endpoint)).localAddress, '127.0.0.1');
  await assert.rejects(pin(endpoint, other.fingerprint, makeClient), (error) => {
    assert.ok(error instanceof PinError);
    assert.equal(error.found, own.fingerprint);
    return true;
  });
});

test('a certificate exchanged after the first connection is refused before a byte of the token', async (t) => {
  let received = '';
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer({ key: own.keyPem, cert: own.certPem, ALPNProtocols: ['h2'] }, (socket) => {
    socket.write(settings);
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    sockets.add(socket);
  });
  server.on('tlsClientError', () => {});
  server.on('connection', () => {
    connections += 1;
  });
  const endpoint = await listen(t, server);
  const { client } = await pinned(t, endpoint);
  const token = RegisterRequest.fromPartial({ token: 'secret' });
  const toldTo = async (who: typeof client): Promise<void> => {
    const before = received.length;
    void register(who, token, 60_000);
    for (const end = performance.now() + 60_000; !received.includes('secret', before); ) {
      assert.ok(performance.now() < end, 'the token came');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await toldTo(client);
  // With the keys of the old tickets it would be the right one still.
  server.setSecureContext({ key: other.keyPem, cert: other.certPem, ticketKeys: randomBytes(48) });
  for (const socket of sockets) socket.destroy();
  const before = received;
  assert.equal((await register(client, token, 60_000)).kind, 'again');
  await assert.rejects(pinned(t, endpoint), PinError);
  assert.ok(connections >= 2);
  assert.equal(received, before);

  // With the right certificate back there is talk again: the silence above was the pin's doing.
  server.setSecureContext({ key: own.keyPem, cert: own.certPem });
  await toldTo((await pinned(t, endpoint)).client);
});

test('a port where nobody speaks TLS, or nobody at all, is an error with an end', async (t) => {
  const silent = createTcpServer((socket) => socket.on('error', () => {}));
  const endpoint = await listen(t, silent);
  await assert.rejects(pinned(t, endpoint, 50), /no answer within 50 ms/);
  await assert.rejects(pinned(t, '127.0.0.1:1'), /connect to 127\.0\.0\.1:1: .*ECONNREFUSED/);
});
