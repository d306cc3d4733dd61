import assert from 'node:assert/strict';
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

test('the named certificate passes and tells which address reached it; another one does not', async (t) => {
  const server = createServer({ key: own.keyPem, cert: own.certPem });
  server.on('tlsClientError', () => {});
  const endpoint = await listen(t, server);
  assert.equal((await pin(endpoint, own.fingerprint)).localAddress, '127.0.0.1');
  await assert.rejects(pin(endpoint, other.fingerprint), (error) => {
    assert.ok(error instanceof PinError);
    assert.equal(error.found, own.fingerprint);
    return true;
  });
});

test('a certificate exchanged after the first look is refused before a byte of the token', async (t) => {
  let received = 0;
  let connections = 0;
  const server = createServer({ key: own.keyPem, cert: own.certPem, ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    socket.on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  server.on('connection', () => {
    connections += 1;
  });
  const endpoint = await listen(t, server);
  const pinned = await pin(endpoint, own.fingerprint);
  server.setSecureContext({ key: other.keyPem, cert: other.certPem });
  const client = makeClient(endpoint, pinned.credentials);
  t.after(() => client.close());
  const answer = await register(client, RegisterRequest.fromPartial({ token: 'secret' }), 3000);
  assert.equal(answer.kind, 'again');
  assert.ok(connections >= 2);
  assert.equal(received, 0);

  // The same client does talk once the right certificate is back: the silence above was the pin's doing.
  server.setSecureContext({ key: own.keyPem, cert: own.certPem });
  const again = makeClient(endpoint, (await pin(endpoint, own.fingerprint)).credentials);
  t.after(() => again.close());
  await register(again, RegisterRequest.fromPartial({ token: 'secret' }), 500);
  assert.ok(received > 0);
});

test('a port where nobody speaks TLS, or nobody at all, is an error with an end', async (t) => {
  const silent = createTcpServer((socket) => socket.on('error', () => {}));
  const endpoint = await listen(t, silent);
  await assert.rejects(pin(endpoint, own.fingerprint, 50), /no answer within 50 ms/);
  await assert.rejects(pin('127.0.0.1:1', own.fingerprint), /connect to 127\.0\.0\.1:1: .*ECONNREFUSED/);
});
