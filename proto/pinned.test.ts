// Connections to servers that are, aren't, or once were the right one. Who is impostor here has all that a man in the middle can have: the address,
// the wire, and a certificate of the same name.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once as event } from 'node:events';
import { createRequire } from 'node:module';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { createServer, type Server as TlsServer } from 'node:tls';
import { ChannelCredentials, credentials as libraryCredentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { makeTls } from '../controller/src/store/tls.ts';
import { AgentServiceClient, RegisterRequest } from './gen/nixie/v1/agent.ts';
import { OtherCertificate, PinnedCredentials, reachPinned, Ticket } from './pinned.ts';

const [own, other] = [await makeTls(), await makeTls()];
const waitMs = 10_000;

interface Listener {
  readonly endpoint: string;
  readonly sockets: Set<Socket>;
  /** Bytes that came out of TLS. */
  readonly heard: () => number;
  readonly connections: () => number;
}

async function listen(t: TestContext, server: Server): Promise<Listener> {
  const sockets = new Set<Socket>();
  let [heard, connections] = [0, 0];
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    connections += 1;
  });
  server.on('tlsClientError', () => {});
  server.on('secureConnection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      heard += bytes.length;
    });
    // An empty SETTINGS frame (RFC 9113 3.4): for the client the connection is ready.
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const endpoint = `127.0.0.1:${(server.address() as { port: number }).port}`;
  return { endpoint, sockets, heard: () => heard, connections: () => connections };
}

const withTls = ({ keyPem, certPem }: typeof own): TlsServer =>
  createServer({ key: keyPem, cert: certPem, ALPNProtocols: ['h2'] });

function clientOf(t: TestContext, endpoint: string, credentials: ChannelCredentials): AgentServiceClient {
  const client = new AgentServiceClient(endpoint, credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 100,
  });
  t.after(() => client.close());
  return client;
}

/** One connection, closed again. */
async function once(t: TestContext, endpoint: string, ticket: Ticket, fingerprint = own.fingerprint) {
  const credentials = new PinnedCredentials(fingerprint, ticket);
  const client = clientOf(t, endpoint, credentials);
  const reached = await reachPinned(client, credentials, { timeoutMs: waitMs });
  client.close();
  return reached;
}

const secret = (client: AgentServiceClient, deadlineMs: number): Promise<ServiceError | null> =>
  new Promise((resolve) => {
    const request = RegisterRequest.fromPartial({ token: 'secret' });
    client.register(request, new Metadata(), { deadline: Date.now() + deadlineMs }, (error) => resolve(error));
  });

test('one connection is made, and the certificate that is wanted passes', async (t) => {
  const server = await listen(t, withTls(own));
  const credentials = new PinnedCredentials(own.fingerprint);
  const client = clientOf(t, server.endpoint, credentials);
  const reached = await reachPinned(client, credentials, { timeoutMs: waitMs });
  assert.deepEqual(reached, { localAddress: '127.0.0.1', resumed: false });
  assert.equal(server.connections(), 1);
  await secret(client, 50);
  assert.ok(server.heard() > 0, 'a request goes over the connection that was checked');
  assert.equal(server.connections(), 1);
});

test('another certificate is named, and hears no byte of a request, whatever is asked and however often', async (t) => {
  const server = await listen(t, withTls(other));
  const credentials = new PinnedCredentials(own.fingerprint);
  const client = clientOf(t, server.endpoint, credentials);
  const calls = [secret(client, 1000), secret(client, 1000)];
  await assert.rejects(reachPinned(client, credentials, { timeoutMs: waitMs }), (error) => {
    assert.ok(error instanceof OtherCertificate);
    assert.equal(error.found, other.fingerprint);
    return true;
  });
  for (const error of await Promise.all([...calls, secret(client, 500)])) assert.ok(error);
  assert.ok(server.connections() > 0);
  assert.equal(server.heard(), 0);
});

test('who steps in behind a good connection is refused when the client connects again by itself', async (t) => {
  const tls = withTls(own);
  const server = await listen(t, tls);
  const credentials = new PinnedCredentials(own.fingerprint);
  const client = clientOf(t, server.endpoint, credentials);
  await reachPinned(client, credentials, { timeoutMs: waitMs });
  await secret(client, 100);
  const heard = server.heard();
  assert.ok(heard > 0);
  tls.setSecureContext({ key: other.keyPem, cert: other.certPem, ticketKeys: randomBytes(48) });
  const before = server.connections();
  for (const socket of server.sockets) socket.destroy();
  // The first may fail by the connection that is gone; those behind it make the library connect.
  const end = performance.now() + waitMs;
  while (credentials.failed === undefined && performance.now() < end) assert.ok(await secret(client, 500));
  assert.ok(server.connections() > before);
  assert.ok(credentials.failed instanceof OtherCertificate);
  assert.equal(server.heard(), heard);

  // The silence was the check's doing: with the right certificate back the same client talks.
  tls.setSecureContext({ key: own.keyPem, cert: own.certPem, ticketKeys: randomBytes(48) });
  await new Promise<void>((resolve, reject) =>
    client.waitForReady(Date.now() + waitMs, (error) => (error ? reject(error) : resolve())),
  );
  await secret(client, 50);
  assert.ok(server.heard() > heard);
});

test('the next connection is resumed by the ticket of the one before', async (t) => {
  const server = await listen(t, withTls(own));
  const ticket = new Ticket();
  assert.equal((await once(t, server.endpoint, ticket)).resumed, false);
  assert.equal((await once(t, server.endpoint, ticket)).resumed, true);
  assert.equal((await once(t, server.endpoint, ticket)).resumed, true);
  ticket.take(own.fingerprint);
  assert.equal((await once(t, server.endpoint, ticket)).resumed, false);
});

test('a ticket is worth nothing with an impostor, and costs no attempt with the right one', async (t) => {
  const right = await listen(t, withTls(own));
  const wrong = await listen(t, withTls(other));
  const ticket = new Ticket();
  await once(t, right.endpoint, ticket);
  await assert.rejects(once(t, wrong.endpoint, ticket), OtherCertificate);
  assert.equal(wrong.heard(), 0);

  // The same certificate, and another key for tickets: a controller that has forgotten the old one.
  const again = await listen(t, withTls(own));
  await once(t, right.endpoint, ticket);
  assert.equal((await once(t, again.endpoint, ticket)).resumed, false);
  assert.equal(again.connections(), 1);
});

test('a ticket counts for the certificate that was shown when it was given, and for no other', async (t) => {
  const server = await listen(t, withTls(other));
  const ticket = new Ticket();
  await once(t, server.endpoint, ticket, other.fingerprint);
  assert.equal((await once(t, server.endpoint, ticket, other.fingerprint)).resumed, true);
  await Promise.all([...server.sockets].map((socket) => socket.destroyed || event(socket, 'close')));
  const heard = server.heard();
  // The server would take it.
  await assert.rejects(once(t, server.endpoint, ticket), OtherCertificate);
  assert.equal(server.heard(), heard);
});

test('no ticket is kept of a connection that was refused', async (t) => {
  const server = await listen(t, withTls(other));
  const ticket = new Ticket();
  await assert.rejects(once(t, server.endpoint, ticket), OtherCertificate);
  assert.equal(ticket.take(own.fingerprint) ?? ticket.take(other.fingerprint), undefined);
});

test('a ticket that is no ticket costs one attempt at most', async (t) => {
  const server = await listen(t, withTls(own));
  const ticket = new Ticket();
  ticket.keep(Buffer.from('no session at all'), own.fingerprint);
  await once(t, server.endpoint, ticket).catch(() => {});
  assert.equal((await once(t, server.endpoint, new Ticket())).resumed, false);
  assert.ok(await once(t, server.endpoint, ticket));
});

test('who is not there, who is silent, who hangs up and who is told to stop: each with an end and its reason', async (t) => {
  const reach = (endpoint: string, timeoutMs: number, signal?: AbortSignal) => {
    const credentials = new PinnedCredentials(own.fingerprint);
    return reachPinned(clientOf(t, endpoint, credentials), credentials, { timeoutMs, ...(signal && { signal }) });
  };
  await assert.rejects(reach('127.0.0.1:1', waitMs), /^Error: connect ECONNREFUSED 127\.0\.0\.1:1$/);
  const silent = await listen(
    t,
    createTcpServer((socket) => socket.on('error', () => {})),
  );
  await assert.rejects(reach(silent.endpoint, 50), /no answer within 50 ms/);
  const stop = new AbortController();
  const stopped = reach(silent.endpoint, waitMs, stop.signal);
  stop.abort(new Error('stopped'));
  await assert.rejects(stopped, /stopped/);
  const rude = await listen(
    t,
    createTcpServer((socket) => socket.destroy()),
  );
  await assert.rejects(reach(rude.endpoint, waitMs), /disconnected|reset|closed/i);
  const plain = await listen(
    t,
    createTcpServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
  await assert.rejects(reach(plain.endpoint, waitMs), /wrong version number|packet length/i);
});

test('a client that is closed during its handshake leaves no connection behind', async (t) => {
  const silent = await listen(
    t,
    createTcpServer((socket) => socket.on('error', () => {}).resume()),
  );
  const credentials = new PinnedCredentials(own.fingerprint);
  const client = clientOf(t, silent.endpoint, credentials);
  const stop = new AbortController();
  const stopped = assert.rejects(
    reachPinned(client, credentials, { timeoutMs: waitMs, signal: stop.signal }),
    /stopped/,
  );
  while (silent.sockets.size === 0 && !t.signal.aborted) await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error('stopped'));
  await stopped;
  const [socket] = silent.sockets;
  const gone = new Promise((resolve) => socket!.once('close', resolve));
  client.close();
  await gone;
});

test("the library's credentials have the shape that ours take on", () => {
  const { version } = createRequire(import.meta.url)('@grpc/grpc-js/package.json') as { version: string };
  // Another one: read its channel-credentials.js and transport.js (connect) before this is changed.
  assert.equal(version, '1.14.7');
  const members = (value: object) => Object.getOwnPropertyNames(Object.getPrototypeOf(value)).sort();
  const theirs = libraryCredentials.createSsl(Buffer.from(own.certPem));
  assert.deepEqual(members(theirs), ['_createSecureConnector', '_equals', '_isSecure', 'constructor']);
  assert.deepEqual(Object.getOwnPropertyNames(ChannelCredentials.prototype).sort(), ['compose', 'constructor']);
  const target = { scheme: 'dns', path: '127.0.0.1:1' };
  const connector = theirs._createSecureConnector(target, {});
  const methods = members(connector).filter((name) => name !== 'constructor');
  assert.deepEqual(methods, ['connect', 'destroy', 'getCallCredentials', 'waitForReady']);
  const ours = new PinnedCredentials(own.fingerprint);
  assert.deepEqual(Object.keys(ours._createSecureConnector(target, {})).sort(), methods);
});
