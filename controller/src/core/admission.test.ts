// Admission over one house; it is long because each way to a script and to a registration is walked here.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { RegisterRequest } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import { type HappeningKind, patience } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { placeOf } from '../machine/relay.ts';
import { TokenBook } from '../machine/token.ts';
import type { KeptRegistration } from '../store/registrations.ts';
import { Admission } from './admission.ts';
import { Core } from './core.ts';
import { HostBook } from './hosts.ts';

const mac = '52:54:00:00:00:01' as Mac;
const host: Host = {
  name: 'm1',
  flakeAttr: 'm1',
  macs: [mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
};
/** Two machines with the same MAC, the second card of the first, another machine. */
const secondCard = '02:00:00:00:00:02' as Mac;
const neighbours: Readonly<Record<string, Mac>> = {
  '10.0.0.9': mac,
  '10.0.0.19': mac,
  '10.0.0.29': secondCard,
  '10.0.0.66': '02:00:00:00:00:66' as Mac,
};
const hostKey = `ssh-ed25519 ${'A'.repeat(68)}`;

function house(registrations = new Map<string, KeptRegistration>()) {
  let ticks = 0;
  let set = 0;
  const now = () => ticks + set;
  let alive = false;
  let room = true;
  const events: RunEvent[] = [];
  const core = new Core(
    {
      now,
      ticks: () => ticks,
      after: () => () => {},
      journal: { write() {}, close() {} },
      emit: (event) => events.push(event),
      run: () => new Promise(() => {}),
      changed() {},
    },
    patience,
  );
  core.add('m1');
  const tokens = new TokenBook(randomBytes);
  const book = new HostBook([host]);
  const keptAway: string[] = [];
  const admission = new Admission({
    core,
    hosts: book,
    tokens,
    registrations: { get: (name) => registrations.get(name), put: (name, kept) => void registrations.set(name, kept) },
    installer: () => ({
      kernelSha256: 'a'.repeat(64),
      initrdSha256: 'b'.repeat(64),
      kernelParams: ['init=/init'],
      needsBytes: 1,
    }),
    macAt: (address) => (address.startsWith('10.0.0.') ? neighbours[address] : 'foreign'),
    contradicts: (_host, macs, address) =>
      macs.includes(mac) && address === '203.0.113.66' ? 'by DHCP it is elsewhere' : undefined,
    alive: () => alive,
    mayLoad: () => room,
    keptAway: ({ name }) => void keptAway.push(name),
    authorizedKeys: ['ssh-ed25519 AAAA run'],
    credentialSecret: randomBytes(32),
    fingerprint: 'c'.repeat(64),
    httpPort: 7480,
    grpcPort: 7481,
    now,
    ticks: () => ticks,
    emit: (event) => events.push(event),
  });
  const script = (remoteAddress = '10.0.0.9') => {
    const answer = admission.script({ mac, remoteAddress, localAddress: '10.0.0.1' });
    return 'script' in answer ? answer.script : `refused: ${answer.refuse}`;
  };
  return {
    keptAway,
    core,
    tokens,
    book,
    admission,
    events,
    walk: (...kinds: HappeningKind[]) => {
      for (const kind of kinds) assert.ok(core.happened('m1', { kind, reason: 'x' } as never).moved, kind);
    },
    lives: (is: boolean) => {
      alive = is;
    },
    wireIsFull: (is: boolean) => {
      room = !is;
    },
    pass: (milliseconds: number) => {
      ticks += milliseconds;
    },
    setClock: (milliseconds: number) => {
      set = milliseconds;
    },
    script,
    token: () => /nixie\.token=([0-9a-f]{32})/.exec(script())![1]!,
    register: (token: string, bootId: string, agent = 'agent 1', peer = '10.0.0.9:4000') =>
      admission.register(
        RegisterRequest.fromPartial({
          token,
          mac,
          bootId,
          sshHostKey: hostKey,
          agentKey: Buffer.from(agent),
          inventory: Inventory.fromPartial({ nics: [{ mac }, { mac: secondCard }] }),
        }),
        placeOf(peer),
      ),
  };
}
const session = { mac, bootId: 'b1', place: placeOf('10.0.0.9:4001') };

test('while the wire is full a machine asks again later; no token is made for it and no boot is counted', () => {
  const { walk, script, tokens, core, wireIsFull } = house();
  walk('begin', 'found-nobody', 'firmware-asked');
  wireIsFull(true);
  for (let i = 0; i < 20; i++) assert.match(script(), /waits until fewer machines load; asking again in 15 seconds/);
  assert.equal(tokens.size, 0);
  assert.equal(core.life('m1')?.stage, 'firmware');
  wireIsFull(false);
  assert.match(script(), /nixie\.token=/);
  assert.equal(core.life('m1')?.stage, 'loading');
});

test('a neighbour gets no script, however often it asks, and the operator hears of it once', () => {
  const { walk, script, events } = house();
  walk('begin', 'found-nobody');
  for (let i = 0; i < 1000; i++) assert.match(script('10.0.0.66'), /^refused/);
  assert.equal(events.filter((event) => event.event === 'notice').length, 1);
  assert.match(script(), /nixie\.token=/);
});

test('while the installer of a machine runs nobody gets another token for it; a machine that lost its power does', () => {
  const { walk, script, token, register, lives, core } = house();
  walk('begin', 'found-nobody');
  assert.ok('credential' in register(token(), 'b1'));
  lives(true);
  walk('inspecting', 'disks-free');
  const waits = script();
  assert.doesNotMatch(waits, /nixie\.token/);
  assert.match(waits, /chain --replace http:\/\/10\.0\.0\.1:7480\/boot\/52-54-00-00-00-01\.ipxe/);
  for (let i = 0; i < 20; i++) script();
  assert.equal(core.life('m1')?.stage, 'disko');
  lives(false);
  assert.match(script(), /nixie\.token=/);
});

test('two machines that claim one MAC are both stopped before anything is written', () => {
  for (const second of ['another boot', 'the used token'] as const) {
    const { walk, token, register, lives, core } = house();
    walk('begin', 'found-nobody');
    const [one, two] = [token(), token()];
    assert.ok('credential' in register(one, 'b1'));
    lives(true);
    walk('inspecting');
    const answer = register(second === 'another boot' ? two : one, 'b2', 'agent 2', '10.0.0.19:4000');
    assert.equal('refused' in answer && answer.refused, 'denied', second);
    assert.equal(core.life('m1')?.stage, 'failed');
    assert.match(core.life('m1')?.reason ?? '', /two machines claim 52:54.*10\.0\.0\.9.*10\.0\.0\.19/);
  }
});

test('whoever has read a script but lacks the MAC stops nobody, takes nobody’s place, and is told of once', () => {
  for (const peer of ['10.0.0.66:4000', '10.0.0.77:4000', '192.168.7.7:4000'])
    for (const stolen of ['used', 'not used'] as const) {
      const { walk, token, register, lives, core, events } = house();
      walk('begin', 'found-nobody');
      const [one, two] = [token(), token()];
      register(one, 'b1');
      walk('inspecting');
      for (const alive of [true, false]) {
        lives(alive);
        const answer = register(stolen === 'used' ? one : two, 'b2', 'agent 2', peer);
        assert.equal('refused' in answer && answer.why !== '', true, peer);
        assert.deepEqual([core.life('m1')?.stage, core.life('m1')?.bootId], ['preflight', 'b1'], peer);
      }
      const told = events.filter((event) => event.event === 'notice' && event.text.includes('was refused'));
      assert.equal(told.length, 1, `${peer} ${stolen}`);
    }
});

test('the token of a boot that is over stops nobody, even at the right address', () => {
  const { walk, token, register, lives, core, pass } = house();
  walk('begin', 'found-nobody');
  const old = token();
  register(old, 'b1');
  pass(60_000);
  assert.ok('credential' in register(token(), 'b2', 'agent 2'));
  lives(true);
  walk('inspecting');
  assert.ok('refused' in register(old, 'b3', 'agent 3', '10.0.0.19:4000'));
  assert.equal(core.life('m1')?.stage, 'preflight');
});

test('a machine that starts anew comes back by any of its cards; beyond a router nobody can tell', () => {
  for (const [first, then, believed] of [
    ['10.0.0.9', '10.0.0.29', true],
    ['192.168.7.7', '192.168.7.8', true],
    ['10.0.0.9', '192.168.7.8', false],
  ] as const) {
    const { walk, token, register, core } = house();
    walk('begin', 'found-nobody');
    register(token(), 'b1', 'agent 1', `${first}:4000`);
    walk('inspecting', 'disks-free');
    assert.equal('credential' in register(token(), 'b2', 'agent 2', `${then}:4000`), believed, then);
    assert.equal(core.life('m1')?.bootId, believed ? 'b2' : 'b1');
  }
});

test('a clock that is set takes no token its life', () => {
  const { walk, token, register, core, setClock } = house();
  walk('begin', 'found-nobody');
  const known = token();
  for (const days of [-400, 400]) {
    setClock(days * 86_400_000);
    assert.ok('credential' in register(known, 'b1'), `${days}`);
  }
  assert.equal(core.life('m1')?.stage, 'registered');
});

test('once its disk is written a second claimant is told off and the operator warned', () => {
  const { walk, token, register, lives, core, events } = house();
  walk('begin', 'found-nobody');
  const [one, two] = [token(), token()];
  register(one, 'b1');
  lives(true);
  walk('inspecting', 'disks-free');
  assert.ok('refused' in register(two, 'b2', 'agent 2', '10.0.0.19:4000'));
  assert.equal(core.life('m1')?.stage, 'disko');
  assert.equal(core.life('m1')?.bootId, 'b1');
  assert.ok(events.some((event) => event.event === 'notice' && /second machine at 10\.0\.0\.19/.test(event.text)));
});

test('an agent that comes while its host is still being built uses nothing up, and is expected on', () => {
  const { walk, token, register, core, tokens, admission } = house();
  walk('begin', 'found-nobody');
  const known = token();
  // The next life of the controller knows the token, and has not begun with this host.
  core.remove('m1');
  core.add('m1');
  const early = register(known, 'b1');
  assert.equal('refused' in early && early.refused, 'unavailable');
  assert.equal(tokens.expects('m1', 0), true);
  assert.equal(admission.keysFor('b1')?.length, 1);
  walk('begin');
  assert.ok('credential' in register(known, 'b1'));
  assert.equal(core.life('m1')?.stage, 'registered');
  assert.equal(tokens.expects('m1', 0), false);
});

test('a registration that comes at a wrong time leaves the kept one alone', () => {
  const kept = new Map<string, KeptRegistration>();
  const { walk, token, register } = house(kept);
  walk('begin', 'found-nobody');
  const [one, two] = [token(), token()];
  register(one, 'b1');
  walk('inspecting', 'disks-free', 'disko-ended', 'install-began', 'install-ended');
  const answer = register(two, 'b2');
  assert.equal('refused' in answer && answer.refused, 'unavailable');
  assert.equal(kept.get('m1')?.bootId, 'b1');
});

test('an agent of an earlier life of the controller takes up its registration and needs the new keys, once', () => {
  const kept = new Map<string, KeptRegistration>();
  const first = house(kept);
  first.walk('begin', 'found-nobody');
  first.register(first.token(), 'b1');
  assert.equal(first.admission.keysFor('b1'), undefined);
  const { walk, core, admission } = house(kept);
  assert.equal(admission.session('m1', session)?.refused, 'unavailable'); // still being built
  walk('begin');
  assert.equal(admission.session('m1', session), undefined);
  assert.equal(core.life('m1')?.stage, 'registered');
  assert.deepEqual(admission.keysFor('b1'), ['ssh-ed25519 AAAA run']);
  admission.keysGiven('b1');
  assert.equal(admission.keysFor('b1'), undefined);
  assert.equal(admission.session('m1', { ...session, bootId: 'b0' })?.refused, 'denied');
});

test('after a run that was cut off before the reboot its installer is heard, and not installed again', () => {
  const kept = new Map<string, KeptRegistration>();
  const first = house(kept);
  first.walk('begin', 'found-nobody');
  first.register(first.token(), 'b1');
  const { walk, core, admission, script } = house(kept);
  walk('reboot-marked', 'reboot-ordered');
  assert.equal(admission.session('m1', session), undefined);
  assert.equal(core.life('m1')?.stage, 'proving');
  assert.doesNotMatch(script(), /nixie\.token/);
});

test('a retry forgets what was counted, and an agent that is still there goes on at once', () => {
  const { walk, token, register, core, admission, script } = house();
  walk('begin', 'found-nobody');
  register(token(), 'b1');
  for (let i = 0; i < 6; i++) script();
  assert.equal(core.life('m1')?.stage, 'failed');
  assert.match(core.life('m1')?.reason ?? '', /boots in a circle/);
  walk('retry');
  admission.begunAnew('m1', 'b1');
  assert.equal(core.life('m1')?.stage, 'registered');
  assert.equal(core.life('m1')?.address, '10.0.0.9');
  assert.match(script(), /nixie\.token=/);
  walk('failed', 'retry');
  admission.begunAnew('m1', undefined);
  assert.equal(core.life('m1')?.stage, 'waking');
});

test('a host that leaves gets no script; a MAC that is not its own any more neither registers nor has a session', () => {
  const { admission, book, script, walk, register, token } = house();
  walk('begin', 'found-nobody');
  const known = token();
  book.leave('m1');
  assert.equal(script(), 'refused: this machine is not of this run any more');
  book.put({ ...host, macs: ['02:00:00:00:00:77' as Mac] });
  assert.equal(script(), 'refused: no machine of this run has this MAC');
  const answer = register(known, 'b1');
  assert.deepEqual('refused' in answer && [answer.refused, answer.why], [
    'denied',
    'this machine is not of this run any more',
  ]);
  assert.equal(admission.session('m1', session)?.why, 'this machine is not of this run any more');
});

test('beyond a router the script goes to whom nothing contradicts, and no other is taken for the machine', () => {
  const { script, walk, events, register, token } = house();
  walk('begin', 'found-nobody');
  assert.match(script('203.0.113.66'), /^refused/);
  const warning = events.find((event) => event.event === 'notice');
  assert.match(
    warning?.event === 'notice' ? warning.text : '',
    /203\.0\.113\.66 \(by DHCP it is elsewhere\) asked for/,
  );
  assert.match(script('203.0.113.9'), /nixie\.token=/);
  const given = token();
  assert.ok('credential' in register(given, 'b1', 'agent 1', '203.0.113.9:4000'));
  assert.ok('refused' in register(given, 'b2', 'agent 2', '203.0.113.66:4000'));
  assert.equal(
    events.some((event) => event.event === 'stage' && event.stage === 'failed'),
    false,
    'it stops nobody',
  );
});

test('a machine of one subnet gets no script on our own networks, whoever has its MAC there', () => {
  const { book, script, walk, events } = house();
  book.put({ ...host, subnet: '203.0.113.0/24' });
  walk('begin', 'found-nobody');
  assert.match(script('10.0.0.9'), /^refused/);
  const warning = events.find((event) => event.event === 'notice');
  assert.match(warning?.event === 'notice' ? warning.text : '', /it belongs to 203\.0\.113\.0\/24/);
  assert.match(script('203.0.113.9'), /nixie\.token=/);
});

test('a relay tells of scripts of its own machines; that one boots in a circle is believed while it is news', () => {
  const { core, book, tokens, admission, walk, pass, keptAway } = house();
  book.put({ ...host, relay: 'rack7' });
  walk('begin', 'found-nobody');
  pass(60 * 60_000);
  const word = (more: object) => ({
    machine: 'm1',
    mac,
    token: '',
    verdict: 'installer',
    address: '10.0.0.9',
    unixMs: BigInt(60 * 60_000),
    ...more,
  });
  const token = tokens.stock(mac, 'm1', 60 * 60_000, 60 * 60_000);
  admission.scriptServed('rack8', word({ token }));
  admission.scriptServed('rack8', word({ verdict: 'crowded' }));
  assert.equal(core.life('m1')?.stage, 'waking', 'not of another relay');
  assert.deepEqual(keptAway, []);
  admission.scriptServed('rack7', word({ verdict: 'crowded' }));
  assert.deepEqual(keptAway.splice(0), ['m1']);
  admission.scriptServed('rack7', word({ token }));
  assert.equal(core.life('m1')?.stage, 'loading');
  admission.scriptServed('rack7', word({ verdict: 'loop', unixMs: BigInt(50 * 60_000) }));
  assert.equal(core.life('m1')?.stage, 'loading', 'it waited for the uplink');
  admission.scriptServed('rack7', word({ verdict: 'loop' }));
  assert.equal(core.life('m1')?.stage, 'failed');
  admission.scriptServed('rack7', word({ verdict: 'crowded' }));
  assert.deepEqual(keptAway, []);
});

test('of a connection that is gone nobody knows the place: it registers nobody, whatever address it tells', () => {
  const { core, walk, admission, register, token } = house();
  walk('begin', 'found-nobody');
  const one = token();
  assert.deepEqual(register(one, 'b1', 'agent 1', 'unknown'), {
    refused: 'invalid',
    why: 'the connection has no IPv4 address',
  });
  assert.equal(core.life('m1')?.bootId, undefined);
  assert.ok('credential' in register(one, 'b1'), 'its token is not used up');
  assert.deepEqual(admission.session('m1', { ...session, place: placeOf('unknown') }), {
    refused: 'unavailable',
    why: 'the connection has no IPv4 address',
  });
});
