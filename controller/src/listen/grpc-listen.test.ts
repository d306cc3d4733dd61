// Who comes back is known by a ticket: at each listening socket, and after the controller has started again.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { connect, createSecureContext } from 'node:tls';
import { Server } from '@grpc/grpc-js';
import { type ControllerTls, makeTls } from '../store/tls.ts';
import { bindGrpc, credentialsOf } from './grpc-listen.ts';

const [own, other] = [await makeTls(), await makeTls()];

/** As a controller does it, with two sockets. */
async function open(t: TestContext, tls: ControllerTls): Promise<{ ports: readonly number[]; close(): void }> {
  const server = new Server();
  const credentials = credentialsOf(tls);
  const ports = [
    await bindGrpc(server, '127.0.0.1:0', credentials),
    await bindGrpc(server, '127.0.0.1:0', credentials),
  ];
  t.after(() => server.forceShutdown());
  return { ports, close: () => server.forceShutdown() };
}

const secureContext = createSecureContext({ ca: [] });

/** One connection that offers this session. */
function come(port: number, session?: Buffer, options: { maxVersion?: 'TLSv1.2' } = {}) {
  return new Promise<{ resumed: boolean; protocol: string | null; session: Buffer }>((resolve, reject) => {
    const socket = connect({
      ...{ port, host: '127.0.0.1', servername: 'nixie', ALPNProtocols: ['h2'], rejectUnauthorized: false },
      ...(options.maxVersion === undefined ? { secureContext } : options),
      ...(session === undefined ? {} : { session }),
    });
    let ticket = session;
    socket.on('session', (given: Buffer) => {
      ticket = given;
    });
    socket.on('error', reject);
    // What the server says first comes behind its tickets.
    socket.on('data', () => {
      setImmediate(() => {
        resolve({ resumed: socket.isSessionReused(), protocol: socket.getProtocol(), session: ticket! });
        socket.destroy();
      });
    });
  });
}

test('a ticket of one socket is good at the other, and after a start with the same key', async (t) => {
  const first = await open(t, own);
  const { session, resumed, protocol } = await come(first.ports[0]!);
  assert.deepEqual([resumed, protocol], [false, 'TLSv1.3']);
  assert.equal((await come(first.ports[0]!, session)).resumed, true);
  assert.equal((await come(first.ports[1]!, session)).resumed, true);
  first.close();
  const second = await open(t, own);
  assert.equal((await come(second.ports[0]!, session)).resumed, true);
});

test('with another key it is no ticket, and the whole handshake is made on the same connection', async (t) => {
  const first = await open(t, own);
  const { session } = await come(first.ports[0]!);
  const second = await open(t, other);
  assert.equal((await come(second.ports[0]!, session)).resumed, false);
});

test('nothing older than TLS 1.3 is spoken', async (t) => {
  const { ports } = await open(t, own);
  await assert.rejects(come(ports[0]!, undefined, { maxVersion: 'TLSv1.2' }), /protocol version/);
});
