import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import { type Life, newLife } from '../machine/life.ts';
import { usualSeconds } from '../machine/progress.ts';
import type { Stage } from '../machine/stage.ts';
import { Waves } from './waves.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** So many hosts whose sizes allow some twenty on their way. */
function run(count: number, relayOf: (index: number) => string | undefined = () => undefined) {
  const hosts = Array.from({ length: count }, (_, i) => {
    const relay = relayOf(i);
    return { name: `m${i}`, ...(relay === undefined ? {} : { relay }) } as Host;
  });
  const lives = new Map(hosts.map(({ name }) => [name, { ...newLife(name, 0), stage: 'waking' } as Life]));
  const held = new Set<string>();
  const told: string[] = [];
  const woken: string[] = [];
  const waiting = new Set<string>();
  const copyBytes = new Map<string, number | undefined>();
  const alarms: { at: number; call: () => void }[] = [];
  let now = 0;
  const waves = new Waves({
    hosts: () => hosts,
    life: (host) => lives.get(host),
    hold(host) {
      held.add(host);
      return () => void held.delete(host);
    },
    seconds: () => usualSeconds,
    sizes: ({ name }) => ({
      bootBytes: 400e6,
      imageBytes: 0,
      copyBytes: copyBytes.has(name) ? copyBytes.get(name) : 2e9,
    }),
    waits: (host) => waiting.has(host),
    jobs: 4,
    loadingPatience: 600,
    tell: (text) => void told.push(text),
    ticks: () => now,
    after(milliseconds, call) {
      const alarm = { at: now + milliseconds, call };
      alarms.push(alarm);
      return () => void alarms.splice(alarms.indexOf(alarm), 1);
    },
  });
  const stops = new Map(hosts.map(({ name }) => [name, new AbortController()]));
  for (const host of hosts) void waves.turn(host, stops.get(host.name)!.signal).then(() => void woken.push(host.name));
  return {
    waves,
    told,
    woken,
    held,
    waiting,
    copyBytes,
    stops,
    async pass(milliseconds: number) {
      const until = now + milliseconds;
      for (;;) {
        const next = alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        alarms.splice(alarms.indexOf(next), 1);
        now = next.at;
        next.call();
        await turn();
      }
      now = until;
      await turn();
    },
    async stage(host: string, stage: Stage) {
      lives.set(host, { ...lives.get(host)!, stage });
      waves.moved();
      await turn();
    },
  };
}

test('a small run is woken at once, without a word', async () => {
  const { woken, told, held } = run(6);
  await turn();
  assert.equal(woken.length, 6);
  assert.deepEqual(told, []);
  assert.equal(held.size, 0);
});

test('of many so many are woken, in their order; the others wait without losing patience; one that goes on makes room', async () => {
  const { woken, told, held, stage } = run(100);
  await turn();
  const first = woken.length;
  assert.ok(first >= 8 && first < 60, `${first}`);
  assert.deepEqual(
    woken,
    Array.from({ length: first }, (_, i) => `m${i}`),
  );
  assert.equal(held.size, 100 - first);
  assert.equal(told.length, 1);
  assert.match(told[0]!, new RegExp(`^100 machines in ${Math.ceil(100 / first)} waves of ${first}, about \\d+ min$`));
  for (const step of ['firmware', 'loading', 'registered', 'preflight'] as const) await stage('m0', step);
  assert.equal(woken.length, first);
  await stage('m0', 'disko');
  assert.equal(woken.length, first + 1);
  assert.ok(!held.has(woken.at(-1)!));
  // A queue for the copies is no reason to boot more.
  for (let i = 1; i < first; i++) await stage(`m${i}`, 'copy');
  assert.ok(woken.length <= first + 4 + 1, `${woken.length} woken`);
});

test('one that has booted and waits for its build keeps nobody else asleep', async () => {
  const { woken, waiting, stage } = run(100);
  await turn();
  const first = woken.length;
  for (let i = 0; i < first; i++) await stage(`m${i}`, 'registered');
  assert.equal(woken.length, first);
  for (let i = 0; i < first; i++) waiting.add(`m${i}`);
  await stage('m0', 'registered');
  assert.equal(woken.length, 2 * first);
});

test('what is not built yet counts as what is built', async () => {
  const [known, unknown] = [run(100), run(100)];
  for (let i = 1; i < 100; i++) unknown.copyBytes.set(`m${i}`, undefined);
  for (const each of [known, unknown]) {
    await turn();
    await each.stage('m0', 'disko');
  }
  assert.equal(known.woken.length, unknown.woken.length);
  assert.equal(known.told[0], unknown.told[0]);
});

test('those that stay silent keep the others waiting for some minutes only', async () => {
  const { woken, pass } = run(40);
  await turn();
  const first = woken.length;
  await pass(170_000);
  assert.equal(woken.length, first);
  await pass(20_000);
  assert.equal(woken.length, Math.min(40, 2 * first));
});

test('one that is called off while it waits leaves at once, and is not woken later', async () => {
  const { waves, woken, stops, held, stage } = run(60);
  await turn();
  const first = woken.length;
  stops.get(`m${first}`)!.abort();
  await turn();
  assert.ok(!held.has(`m${first}`));
  await stage('m0', 'failed');
  assert.ok(woken.includes(`m${first + 1}`));
  waves.close();
});

test('of those that come by themselves so many load as can in their time; the others ask again, and their clock stands', async () => {
  const { waves, held, stage, pass } = run(200);
  await turn();
  const hosts = Array.from({ length: 200 }, (_, i) => ({ name: `m${i}` }) as Host);
  const before = held.size;
  let loading = 0;
  for (const host of hosts) {
    await stage(host.name, 'firmware');
    if (!waves.mayLoad(host)) continue;
    loading++;
    await stage(host.name, 'loading');
  }
  // Half of 600 s at 0.9 Gbit/s for 400 MB each.
  assert.equal(loading, 84);
  assert.ok(waves.mayLoad(hosts[0]!), 'one that loads already may begin anew');
  assert.ok(!waves.mayLoad(hosts[150]!));
  assert.ok(held.has('m150') && held.size >= before);
  await stage('m0', 'registered');
  assert.ok(waves.mayLoad(hosts[150]!));
  assert.ok(!held.has('m150'));
  // One that never asks again has its patience back.
  await stage('m150', 'loading');
  assert.ok(!waves.mayLoad(hosts[152]!));
  await pass(61_000);
  assert.ok(!held.has('m152'));
});

test('machines behind a relay have their own waves', async () => {
  const { woken, told } = run(100, (index) => (index < 50 ? undefined : 'rack7'));
  await turn();
  assert.ok(woken.includes('m0') && woken.includes('m50'));
  assert.equal(told.filter((text) => text.endsWith(' behind rack7')).length, 1);
});

test('a slower wire than thought is found out and told; one that loads alone shows nothing', async () => {
  const { waves, told, pass, stage, woken } = run(100);
  await turn();
  const load = async (machines: number, seconds: number) => {
    for (let second = 1; second <= seconds; second++) {
      await pass(1000);
      for (let i = 0; i < machines; i++) waves.sent({ name: `m${i}` } as Host, 'kernel', second * 1e6);
    }
  };
  await stage('m0', 'loading');
  await load(1, 10);
  await stage('m0', 'loading');
  assert.equal(told.length, 1);
  for (const name of woken) await stage(name, 'loading');
  await load(woken.length, 70);
  await stage('m0', 'loading');
  assert.equal(told.length, 2);
  const minutes = (text: string): number => Number(/about (\d+) min/.exec(text)![1]);
  assert.ok(told[1]!.startsWith('now ') && minutes(told[1]!) > 3 * minutes(told[0]!), told.join('; '));
});

test('so many may load behind a relay as its own network can serve; what comes over the uplink says nothing of that', async () => {
  const { waves, held, pass, stage } = run(40, () => 'rack7');
  const hosts = Array.from({ length: 40 }, (_, i) => ({ name: `m${i}`, relay: 'rack7' }) as Host);
  assert.equal(waves.loads('rack7'), 84);
  for (const { name } of hosts) await stage(name, 'loading');
  let sent = 0;
  const load = async (seconds: number, bytes: number, byUplink: boolean) => {
    for (let second = 0; second < seconds; second++) {
      await pass(1000);
      sent += bytes;
      for (const host of hosts) waves.sent(host, 'kernel', sent, byUplink);
    }
  };
  await load(20, 1e5, true);
  assert.equal(waves.loads('rack7'), 84);
  // 40 MB a second.
  await load(20, 1e6, false);
  assert.ok(waves.loads('rack7') >= 30 && waves.loads('rack7') <= 32, `${waves.loads('rack7')}`);
  // Not for every breath of the wire.
  const before = waves.loads('rack7');
  await load(20, 1.1e6, false);
  assert.equal(waves.loads('rack7'), before);
  const [one] = hosts;
  waves.keptByRelay(one!);
  assert.ok(held.has('m0'));
  await pass(61_000);
  assert.ok(!held.has('m0'));
  // A relay that says so while hardly any load: its machines have their patience.
  for (const { name } of hosts.slice(10)) await stage(name, 'registered');
  waves.keptByRelay(one!);
  assert.ok(!held.has('m0'));
});
