// A controller's part for relays with two relays, over real TLS and gRPC: two sites with the same private addresses, and a machine of the same MAC at each.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import { AgentServiceClient, RegisterRequest } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { PinnedCredentials } from '@nixie/proto/pinned';
import { type BootPlan, PlanOffer } from '@nixie/proto/relay';
import { Admission } from './core/admission.ts';
import { Core } from './core/core.ts';
import { HostBook } from './core/hosts.ts';
import { startAgentServer } from './listen/agents.ts';
import type { Seen } from './listen/seen.ts';
import type { RunEvent } from './machine/event.ts';
import type { Host } from './machine/host.ts';
import { patience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { TokenBook } from './machine/token.ts';
import { type Link, openLink } from './relay/link.ts';
import { makeRelayPart } from './relays.ts';
import { keepRelayToken } from './store/relays.ts';
import { makeTls } from './store/tls.ts';

const mac = '52:54:00:00:00:01' as Mac;
const tls = await makeTls();
const image = Buffer.from('initrd of the installer');
const imageHash = createHash('sha256').update(image).digest('hex');

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !holds(); ) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function host(name: string, relay?: string): Host {
  const flags = { tags: [], boot: [], expectDisks: [], wipe: false } as const;
  return { name, flakeAttr: name, macs: [mac], system: 'x86_64-linux', ...flags, ...(relay && { relay }) };
}

async function lab(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'relays-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const book = new HostBook([host('here'), host('at-a', 'a'), host('at-b', 'b')]);
  const events: RunEvent[] = [];
  const [notices, warnings, states, seen]: [string[], string[], string[], Seen[]] = [[], [], [], []];
  const ticks = () => performance.now();
  const core: Core = new Core(
    {
      now: Date.now,
      ticks,
      after: () => () => {},
      journal: { write() {}, close() {} },
      emit: (event) => events.push(event),
      run: () => new Promise(() => {}),
      changed: () => part?.changed(),
    },
    patience,
  );
  let part: ReturnType<typeof makeRelayPart> | undefined;
  for (const { name } of book.all()) {
    core.add(name);
    for (const kind of ['begin', 'found-nobody'] as const) core.happened(name, { kind });
  }
  const tokens = new TokenBook(randomBytes);
  const admission = new Admission({
    core,
    hosts: book,
    tokens,
    registrations: { get: () => undefined, put: () => {} },
    installer: () => undefined,
    macAt: () => mac,
    authorizedKeys: [],
    credentialSecret: randomBytes(32),
    fingerprint: tls.fingerprint,
    httpPort: 7480,
    grpcPort: 7481,
    now: Date.now,
    ticks,
    emit: (event) => events.push(event),
  });
  const made = makeRelayPart({
    stateDir: folder,
    tls,
    version: 'test',
    listen: { host: '127.0.0.1', port: 0 },
    own: ['127.0.0.1'],
    httpPort: 7480,
    agentPort: 7481,
    hosts: book,
    life: (name) => core.life(name),
    alive: () => false,
    installers: new Map(),
    loaders: { loaders: { x64: 'snponly.efi' }, files: new Map([['snponly.efi', image]]), paths: {} },
    network: () => ({ interfaces: [], addresses: {}, subnets: [] }),
    tokens,
    tokensChanged: () => {},
    admission,
    loads: () => 0,
    folder,
    node: process.execPath,
    onSeen: (each) => seen.push(each),
    onProgress: () => {},
    onState: (name, state) => states.push(`${name} ${state}`),
    lookMs: 10,
    notice: (_level, text) => notices.push(text),
    warn: (text) => warnings.push(text),
    now: Date.now,
    ticks,
  });
  part = made;
  const agents = await startAgentServer({
    addresses: ['127.0.0.1'],
    port: 0,
    tls,
    placeOf: made.placeOf,
    core: {
      onRegister: (request, place) => admission.register(request, place),
      readCredential: () => undefined,
      onSessionUp: () => undefined,
      onSessionDown: () => {},
      onHeartbeat: () => {},
      onProgress: () => {},
      onLog: async () => undefined,
    },
  });
  await made.open(() => agents.loopback());
  t.after(async () => {
    await made.close();
    await agents.close();
  });
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(notices.join())?.[1]);

  const relay = async (name: string) => {
    const secret = randomBytes(32);
    const url = `https://127.0.0.1:${port}`;
    keepRelayToken(folder, { name, url, madeAt: 1 }, secret);
    const plans: BootPlan[] = [];
    const link: Link = openLink({
      endpoint: { host: '127.0.0.1', port },
      token: { name, url, fingerprint: tls.fingerprint, secret },
      key: generateKeyPairSync('ed25519').privateKey,
      version: 'test',
      life: name,
      // The same private network at both sites.
      interfaces: () => [{ name: 'lan0', address: '127.0.0.2', prefixLength: 8, mtu: 1500 }],
      random: Math.random,
      pauses: { least: 10, most: 50 },
      onUp: () => {},
      onDown: () => {},
      onPlan(plan) {
        plans.push(plan);
      },
      onFind: async () => [`10.0.0.${name.charCodeAt(0)}`],
      onWake: async () => ({ sent: name === 'a' ? 1 : 2, failures: [] }),
    });
    t.after(() => link.close());
    const front = createServer({ allowHalfOpen: true }, (socket) =>
      link.carryMachine(socket, { address: '127.0.0.9', port: socket.remotePort!, mac, interface: 'lan0' }),
    );
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    t.after(() => front.close());
    await until(() => plans.length > 0, `a plan for ${name}`);
    return {
      link,
      plans,
      front: (front.address() as { port: number }).port,
      token: (index = 0) => plans.at(-1)!.machines[0]!.cards[0]!.tokens[index]!,
    };
  };

  /** As an agent would, by whatever port. */
  const register = (by: number, token: string, bootId: string): Promise<string> => {
    const client = new AgentServiceClient(`127.0.0.1:${by}`, new PinnedCredentials(tls.fingerprint), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const request = RegisterRequest.fromPartial({
      token,
      mac,
      bootId,
      sshHostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
      agentKey: Buffer.from(bootId),
      inventory: Inventory.fromPartial({ nics: [{ mac }] }),
    });
    return new Promise((resolve) =>
      client.register(request, (error: ServiceError | null, answer) => {
        client.close();
        resolve(error === null ? answer.host : error.details);
      }),
    );
  };
  return { part: made, core, agents, relay, register, events, notices, warnings, states, seen, tokens, book };
}

test('two sites with the same addresses and the same MAC do not mix', async (t) => {
  const { relay, register, core, agents, warnings, events } = await lab(t);
  const [a, b] = [await relay('a'), await relay('b')];
  assert.deepEqual(
    [a, b].map(({ plans }) => plans[0]!.machines.map(({ name }) => name)),
    [['at-a'], ['at-b']],
  );
  // The right token at the wrong site, and past both.
  assert.equal(await register(b.front, a.token(), 'b1'), 'this machine is behind a');
  assert.equal(await register(agents.port, a.token(), 'b2'), 'this machine is behind a');
  assert.equal(core.life('at-a')?.stage, 'waking');

  assert.equal(await register(a.front, a.token(), 'b3'), 'at-a');
  assert.equal(await register(b.front, b.token(), 'b4'), 'at-b');
  assert.deepEqual(
    ['at-a', 'at-b', 'here'].map((name) => [core.life(name)?.stage, core.life(name)?.address]),
    [
      ['registered', '127.0.0.9'],
      ['registered', '127.0.0.9'],
      ['waking', undefined],
    ],
  );
  const told = [...warnings, ...events.flatMap((event) => (event.event === 'notice' ? [event.text] : []))].join();
  assert.match(told, /127\.0\.0\.9:\d+ behind b was refused: this machine is behind a/);
});

test('of a relay that comes and goes the operator is told some times, and is not flooded', async (t) => {
  const { part, notices } = await lab(t);
  const link = { name: 'a', version: '1', peer: '192.0.2.9:1', interfaces: [] };
  const acts = { sendPlan() {}, find: async () => [], wake: async () => ({ sent: 0, failures: [] }) };
  for (let at = 0; at < 200; at++) {
    part.relays.up({ ...link, ...acts });
    part.relays.down('a', `cut ${at}`);
  }
  const told = notices.filter((text) => text.startsWith('relay a '));
  assert.equal(told.length, 10);
  assert.equal(told.at(-1), 'relay a is gone: cut 4; its machines are answered on by what it knows');
  assert.equal(part.relays.view('a').losses, 200);
});

test('a relay speaks for its own machines only', async (t) => {
  const { relay, core, seen } = await lab(t);
  const [a, b] = [await relay('a'), await relay('b')];
  const script = (machine: string, token: string, verdict = 'installer') =>
    a.link.say({
      $case: 'script',
      value: { machine, mac, token, verdict, address: '127.0.0.9', unixMs: BigInt(Date.now()) },
    });
  script('at-b', b.token());
  script('here', a.token());
  script('at-a', b.token());
  script('at-b', '', 'loop');
  const one = (machine: string) => ({
    kind: 'tftp-started',
    mac,
    machine,
    interface: 'lan0',
    address: '',
    why: '',
    detail: '',
    asked: '',
    client: '',
    port: 0,
    server: '',
    unixMs: BigInt(Date.now()),
    giaddr: '',
    stranger: undefined,
  });
  a.link.say({ $case: 'seen', value: { seen: [one('at-b'), one('at-a'), { ...one('at-a'), kind: 'rm -rf' }] } });
  await until(() => seen.length === 2, 'what was seen');
  assert.deepEqual(
    seen.map(({ machine, relay: by }) => [machine, by]),
    [
      [undefined, 'a'],
      ['at-a', 'a'],
    ],
  );
  assert.deepEqual(
    ['at-a', 'at-b', 'here'].map((name) => core.life(name)?.stage),
    ['waking', 'waking', 'waking'],
  );
  const used = a.token();
  a.link.say({ $case: 'planTaken', value: a.plans.at(-1)!.version });
  script('at-a', used);
  await until(() => core.life('at-a')?.stage === 'loading', 'its own script counts');
  await until(() => !a.plans.at(-1)!.machines[0]!.cards[0]!.tokens.includes(used), 'another token for it');
  assert.equal(a.plans.at(-1)!.machines[0]!.cards[0]!.tokens.length, 3);
  script('at-a', '', 'loop');
  await until(() => core.life('at-a')?.stage === 'failed', 'who boots in a circle has failed');
});

test('what is decided reaches the relay before it counts as decided', async (t) => {
  const { relay, part, core } = await lab(t);
  const a = await relay('a');
  a.link.say({ $case: 'planTaken', value: a.plans.at(-1)!.version });
  for (const happening of [
    { kind: 'agent-registered', mac, address: '127.0.0.9', sshHostKey: 'k', bootId: 'b' },
    { kind: 'inspecting' },
    { kind: 'disks-free' },
    { kind: 'disko-ended' },
    { kind: 'install-began' },
    { kind: 'install-ended' },
  ] as const)
    assert.ok(core.happened('at-a', happening).moved, happening.kind);
  let current = false;
  const waiting = part.relays.current('a', new AbortController().signal).then(() => {
    current = true;
  });
  await until(() => a.plans.at(-1)!.machines[0]!.offer === PlanOffer.PLAN_OFFER_LOCAL, 'the plan with the mark');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(current, false);
  a.link.say({ $case: 'planTaken', value: a.plans.at(-1)!.version });
  await waiting;
});

test('machines are found and woken by their own relay; loaders are fetched', async (t) => {
  const { relay, part } = await lab(t);
  const a = await relay('a');
  await relay('b');
  assert.deepEqual(await part.relays.find('a', [mac]), ['10.0.0.97']);
  await assert.rejects(part.relays.find('c', [mac]), /relay c is not connected/);
  assert.equal((await part.relays.wake('b', [mac])).sent, 2);
  const [loader] = a.plans[0]!.loaders;
  assert.deepEqual([loader?.firmware, loader?.file?.sha256], ['x64', imageHash]);
  const got = await a.link.fetch({ $case: 'sha256', value: imageHash }, 7);
  const pieces: Uint8Array[] = [];
  for await (const piece of got.body) pieces.push(piece);
  assert.equal(Buffer.concat(pieces).toString(), image.subarray(7).toString());
});

test('the operator sees who is there, who may come and who is missed', async (t) => {
  const { relay, part, states } = await lab(t);
  const a = await relay('a');
  await until(() => states.includes('at-a up'), 'what the doctor is told');
  assert.ok(states.includes('at-b away') && !states.some((each) => each.startsWith('here')), states.join());
  const shown = () =>
    part.states().map(({ name, link, hosts, hasToken }) => [name, link !== undefined, hosts, hasToken]);
  assert.deepEqual(shown(), [
    ['a', true, 1, true],
    ['b', false, 1, false],
  ]);
  assert.equal(part.overdue('here', 0), undefined);
  assert.equal(part.overdue('at-b', performance.now()), 'wait');
  assert.equal(part.overdue('at-a', performance.now()), undefined);
  const since = performance.now();
  await a.link.close();
  await until(() => !part.relays.isUp('a'), 'gone');
  assert.equal(part.overdue('at-a', since), 'wait');
});
