// Both ends of the link in one process, over real TLS and gRPC. It is long because each way to be an impostor, and each way to break, has its test.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { connect as tlsConnect, createServer as tlsServer } from 'node:tls';
import { Metadata, status } from '@grpc/grpc-js';
import { PinnedCredentials } from '@nixie/proto/pinned';
import { type BootPlan, type RelayInterface, RelayServiceClient, SeenOne } from '@nixie/proto/relay';
import { NotLooked } from '../core/place.ts';
import { Places } from '../listen/relay-carry.ts';
import { bytesToFetch } from '../listen/relay-fetch.ts';
import type { RelaySession, RelayWord } from '../listen/relay-session.ts';
import { type RelayDoor, startRelayDoor } from '../listen/relays.ts';
import type { Mac } from '../machine/mac.ts';
import type { JoinToken } from '../machine/relay.ts';
import { keepRelayToken, RelayShelf, revokeRelayToken, secretHashOf } from '../store/relays.ts';
import { type ControllerTls, makeTls } from '../store/tls.ts';
import { channelOptions, type FetchFailed, type Link, type LinkDown, type LinkEvents, openLink } from './link.ts';

const tls = await makeTls();
const file = randomBytes(3 << 20);
const fileHash = createHash('sha256').update(file).digest('hex');
const waitMs = 60_000;

/** Until it holds; every wait of these tests has this end. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + waitMs; !holds(); ) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

interface Controller {
  readonly door: RelayDoor;
  readonly stateDir: string;
  readonly shelf: RelayShelf;
  readonly words: RelayWord[];
  readonly refusals: string[];
  readonly odd: string[];
  readonly places: Places;
  token(name: string): JoinToken;
}

async function controller(
  t: TestContext,
  given: { stateDir?: string; agentPort?: number; tls?: ControllerTls; aliveMs?: number } = {},
): Promise<Controller> {
  const stateDir = given.stateDir ?? mkdtempSync(join(tmpdir(), 'relay-'));
  const [words, refusals, odd]: [RelayWord[], string[], string[]] = [[], [], []];
  const shelf = new RelayShelf(stateDir, (text) => odd.push(text));
  const places = new Places();
  const door = await startRelayDoor({
    addresses: ['127.0.0.1'],
    port: 0,
    tls: given.tls ?? tls,
    version: 'test',
    places,
    agentPort: () => given.agentPort,
    fetch: async (relay, what) =>
      relay === 'rack7' && what.$case === 'sha256' && what.value === fileHash ? bytesToFetch(file) : undefined,
    ticks: () => performance.now(),
    // So patient that a pause of this whole computer makes no link a silent one.
    aliveMs: given.aliveMs ?? waitMs,
    lookMs: 20,
    desk: {
      admit(name, secret, key) {
        const verdict = shelf.admit(name, secret, key);
        return verdict === 'ok' ? 'ok' : { why: verdict };
      },
      isRevoked(session) {
        shelf.refresh();
        return !shelf.holds(session.name, secretHashOf(session.secret));
      },
      up: () => {},
      down: () => {},
      word: (_session, word) => words.push(word),
      refused: (name, _peer, why) => refusals.push(`${name}: ${why}`),
      odd: (about, what) => odd.push(`${about}: ${what}`),
    },
  });
  t.after(async () => {
    await door.close();
    if (given.stateDir === undefined) rmSync(stateDir, { recursive: true, force: true });
  });
  return {
    door,
    stateDir,
    shelf,
    words,
    refusals,
    odd,
    places,
    token(name) {
      const secret = randomBytes(32);
      const url = `https://127.0.0.1:${door.port}`;
      keepRelayToken(stateDir, { name, url, madeAt: Date.now() }, secret);
      return { name, url, fingerprint: (given.tls ?? tls).fingerprint, secret };
    },
  };
}

const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
const lan: RelayInterface = { name: 'lan0', address: '127.0.0.2', prefixLength: 8, mtu: 1500 };

interface Relay {
  readonly link: Link;
  readonly downs: LinkDown[];
  readonly plans: BootPlan[];
}

function relay(
  t: TestContext,
  token: JoinToken,
  port: number,
  given: Partial<LinkEvents> & { key?: KeyObject; life?: string } = {},
): Relay {
  const [downs, plans]: [LinkDown[], BootPlan[]] = [[], []];
  const link = openLink({
    endpoint: { host: '127.0.0.1', port },
    token,
    key: given.key ?? newKey(),
    version: 'test',
    life: given.life ?? randomBytes(8).toString('hex'),
    interfaces: () => [lan],
    random: Math.random,
    pauses: { least: 10, most: 50 },
    onUp: () => {},
    onDown: (down) => void downs.push(down),
    onPlan: (plan) => void plans.push(plan),
    onFind: async (macs) => macs.map((_, i) => `10.0.0.${i + 1}`),
    onWake: async () => ({ sent: 3, failures: [] }),
    ...given,
  });
  t.after(() => link.close());
  return { link, downs, plans };
}

const emptyPlan: BootPlan = {
  version: 7n,
  fingerprint: tls.fingerprint,
  httpPort: 7480,
  agentPort: 7481,
  interfaces: [],
  machines: [],
  installers: [],
  loaders: [],
  ahead: [],
  cacheKey: '',
  loads: 0,
};

/** A cable between both ends, that can be cut, or led to another port. */
async function cable(
  t: TestContext,
  first: number,
): Promise<{ port: number; cut(): void; mend(): void; silence(): void; lead(to: number): void }> {
  const pairs = new Set<[Socket, Socket]>();
  let whole = true;
  let to = first;
  const server = createServer((near) => {
    if (!whole) return near.destroy();
    const far = connect({ host: '127.0.0.1', port: to });
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    for (const each of pair) {
      each.on('error', () => {});
      each.on('close', () => {
        pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  const port = await listening(t, server);
  t.after(() => {
    for (const pair of pairs) for (const each of pair) each.destroy();
  });
  return {
    port,
    cut() {
      whole = false;
      for (const pair of pairs) for (const each of pair) each.destroy();
    },
    mend() {
      whole = true;
    },
    silence() {
      for (const pair of pairs) for (const each of pair) each.unpipe().pause();
    },
    lead(other) {
      to = other;
    },
  };
}

async function listening(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

test('a relay joins, takes plans, finds and wakes, and is heard', async (t) => {
  const here = await controller(t);
  const { link, plans } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up && here.door.link('rack7') !== undefined, 'linked');
  const session = here.door.link('rack7')!;
  assert.deepEqual(
    session.interfaces.map(({ name, address }) => [name, address]),
    [['lan0', '127.0.0.2']],
  );
  session.sendPlan(emptyPlan);
  assert.equal(session.busy, true);
  await until(() => !session.busy, 'the plan leaves');
  await until(() => plans.length === 1, 'the plan');
  assert.equal(plans[0]!.version, 7n);
  const mac = '52:54:00:00:00:01' as Mac;
  assert.deepEqual(await session.find([mac], waitMs), ['10.0.0.1']);
  assert.deepEqual(await session.wake(mac, waitMs), { sent: 3, failures: [] });
  link.say({ $case: 'planTaken', value: 7n });
  link.say({
    $case: 'script',
    value: { machine: 'm', mac, token: 't', address: '10.0.0.1', unixMs: 1n, verdict: 'installer' },
  });
  await until(() => here.words.length === 2, 'both words');
  assert.deepEqual(here.words.map(({ $case }) => $case).sort(), ['planTaken', 'script']);
});

test('a search that nobody answers, or that failed, finds nobody and says so', async (t) => {
  const here = await controller(t);
  let answer = (): Promise<string[]> => new Promise(() => {});
  const { link } = relay(t, here.token('rack7'), here.door.port, { onFind: () => answer() });
  await until(() => here.door.link('rack7') !== undefined, 'linked');
  const session = here.door.link('rack7')!;
  const find = (waitFor = waitMs) => session.find(['52:54:00:00:00:01' as Mac], waitFor);
  await assert.rejects(find(20), /^NotLooked: relay rack7 did not say within 0\.02 s who is there/);
  answer = async () => {
    throw new Error('lan0: ask 10.0.0.0/24: send ENETDOWN');
  };
  await assert.rejects(find(), /^NotLooked: relay rack7 could not look: lan0: ask 10\.0\.0\.0\/24: send ENETDOWN/);
  answer = async () => [];
  assert.deepEqual(await find(), []);
  answer = () => new Promise(() => {});
  const under = assert.rejects(find(), /^NotLooked: the link of relay rack7 was lost/);
  await link.close();
  await under;
  await assert.rejects(find(), NotLooked);
});

test('what a relay says that it found goes to ssh and a shell: only addresses are taken', async (t) => {
  const here = await controller(t);
  const said = ['$(id)', '10.0.0.7', '-oProxyCommand=id', '10.0.0.7;id', '10.0.0.07', '', 'rack7', '10.0.0.8'];
  relay(t, here.token('rack7'), here.door.port, { onFind: async () => said });
  await until(() => here.door.link('rack7') !== undefined, 'linked');
  const found = await here.door.link('rack7')!.find(['52:54:00:00:00:01' as Mac], waitMs);
  assert.deepEqual(
    found.filter((each) => !/^10\.0\.0\.0?[78]$/.test(each)),
    [],
  );
  assert.ok(found.includes('10.0.0.7') && found.includes('10.0.0.8'));
});

test('who is revoked gets no more of what it has begun to fetch', async (t) => {
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up && here.door.link('rack7') !== undefined, 'linked');
  // One that keeps its connection whatever it is told.
  const credentials = new PinnedCredentials(tls.fingerprint);
  const client = new RelayServiceClient(`127.0.0.1:${here.door.port}`, credentials, channelOptions);
  t.after(() => client.close());
  const credential = new Metadata();
  credential.set('authorization', `Bearer ${here.door.link('rack7')!.credential}`);
  const call = client.fetch({ what: { $case: 'sha256', value: fileHash }, offset: 0n }, credential);
  let bytes = 0;
  let code: number | undefined;
  call.on('data', ({ data }: { data: Uint8Array }) => {
    bytes += data.length;
    if (bytes > 0 && code === undefined) call.pause();
  });
  call.on('error', (error: { code?: number }) => {
    code = error.code;
  });
  call.on('end', () => {
    code ??= status.OK;
  });
  await until(() => bytes > 0, 'the first piece');
  revokeRelayToken(here.stateDir, 'rack7', Date.now());
  await until(() => here.door.link('rack7') === undefined, 'it is ended');
  const reading = setInterval(() => call.resume(), 1);
  t.after(() => clearInterval(reading));
  await until(() => code !== undefined, 'its end');
  assert.equal(code, status.UNAUTHENTICATED);
});

test('a file is fetched from any offset, and only by one that may', async (t) => {
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await assert.rejects(link.fetch({ $case: 'sha256', value: fileHash }, 0), { kind: 'link' });
  await until(() => link.up, 'linked');
  for (const offset of [0, 1, 70_000, file.length - 1, file.length]) {
    const got = await link.fetch({ $case: 'sha256', value: fileHash }, offset);
    assert.equal(got.totalBytes, file.length);
    const pieces: Uint8Array[] = [];
    for await (const piece of got.body) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(file.subarray(offset)), `from ${offset}`);
  }
  const absent = (error: FetchFailed) => error.kind === 'absent';
  await assert.rejects(link.fetch({ $case: 'sha256', value: '0'.repeat(64) }, 0), absent);
  await assert.rejects(link.fetch({ $case: 'sha256', value: fileHash }, file.length + 1), absent);
  const stop = new AbortController();
  const slow = await link.fetch({ $case: 'sha256', value: fileHash }, 0, stop.signal);
  await assert.rejects(async () => {
    for await (const _ of slow.body) stop.abort();
  });
  const other = relay(t, here.token('rack8'), here.door.port);
  await until(() => other.link.up, 'the other');
  await assert.rejects(other.link.fetch({ $case: 'sha256', value: fileHash }, 0), absent);
});

test('impostors are refused and told of', async (t) => {
  const here = await controller(t);
  const token = here.token('rack7');
  const refused = async (given: JoinToken, key?: KeyObject) => {
    const { link, downs } = relay(t, given, here.door.port, key === undefined ? {} : { key });
    await until(() => downs.length > 0, 'a refusal');
    await link.close();
    return downs[0]!;
  };
  const wrong = await refused({ ...token, secret: randomBytes(32) });
  assert.equal(wrong.kind, 'refused');
  assert.ok(!wrong.why.includes('secret'), 'who asks is not told what was wrong');
  assert.equal((await refused({ ...token, name: 'rack9' })).kind, 'refused');

  const key = newKey();
  const right = relay(t, token, here.door.port, { key });
  await until(() => right.link.up, 'the right one');
  await right.link.close();
  // A token that was copied: another program has another key.
  assert.equal((await refused(token)).kind, 'refused');
  assert.ok(revokeRelayToken(here.stateDir, 'rack7', 1));
  assert.equal((await refused(token, key)).kind, 'refused');
  const told = [...new Set(here.refusals)];
  assert.deepEqual(told, ['rack7: wrong-secret', 'rack9: unknown', 'rack7: other-key', 'rack7: revoked']);
  assert.equal(here.door.link('rack7'), undefined);
});

test('a revoked token ends the link at once', async (t) => {
  const here = await controller(t);
  const { link, downs } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up, 'linked');
  revokeRelayToken(here.stateDir, 'rack7', 1);
  await until(() => downs.length > 0, 'the end');
  assert.deepEqual([downs[0]!.kind, downs[0]!.wasUp], ['refused', true]);
  assert.match(downs[0]!.why, /revoked/);
});

test('a new token of a name locks out the old one, and may be used by another key', async (t) => {
  const here = await controller(t);
  const first = relay(t, here.token('rack7'), here.door.port);
  await until(() => first.link.up, 'the first');
  const second = relay(t, here.token('rack7'), here.door.port);
  await until(() => second.link.up && !first.link.up, 'the second in its place');
});

test('the man in the middle with a certificate of his own hears nothing', async (t) => {
  const his = await makeTls();
  let heard = 0;
  let hands = 0;
  const server = tlsServer({ cert: his.certPem, key: his.keyPem, ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('data', (bytes) => {
      heard += bytes.length;
    });
    socket.on('error', () => {});
  });
  server.on('connection', () => hands++);
  const port = await listening(t, server);
  const here = await controller(t);
  const { link, downs } = relay(t, here.token('rack7'), port);
  await until(() => downs.length >= 2, 'two attempts');
  await link.close();
  assert.equal(downs[0]!.kind, 'impostor');
  assert.match(downs[0]!.why, /fingerprint/);
  assert.ok(hands > 0);
  assert.equal(heard, 0);
});

test('one who steps in between later is refused as well, and the right one is found again', async (t) => {
  const here = await controller(t);
  const his = await makeTls();
  const false_ = await controller(t, { tls: his });
  let to = here.door.port;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port: to });
    for (const each of [near, far]) {
      open.add(each.on('error', () => {}));
      each.on('close', () => [near, far].forEach((other) => void other.destroy()));
    }
    near.pipe(far).pipe(near);
  });
  const port = await listening(t, server);
  const { link, downs } = relay(t, here.token('rack7'), port);
  await until(() => link.up, 'linked');
  to = false_.door.port;
  for (const each of open) each.destroy();
  await until(() => downs.some(({ kind }) => kind === 'impostor'), 'the impostor was seen');
  assert.equal(false_.door.link('rack7'), undefined);
  assert.deepEqual(false_.refusals, []);
  to = here.door.port;
  await until(() => link.up, 'linked again');
});

test('of two live relays with one name the first stays', async (t) => {
  const here = await controller(t);
  const token = here.token('rack7');
  const key = newKey();
  const first = relay(t, token, here.door.port, { key });
  await until(() => first.link.up, 'the first');
  const before = here.door.link('rack7');
  const second = relay(t, token, here.door.port, { key });
  await until(() => second.downs.length > 0, 'the second is refused');
  assert.equal(second.downs[0]!.kind, 'refused');
  assert.match(second.downs[0]!.why, /linked already/);
  assert.ok(here.refusals.some((each) => each.includes('two relays use one token')));
  assert.equal(here.door.link('rack7'), before);
});

test('of two relays with one name a silent one gives way', async (t) => {
  const here = await controller(t, { aliveMs: 300 });
  const token = here.token('rack7');
  const key = newKey();
  const wire = await cable(t, here.door.port);
  const first = relay(t, token, wire.port, { key });
  await until(() => first.link.up && here.door.link('rack7') !== undefined, 'the first');
  const before = here.door.link('rack7');
  wire.silence();
  const second = relay(t, token, here.door.port, { key });
  await until(() => second.link.up, 'the second takes over');
  assert.notEqual(here.door.link('rack7'), before);
});

test('what was seen while the uplink was cut arrives afterwards, once and in order', async (t) => {
  const here = await controller(t);
  const wire = await cable(t, here.door.port);
  const { link, downs } = relay(t, here.token('rack7'), wire.port);
  await until(() => link.up, 'linked');
  const script = (n: number) =>
    link.say({
      $case: 'script',
      value: { machine: `m${n}`, mac: '', token: '', address: '', unixMs: BigInt(n), verdict: 'installer' },
    });
  for (let n = 0; n < 50; n++) {
    script(n);
    // Some are under way when it is cut.
    if (n % 10 === 5) wire.cut();
    if (n % 10 === 8) {
      wire.mend();
      await until(() => link.up, 'linked again');
    }
  }
  wire.mend();
  const names = () => here.words.flatMap((word) => (word.$case === 'script' ? [word.value.machine] : []));
  await until(() => names().length >= 50, 'all arrived');
  assert.deepEqual(
    names(),
    Array.from({ length: 50 }, (_, n) => `m${n}`),
  );
  assert.ok(downs.some(({ kind, wasUp }) => kind === 'lost' && wasUp));
  assert.equal(link.dropped, 0);
});

test('a controller that starts anew is found again, with another plan', async (t) => {
  const first = await controller(t);
  const wire = await cable(t, first.door.port);
  const { link } = relay(t, first.token('rack7'), wire.port);
  await until(() => link.up, 'linked');
  await first.door.close();
  await until(() => !link.up, 'gone');
  const again = await controller(t, { stateDir: first.stateDir });
  wire.lead(again.door.port);
  await until(() => again.door.link('rack7') !== undefined, 'linked to the other');
});

/** Counts and answers: what it has heard in all, once the other side has said all. */
function digestServer(): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    socket.on('error', () => {});
    socket.on('data', (bytes) => hash.update(bytes));
    socket.on('end', () => socket.end(`digest ${hash.digest('hex')}`));
  });
}

async function answerOf(socket: Socket): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

test('a machine reaches the agent door with its own place, half-close and all', async (t) => {
  const peers: string[] = [];
  const agents = digestServer();
  agents.on('connection', (socket: Socket) => peers.push(`127.0.0.1:${socket.remotePort}`));
  const agentPort = await listening(t, agents);
  const here = await controller(t, { agentPort });
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up, 'linked');
  const mac = '52:54:00:00:00:01';
  const front = createServer({ allowHalfOpen: true }, (socket) =>
    link.carryMachine(socket, { address: '127.0.0.9', port: socket.remotePort!, mac, interface: 'lan0' }),
  );
  const port = await listening(t, front);

  const small = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  small.write('hello');
  await until(() => peers.length === 1 && here.places.size === 1, 'it is through');
  const place = here.places.of(peers[0]!);
  assert.deepEqual(
    { ...place, port: undefined },
    { relay: 'rack7', address: '127.0.0.9', mac, interface: 'lan0', port: undefined },
  );
  assert.equal(here.places.of('127.0.0.1:1').relay, '?');
  assert.equal(here.places.of('10.0.0.7:4711').relay, undefined);
  small.end();
  assert.equal(await answerOf(small), `digest ${createHash('sha256').update('hello').digest('hex')}`);
  await until(() => here.places.size === 0, 'its place is forgotten');

  const gone = connect({ host: '127.0.0.1', port });
  gone.on('error', () => {});
  gone.write('x');
  await until(() => here.places.size === 1, 'the next');
  gone.resetAndDestroy();
  await until(() => here.places.size === 0, 'a reset goes through');
  await until(() => link.connections === 0, 'and nothing is left');
});

test('a relay passes on nobody from outside its subnets', async (t) => {
  const agents = digestServer();
  const here = await controller(t, { agentPort: await listening(t, agents) });
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up, 'linked');
  const front = createServer({ allowHalfOpen: true }, (socket) =>
    link.carryMachine(socket, { address: '10.9.9.9', port: 1, mac: '', interface: '' }),
  );
  const socket = connect({ host: '127.0.0.1', port: await listening(t, front) });
  await assert.rejects(answerOf(socket), { code: 'ECONNRESET' });
  assert.match(here.odd.join(), /10\.9\.9\.9/);
});

test('100 MB go both ways at once, and nothing piles up at a slow reader', { timeout: 600_000 }, async (t) => {
  const size = 100 << 20;
  const piece = randomBytes(1 << 20);
  const wanted = createHash('sha256');
  for (let i = 0; i < size >> 20; i++) wanted.update(piece);
  const want = wanted.digest('hex');
  const flood = async (socket: Socket) => {
    for (let i = 0; i < size >> 20; i++)
      if (!socket.write(piece)) await new Promise<void>((resolve) => void socket.once('drain', resolve));
    socket.end();
  };
  const digestOf = async (socket: Socket) => {
    const hash = createHash('sha256');
    for await (const bytes of socket) hash.update(bytes as Buffer);
    return hash.digest('hex');
  };
  const far: Socket[] = [];
  const machine = createServer({ allowHalfOpen: true }, (socket) => void far.push(socket));
  const port = await listening(t, machine);
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => here.door.link('rack7') !== undefined && link.up, 'linked');
  const near = Promise.withResolvers<Socket>();
  const middle = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => near.resolve(socket));
  const local = connect({ host: '127.0.0.1', port: await listening(t, middle), allowHalfOpen: true });
  const inner = await near.promise;
  await here.door.carry.connect(here.door.link('rack7')!, { address: '127.0.0.1', port }, () => inner);
  await until(() => far.length === 1, 'the machine is reached');

  // Nobody reads at the machine yet: what has been taken from us stays far below what we want to send.
  const sending = flood(local);
  let last = -1;
  let still = 0;
  await until(() => {
    const taken = local.bytesWritten - local.writableLength;
    still = taken === last ? still + 1 : 0;
    last = taken;
    return still > 20 && last > 0;
  }, 'it stands still');
  // Bytes, and not memory: what is free but not collected yet counts there as well.
  assert.ok(last < 32 << 20, `${last} bytes were taken`);

  const [there, back] = await Promise.all([digestOf(far[0]!), digestOf(local), sending, flood(far[0]!)]);
  assert.equal(there, want);
  assert.equal(back, want);
  await until(() => link.connections === 0, 'both ends are closed');
});

test('the relay connects inside its subnets only, says why not, and never to itself', async (t) => {
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => here.door.link('rack7') !== undefined && link.up, 'linked');
  const never = () => assert.fail('it was opened');
  const to = (address: string, port: number) =>
    here.door.carry.connect(here.door.link('rack7')!, { address, port }, never);
  await assert.rejects(to('10.0.0.1', 22), /none of the relay's subnets/);
  await assert.rejects(to('127.0.0.2', 22), /the relay itself/);
  await assert.rejects(to('127.0.0.1', 1), /ECONNREFUSED/);
});

test('Carry and Fetch need a credential of a link that lives', async (t) => {
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => here.door.link('rack7') !== undefined, 'linked');
  const session = here.door.link('rack7') as RelaySession;
  const { RelayServiceClient } = await import('@nixie/proto/relay');
  const { Metadata } = await import('@grpc/grpc-js');
  const client = new RelayServiceClient(`127.0.0.1:${here.door.port}`, new PinnedCredentials(tls.fingerprint));
  t.after(() => client.close());
  const fetched = (credential: string) =>
    new Promise<number | 'ok'>((resolve) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${credential}`);
      const call = client.fetch({ what: { $case: 'sha256', value: fileHash }, offset: BigInt(file.length) }, metadata);
      call.on('data', () => {});
      call.on('end', () => resolve('ok'));
      call.on('error', (error: Error & { code: number }) => resolve(error.code));
    });
  assert.equal(await fetched(session.credential), 'ok');
  assert.equal(await fetched('x'.repeat(43)), 16);
  await link.close();
  await until(() => here.door.link('rack7') === undefined, 'gone');
  assert.equal(await fetched(session.credential), 16);
});

test('one address can keep a few silent links open, and no others out', async (t) => {
  const here = await controller(t);
  const { RelayServiceClient } = await import('@nixie/proto/relay');
  const client = new RelayServiceClient(`127.0.0.1:${here.door.port}`, new PinnedCredentials(tls.fingerprint));
  t.after(() => client.close());
  const codes: number[] = [];
  let challenged = 0;
  const silent = Array.from({ length: 10 }, () => {
    const call = client.link();
    call.on('data', () => void challenged++);
    call.on('error', (error: Error & { code: number }) => codes.push(error.code));
    return call;
  });
  await until(() => codes.length === 2 && challenged === 8, 'eight are asked, two refused');
  assert.deepEqual(codes, [8, 8]);
  for (const call of silent) call.cancel();
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up, 'linked when they have gone');
});

test('strange bytes at the door harm nobody', async (t) => {
  const here = await controller(t);
  const socket = tlsConnect({
    host: '127.0.0.1',
    port: here.door.port,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up, 'linked nevertheless');
  socket.destroy();
});

test('what a relay says faster than it is taken waits, and all of it arrives', async (t) => {
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up && here.door.link('rack7') !== undefined, 'linked');
  const session = here.door.link('rack7')!;
  const scripts = 2150;
  const began = performance.now();
  for (let n = 0; n < scripts; n++) {
    const value = { machine: `m${n}`, mac: '', token: `t${n}`, address: '', unixMs: 1n, verdict: 'installer' };
    link.say({ $case: 'script', value });
  }
  await until(() => here.words.length > 1000, 'some');
  assert.ok(session.silentMs < performance.now() - began, 'it was heard meanwhile');
  await until(() => here.words.length === scripts, 'all of them');
  assert.deepEqual(
    here.words.map((word) => (word.$case === 'script' ? word.value.token : '')),
    Array.from({ length: scripts }, (_, n) => `t${n}`),
  );
  assert.equal(session.dropped, 0);
});

test('a message that no relay of ours would send is dropped, counted and told', async (t) => {
  const here = await controller(t);
  const { link } = relay(t, here.token('rack7'), here.door.port);
  await until(() => link.up && here.door.link('rack7') !== undefined, 'linked');
  const one = SeenOne.fromPartial({ kind: 'tftp-started' });
  link.say({ $case: 'seen', value: { seen: Array.from({ length: 6000 }, () => one) } });
  link.say({ $case: 'seen', value: { seen: [one] } });
  await until(() => here.words.length === 1, 'the next one');
  assert.equal(here.door.link('rack7')!.dropped, 6000);
  assert.match(here.odd.join(), /rack7: it tells of more than 5000 observations/);
});
