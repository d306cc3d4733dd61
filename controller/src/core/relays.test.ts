import assert from 'node:assert/strict';
import test from 'node:test';
import type { BootPlan } from '@nixie/proto/relay';
import type { Mac } from '../machine/mac.ts';
import { type RelayLink, Relays } from './relays.ts';

const empty: Omit<BootPlan, 'version'> = {
  fingerprint: '',
  httpPort: 1,
  agentPort: 2,
  interfaces: [],
  machines: [],
  installers: [],
  loaders: [],
  ahead: [],
  cacheKey: '',
  loads: 0,
};

function lab() {
  let now = 100;
  let content = 'a';
  const timers = new Set<{ at: number; call: () => void }>();
  const pass = (ms: number) => {
    now += ms;
    for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.call();
  };
  const relays = new Relays({
    plan: () => (content === '' ? undefined : { ...empty, cacheKey: content }),
    firstVersion: 1000n,
    ticks: () => now,
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    onUp: () => {},
    onDown: () => {},
  });
  const plans: BootPlan[] = [];
  const link = (): RelayLink => ({
    name: 'rack7',
    version: '1',
    peer: '',
    interfaces: [],
    sendPlan: (plan) => plans.push(plan),
    find: async () => ['10.0.0.9'],
    wake: async () => ({ sent: 2, failures: ['x'] }),
  });
  return {
    relays,
    plans,
    link,
    decide(text: string) {
      content = text;
      relays.changed();
      pass(50);
    },
    pass,
    timers,
    at: (time: number) => {
      now = time;
    },
  };
}

const settled = async (promise: Promise<unknown>) => {
  let done = false;
  void promise.then(
    () => {
      done = true;
    },
    () => {},
  );
  await new Promise((resolve) => setImmediate(resolve));
  return done;
};
const never = new AbortController().signal;

test('a plan is sent when a relay comes and when it changes, not otherwise; versions grow', () => {
  const { relays, plans, link, decide } = lab();
  decide('a');
  assert.equal(plans.length, 0);
  relays.up(link());
  decide('a');
  relays.planTaken('rack7', 1001n);
  decide('b');
  assert.deepEqual(
    plans.map(({ version, cacheKey }) => [version, cacheKey]),
    [
      [1001n, 'a'],
      [1002n, 'b'],
    ],
  );
  relays.up(link());
  assert.equal(plans.at(-1)?.version, 1003n);
});

test('what was decided is waited for until the relay answers by it', async () => {
  const { relays, link, decide } = lab();
  const early = relays.current('rack7', never);
  assert.equal(await settled(early), false);
  relays.up(link());
  assert.equal(await settled(early), false);
  relays.planTaken('rack7', 1001n);
  assert.equal(await settled(early), true);

  decide('b');
  const later = relays.current('rack7', never);
  relays.planTaken('rack7', 1001n);
  assert.equal(await settled(later), false);
  relays.planTaken('rack7', 9999n);
  assert.equal(await settled(later), false, 'a version that was never sent is none');
  relays.planTaken('rack7', 1002n);
  assert.equal(await settled(later), true);
});

test('an acknowledgement by an earlier link is worth nothing', async () => {
  const { relays, link } = lab();
  relays.up(link());
  relays.planTaken('rack7', 1001n);
  relays.down('rack7', 'cut');
  const waiting = relays.current('rack7', never);
  assert.equal(await settled(waiting), false);
  relays.up(link());
  assert.equal(await settled(waiting), false);
  relays.planTaken('rack7', 1001n);
  assert.equal(await settled(waiting), false, 'a slow relay may say it on the new link');
  relays.planTaken('rack7', 1002n);
  assert.equal(await settled(waiting), true);
});

test('on an uplink that takes long for a plan no other follows before it has left, whatever is decided', () => {
  const { relays, plans, link, decide, pass } = lab();
  let busy = true;
  const slow = link();
  Object.defineProperty(slow, 'busy', { get: () => busy });
  relays.up(slow);
  for (let i = 0; i < 30; i++) {
    decide(`b${i}`);
    pass(950);
  }
  assert.equal(plans.length, 1);
  // It has left, and isn't taken: the next one follows, once.
  busy = false;
  pass(2000);
  assert.deepEqual(
    plans.map(({ cacheKey }) => cacheKey),
    ['a', 'b29'],
  );
  relays.planTaken('rack7', 1002n);
  pass(10_000);
  assert.equal(plans.length, 2);
});

test('a wait ends at its signal', async () => {
  const { relays } = lab();
  const stop = new AbortController();
  const waiting = relays.whenUp('rack7', stop.signal);
  stop.abort();
  await assert.rejects(waiting, /called off/);
});

test('a cut is one until it is over, and for whoever began before', () => {
  const { relays, link, at } = lab();
  assert.equal(relays.cutSince('rack7', 0), true);
  relays.up(link());
  at(200);
  assert.equal(relays.cutSince('rack7', 150), false);
  relays.down('rack7', 'cut');
  assert.equal(relays.cutSince('rack7', 250), true);
  at(300);
  relays.up(link());
  assert.equal(relays.cutSince('rack7', 150), true);
  assert.equal(relays.cutSince('rack7', 301), false);
});

test('without a link nobody is looked for, and who wakes is told why', async () => {
  const { relays, link } = lab();
  const mac = '52:54:00:00:00:01' as Mac;
  await assert.rejects(relays.find('rack7', [mac]), /^NotLooked: relay rack7 is not connected/);
  assert.match((await relays.wake('rack7', [mac])).failures.join(), /rack7 is not connected/);
  relays.up(link());
  assert.deepEqual(await relays.find('rack7', [mac]), ['10.0.0.9']);
  assert.deepEqual(await relays.wake('rack7', [mac, mac]), { sent: 4, failures: ['x'] });
});

test('names in refused greetings are bounded', () => {
  const { relays } = lab();
  for (let i = 0; i < 2000; i++) relays.refused(`r${i}`, 'unknown');
  assert.ok(relays.names().length <= 1000);
});

test('of what is decided while a plan is on its way only the last is sent: a slow uplink is not to be filled', async () => {
  const { relays, plans, link, decide } = lab();
  decide('a');
  relays.up(link());
  for (const text of ['b', 'c', 'd']) decide(text);
  assert.equal(plans.length, 1);
  assert.equal(relays.view('rack7').current, false);
  const current = relays.current('rack7', never);
  relays.planTaken('rack7', 1001n);
  assert.deepEqual([plans.length, plans[1]?.version, plans[1]?.cacheKey], [2, 1002n, 'd']);
  assert.equal(await settled(current), false, 'it has only the one before');
  relays.planTaken('rack7', 1002n);
  assert.equal(await settled(current), true);
});

test('whoever waits for a decision that is taken back is not kept waiting', async () => {
  const { relays, plans, link, decide } = lab();
  decide('a');
  relays.up(link());
  decide('b');
  const current = relays.current('rack7', never);
  decide('a');
  relays.planTaken('rack7', 1001n);
  relays.planTaken('rack7', plans.at(-1)!.version);
  assert.equal(plans.at(-1)?.cacheKey, 'a');
  assert.equal(await settled(current), true);
});

test('a relay that takes no plan is sent the newest all the same, after a while', async () => {
  const { relays, plans, link, decide, pass, timers } = lab();
  decide('a');
  relays.up(link());
  decide('b');
  const current = relays.current('rack7', never);
  pass(2000);
  assert.deepEqual(
    plans.map(({ cacheKey }) => cacheKey),
    ['a', 'b'],
  );
  relays.planTaken('rack7', 1002n);
  assert.equal(await settled(current), true);
  decide('c');
  decide('d');
  relays.down('rack7', 'cut');
  relays.up(link());
  assert.equal(plans.at(-1)?.cacheKey, 'd');
  decide('e');
  relays.close();
  assert.equal(timers.size, 0, 'nothing is left to happen');
});

test('a link that stands and is silent may be cut', () => {
  const { relays, link } = lab();
  assert.equal(relays.isSilent('rack7'), false);
  let silentMs = 0;
  relays.up(
    Object.defineProperty(link(), 'silentMs', {
      get: () => silentMs,
    }),
  );
  for (const [ms, silent] of [
    [5000, false],
    [10_000, false],
    [10_001, true],
  ] as const) {
    silentMs = ms;
    assert.equal(relays.isSilent('rack7'), silent);
  }
});
