// The door of agents over real TLS and gRPC. It is long because each kind of stranger and of broken session is a test.
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import test, { type TestContext } from 'node:test';
import { type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  AgentServiceClient,
  type Instruction,
  type LogLine,
  RegisterRequest,
  type SessionRequest,
  type SessionResponse,
} from '@nixie/proto/agent';
import fc from 'fast-check';
import type { Mac } from '../machine/mac.ts';
import { type Credential, makeCredential, readCredential } from '../machine/token.ts';
import { makeTls } from '../store/tls.ts';
import { type AgentCore, type AgentServer, type SessionUp, startAgentServer } from './agents.ts';
import { helloText } from './hello.ts';

const tls = await makeTls();

interface Seen {
  ups: SessionUp[];
  downs: string[];
  lines: LogLine[];
  dropped: number;
  odd: string[];
  beats: bigint[];
}

async function open(
  t: TestContext,
  core: Partial<AgentCore> = {},
  more: { mostSessions?: number; helloMs?: number } = {},
): Promise<{ server: AgentServer; seen: Seen; client: () => AgentServiceClient }> {
  const seen: Seen = { ups: [], downs: [], lines: [], dropped: 0, odd: [], beats: [] };
  const server = await startAgentServer({
    addresses: ['127.0.0.1'],
    port: 0,
    tls,
    ...more,
    core: {
      onRegister: () => ({ refused: 'unauthenticated', why: 'no' }),
      readCredential: (text) => readCredential(tls.credentialSecret, text),
      onSessionUp: (_host, session) => {
        seen.ups.push(session);
        return undefined;
      },
      onSessionDown: (_host, why) => void seen.downs.push(why),
      onHeartbeat: (_host, { sequence }) => void seen.beats.push(sequence),
      onProgress: () => {},
      async onLog(_host, { lines, first, dropped }) {
        seen.lines.push(...lines);
        seen.dropped += Number(dropped);
        return first + BigInt(lines.length);
      },
      onOdd: (_peer, what) => void seen.odd.push(what),
      ...core,
    },
  });
  const clients: AgentServiceClient[] = [];
  t.after(async () => {
    for (const client of clients) client.close();
    await server.close();
  });
  const secure = credentials.createSsl(Buffer.from(tls.certPem), null, null, { checkServerIdentity: () => undefined });
  return {
    server,
    seen,
    client: () => {
      const client = new AgentServiceClient(server.bound[0]!, secure, {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.ssl_target_name_override': 'nixie',
      });
      clients.push(client);
      return client;
    },
  };
}

/** An agent's side of one session, by hand. */
class Peer {
  readonly stream: ClientDuplexStream<SessionRequest, SessionResponse>;
  readonly ended: Promise<{ code: status; details: string }>;
  readonly instructions: Instruction[] = [];
  acks = 0n;
  readonly logAcks: bigint[] = [];

  constructor(client: AgentServiceClient, bearer?: string) {
    const metadata = new Metadata();
    if (bearer !== undefined) metadata.set('authorization', `Bearer ${bearer}`);
    this.stream = client.session(metadata);
    this.ended = new Promise((resolve) => {
      this.stream.on('error', ({ code, details }: ServiceError) => resolve({ code, details }));
      this.stream.on('end', () => resolve({ code: status.OK, details: '' }));
    });
    this.stream.on('data', ({ message }: SessionResponse) => {
      if (message?.$case === 'instruction') this.instructions.push(message.value);
      if (message?.$case === 'ack') this.acks = message.value.sequence;
      if (message?.$case === 'log') this.logAcks.push(message.value.next);
    });
  }

  say(message: SessionRequest['message']): void {
    this.stream.write({ message });
  }
}

function agent(host = 'm1', bootId = 'boot-1') {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const about: Credential = {
    host,
    mac: '52:54:00:00:00:01' as Mac,
    bootId,
    agentKey: pair.publicKey.export({ type: 'spki', format: 'der' }),
  };
  const bearer = makeCredential(tls.credentialSecret, about);
  const hello = (
    over: { key?: typeof pair.privateKey; bootId?: string; bearer?: string } = {},
  ): SessionRequest['message'] => ({
    $case: 'hello',
    value: {
      bootId: over.bootId ?? bootId,
      address: '10.0.0.9',
      unixMs: 5n,
      signature: sign(
        'sha256',
        helloText(over.bearer ?? bearer, over.bootId ?? bootId, 5n),
        over.key ?? pair.privateKey,
      ),
    },
  });
  return { bearer, hello };
}

const beat = (sequence: bigint): SessionRequest['message'] => ({
  $case: 'heartbeat',
  value: { sequence, uptimeMs: 1n, memoryAvailableBytes: 1n },
});

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < end, `waited for ${holds}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a refused registration has its code and its sentence; a core that throws stops nobody', async (t) => {
  let broken = false;
  const { client, seen } = await open(t, {
    onRegister: () => {
      if (broken) throw new Error('secret path /x');
      return { refused: 'denied', why: 'token is used' };
    },
  });
  const ask = () =>
    new Promise<ServiceError | null>((resolve) =>
      client().register(RegisterRequest.fromPartial({ token: 'x' }), (error) => resolve(error)),
    );
  const refused = await ask();
  assert.deepEqual([refused?.code, refused?.details], [status.PERMISSION_DENIED, 'token is used']);
  broken = true;
  const failed = await ask();
  assert.equal(failed?.code, status.INTERNAL);
  assert.ok(!failed?.details.includes('/x'));
  assert.deepEqual(seen.odd, ['register: secret path /x']);
});

/** Whatever it ends in: of the last letter but three all bits count, in base64 of any length. */
function otherEnd(text: string): string {
  return `${text.slice(0, -4)}${text.at(-4) === 'A' ? 'B' : 'A'}${text.slice(-3)}`;
}

test('only the key that registered opens a session', async (t) => {
  const { client, seen, server } = await open(t);
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { bearer, hello } = agent();
  const rsaBearer = makeCredential(tls.credentialSecret, {
    host: 'm1',
    mac: '52:54:00:00:00:01' as Mac,
    bootId: 'boot-1',
    agentKey: rsa.publicKey.export({ type: 'spki', format: 'der' }),
  });
  for (const [bears, says, code] of [
    [undefined, hello(), status.UNAUTHENTICATED],
    ['nonsense', hello(), status.UNAUTHENTICATED],
    [otherEnd(bearer), hello(), status.UNAUTHENTICATED],
    [bearer, hello({ key: stranger }), status.UNAUTHENTICATED],
    [bearer, hello({ bootId: 'boot-2' }), status.UNAUTHENTICATED],
    [bearer, hello({ bearer: 'other' }), status.UNAUTHENTICATED],
    [rsaBearer, hello({ key: rsa.privateKey, bearer: rsaBearer }), status.UNAUTHENTICATED],
    [bearer, beat(1n), status.INVALID_ARGUMENT],
    [bearer, undefined, status.INVALID_ARGUMENT],
  ] as const) {
    const peer = new Peer(client(), bears);
    peer.say(says);
    assert.equal((await peer.ended).code, code);
  }
  assert.deepEqual([seen.ups, seen.downs, server.sessions()], [[], [], []]);

  const good = new Peer(client(), bearer);
  good.say(hello());
  good.say(beat(1n));
  await until(() => good.acks === 1n);
  assert.deepEqual(server.sessions(), ['m1']);
  assert.equal(seen.ups[0]!.address, '10.0.0.9');
  good.say(hello());
  assert.equal((await good.ended).code, status.INVALID_ARGUMENT);
  assert.deepEqual(seen.downs, ['a second hello']);
});

test('a stream that says nothing is ended', async (t) => {
  const { client } = await open(t, {}, { helloMs: 50 });
  assert.equal((await new Peer(client()).ended).code, status.DEADLINE_EXCEEDED);
});

test('of too many streams a silent one is ended, and no session', async (t) => {
  const { client, server } = await open(t, {}, { mostSessions: 2 });
  const { bearer, hello } = agent();
  const good = new Peer(client(), bearer);
  good.say(hello());
  await until(() => server.sessions().length === 1);
  const silent = [new Peer(client()), new Peer(client())];
  assert.equal((await Promise.race(silent.map(({ ended }) => ended))).code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(server.sessions(), ['m1']);
});

test('strangers that say nothing keep no agent out, and no agent gives way to them', async (t) => {
  const { client, server } = await open(t, {}, { mostSessions: 3 });
  const one = agent('m1');
  const first = new Peer(client(), one.bearer);
  first.say(one.hello());
  await until(() => server.sessions().length === 1);
  let sentAway = 0;
  for (let i = 0; i < 6; i++) void new Peer(client()).ended.then(() => sentAway++);
  await until(() => sentAway === 4);
  const two = agent('m2');
  const second = new Peer(client(), two.bearer);
  second.say(two.hello());
  second.say(beat(7n));
  await Promise.race([until(() => second.acks === 7n), second.ended.then(({ details }) => assert.fail(details))]);
  assert.deepEqual(server.sessions(), ['m1', 'm2']);
});

test('a newer session takes over without a gap, unless the core refuses it', async (t) => {
  let refuse = false;
  const { client, seen, server } = await open(t, {
    onSessionUp: (_host, session) => {
      seen.ups.push(session);
      return refuse ? { refused: 'denied', why: 'an install is running from another boot' } : undefined;
    },
  });
  const first = agent();
  const one = new Peer(client(), first.bearer);
  one.say(first.hello());
  await until(() => seen.ups.length === 1);
  const two = new Peer(client(), first.bearer);
  two.say(first.hello());
  assert.equal((await one.ended).code, status.ABORTED);
  assert.deepEqual(seen.ups[1]!.replaces?.place, seen.ups[0]!.place);
  assert.deepEqual(seen.downs, []);
  refuse = true;
  const other = agent('m1', 'boot-2');
  const three = new Peer(client(), other.bearer);
  three.say(other.hello());
  assert.equal((await three.ended).code, status.PERMISSION_DENIED);
  assert.deepEqual([server.sessions(), seen.downs], [['m1'], []]);
  two.say(beat(7n));
  await until(() => two.acks === 7n);
});

test('instructions wait for a session, survive a reconnect under one id, and never reach another boot', async (t) => {
  const { client, server } = await open(t);
  const first = agent();
  const answer = server.instruct('m1', { $case: 'inspect', value: {} }, 60_000);
  const one = new Peer(client(), first.bearer);
  one.say(first.hello());
  await until(() => one.instructions.length === 1);
  one.stream.cancel();
  await until(() => server.sessions().length === 0);
  const two = new Peer(client(), first.bearer);
  two.say(first.hello());
  await until(() => two.instructions.length === 1);
  assert.equal(two.instructions[0]!.id, one.instructions[0]!.id);

  // Another machine can't answer for it.
  const foreign = agent('m2');
  const liar = new Peer(client(), foreign.bearer);
  liar.say(foreign.hello());
  liar.say({ $case: 'result', value: { id: two.instructions[0]!.id, ok: false, error: 'lie', inventory: undefined } });
  liar.say(beat(1n));
  await until(() => liar.acks === 1n);
  two.say({ $case: 'result', value: { id: two.instructions[0]!.id, ok: true, error: '', inventory: undefined } });
  assert.equal((await answer).ok, true);

  const reboot = assert.rejects(
    server.instruct('m1', { $case: 'reboot', value: { delayMs: 0 } }, 60_000),
    /the machine was rebooted meanwhile/,
  );
  await until(() => two.instructions.length === 2);
  const rebooted = agent('m1', 'boot-2');
  const three = new Peer(client(), rebooted.bearer);
  three.say(rebooted.hello());
  three.say(beat(1n));
  await reboot;
  await until(() => three.acks === 1n);
  assert.deepEqual(three.instructions, []);

  await assert.rejects(server.instruct('m1', { $case: 'abort', value: {} }, 30), /abort: no answer within 30 ms/);
  const waiting = Array.from({ length: 16 }, () => server.instruct('m9', { $case: 'abort', value: {} }, 60_000));
  await assert.rejects(server.instruct('m9', { $case: 'abort', value: {} }, 60_000), /16 instructions are waiting/);
  const closed = waiting.map((each) => assert.rejects(each, /the controller is closing/));
  await server.close();
  await Promise.all(closed);
});

test('log batches are bounded and cleaned whatever the agent sends', async (t) => {
  const { client, seen } = await open(t);
  const { bearer, hello } = agent();
  const peer = new Peer(client(), bearer);
  peer.say(hello());
  const line = { unixMs: 1n, source: 'x\x1b[31m', text: `\x1b[2J${'y'.repeat(9000)}\n`, severity: 99 };
  const batch = (first: bigint, count: number, text = line.text) => ({
    first,
    lines: Array.from({ length: count }, () => ({ ...line, text })),
    dropped: 2n,
    stream: 9n,
    unixMs: 5n,
  });
  peer.say({ $case: 'log', value: batch(0n, 300) });
  peer.say({ $case: 'log', value: batch(300n, 600, 'z') });
  await until(() => peer.logAcks.length === 2);
  assert.equal(seen.lines.length, 800);
  // What didn't fit was not taken.
  assert.deepEqual(peer.logAcks, [300n, 800n]);
  assert.deepEqual(
    [seen.lines[0]!.source, seen.lines[0]!.text.length, seen.lines[0]!.severity],
    ['x', 8192, undefined],
  );
});

test('a core that throws in a stream ends that stream only', async (t) => {
  const { client, seen, server } = await open(t, {
    onProgress: () => {
      throw new Error('odd');
    },
  });
  const [one, two] = [agent('m1'), agent('m2')];
  const [peer, other] = [new Peer(client(), one.bearer), new Peer(client(), two.bearer)];
  peer.say(one.hello());
  other.say(two.hello());
  await until(() => server.sessions().length === 2);
  peer.say({ $case: 'progress', value: { stage: 'copy', doneBytes: 1n, totalBytes: undefined, note: '', step: '' } });
  assert.equal((await peer.ended).code, status.INTERNAL);
  other.say(beat(3n));
  await until(() => other.acks === 3n);
  assert.match(seen.odd[0]!, /session of m1: odd/);
});

test('a message of more than 4 MiB is refused', async (t) => {
  const { client, server } = await open(t);
  const { bearer, hello } = agent();
  const peer = new Peer(client(), bearer);
  peer.say(hello());
  await until(() => server.sessions().length === 1);
  peer.say({
    $case: 'progress',
    value: { stage: 'x'.repeat(5 << 20), doneBytes: 0n, totalBytes: undefined, note: '', step: '' },
  });
  assert.equal((await peer.ended).code, status.RESOURCE_EXHAUSTED);
  await until(() => server.sessions().length === 0);
});

test('bytes that are no message end only the stream they came on', async (t) => {
  const { client, server } = await open(t);
  const { bearer } = agent();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), async (noise) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${bearer}`);
      const stream = client().makeBidiStreamRequest(
        '/nixie.v1.AgentService/Session',
        (value: Uint8Array) => Buffer.from(value),
        (value: Buffer) => value,
        metadata,
      );
      const ended = new Promise<number>((resolve) => stream.on('error', ({ code }: ServiceError) => resolve(code)));
      stream.resume();
      stream.write(noise);
      assert.notEqual(await ended, status.OK);
    }),
    { numRuns: 20 },
  );
  assert.deepEqual(server.sessions(), []);
});

test('an address that is not ours is a clear error', async () => {
  const core = {} as AgentCore;
  await assert.rejects(
    startAgentServer({ addresses: ['127.0.0.1', '192.0.2.77'], port: 0, tls, core }),
    /listen for agents on 192\.0\.2\.77:\d+/,
  );
});
