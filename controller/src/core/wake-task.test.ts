// A machine that is being woken, under a clock that passes when nothing is left to do.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Proof } from '../install/verify.ts';
import type { Host } from '../machine/host.ts';
import { type Happening, type Life, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { NotLooked } from './place.ts';
import type { Plan, TaskWorld } from './task-world.ts';
import { makeTurns } from './turns.ts';
import { wake } from './wake-task.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const placed = 'ssh-ed25519 PLACED';

interface Shown {
  /** Host key of port 22; undefined: nobody answers. */
  readonly key?: string;
  readonly proof?: Proof;
}

interface Given {
  /** What the machine shows at that second. */
  readonly shows: (second: number) => Shown;
  readonly known?: boolean;
  readonly mayLoseData?: boolean;
  readonly asksFirst?: boolean;
  readonly expects?: (second: number) => boolean;
  readonly installerKey?: string;
  /** At that second nobody can look. */
  readonly unlooked?: (second: number) => boolean;
}

function house(machines: number, given: Given) {
  let now = 0;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  const told: { host: string; second: number; happening: Happening }[] = [];
  let packets = 0;
  let logins = 0;
  let atOnce = 0;
  let most = 0;
  const sleep = (milliseconds: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = { at: now + milliseconds, wake: resolve };
      sleepers.add(sleeper);
      signal?.addEventListener('abort', () => sleepers.delete(sleeper) && resolve());
    });
  const shown = () => given.shows(now / 1000);
  const unlooked = () => given.unlooked?.(now / 1000) === true;
  const ends = new Map<string, AbortController>();
  const asked = async (): Promise<void> => {
    logins++;
    most = Math.max(most, ++atOnce);
    await sleep(1000);
    atOnce--;
  };
  const world = {
    tools: {
      exists: async () => given.known ?? true,
      installedHostKey: async () => ({ publicKey: placed }),
      async prove(): Promise<Proof> {
        await asked();
        return shown().proof ?? { kind: 'unreachable', detail: 'No route to host' };
      },
      async scanHostKey() {
        await asked();
        const { key } = shown();
        return key === undefined ? { kind: 'none', detail: '' } : { kind: 'key', key };
      },
    },
    finder: {
      async find() {
        if (unlooked()) throw new NotLooked('its relay did not say');
        return shown().key === undefined ? [] : ['10.0.0.9'];
      },
    },
    leased: () => (unlooked() ? [] : ['10.0.0.9']),
    mayLoseData: () => given.mayLoseData ?? false,
    asksFirst: given.asksFirst ?? false,
    expects: () => given.expects?.(now / 1000) ?? false,
    installerKey: () => given.installerKey,
    tell(host: string, happening: Happening) {
      told.push({ host, second: now / 1000, happening });
      ends.get(host)?.abort();
    },
    emit() {},
    now: () => now,
    sleep,
    wake: async () => ++packets,
    lookInTurn: makeTurns(16, () => () => {}),
    identities: [],
    stateDir: '/state',
  } as unknown as TaskWorld;
  /** Every machine is woken for so long. */
  const pass = async (seconds: number) => {
    const tasks = Array.from({ length: machines }, (_, index) => {
      const host = { name: `m${index}`, macs: ['52:54:00:00:00:01' as Mac] } as unknown as Host;
      const plan = { host, system: { toplevel: { out: '/nix/store/x' } } } as unknown as Plan;
      const abort = new AbortController();
      ends.set(host.name, abort);
      const life: Life = { ...newLife(host.name, 0), stage: 'waking' };
      return wake(world, plan, life, abort.signal);
    });
    for (await turn(); ; await turn()) {
      const next = [...sleepers].sort((one, other) => one.at - other.at)[0];
      if (next === undefined || next.at > seconds * 1000) break;
      now = next.at;
      for (const each of [...sleepers]) if (each.at <= now && sleepers.delete(each)) each.wake();
    }
    for (const abort of ends.values()) abort.abort();
    for (const each of sleepers) each.wake();
    await Promise.all(tasks);
  };
  return { pass, told, packets: () => packets, logins: () => logins, most: () => most };
}
const proved: Shown = { key: placed, proof: { kind: 'proved', toplevel: '/nix/store/x', by: 'key' } };
const another: Shown = { key: 'ssh-ed25519 OTHER', proof: { kind: 'wrong-key', detail: '' } };

test('one that comes up from its disk and is proved is skipped, and sent no more packets', async () => {
  const { pass, told, packets } = house(1, { shows: (second) => (second < 80 ? {} : proved) });
  await pass(900);
  assert.deepEqual(
    told.map(({ happening }) => happening),
    [{ kind: 'found-proved', address: '10.0.0.9' }],
  );
  assert.ok(told[0]!.second < 160, `${told[0]!.second}`);
  assert.ok(packets() < 10, `${packets()}`);
});

test('a doubt must be seen twice, and one that is over is forgotten', async () => {
  const passing = house(1, { shows: (second) => (second < 60 ? another : second < 120 ? {} : proved) });
  await passing.pass(900);
  assert.deepEqual(
    passing.told.map(({ happening }) => happening.kind),
    ['found-proved'],
  );
  const lasting = house(1, { shows: () => another });
  await lasting.pass(900);
  assert.equal(lasting.told.length, 1);
  const { happening, second } = lasting.told[0]!;
  assert.ok(happening.kind === 'found-doubtful' && /did not place/.test(happening.reason));
  assert.ok(second > 90 && second < 110, `${second}`);
});

test('nobody at home is no news: nothing is told but the packets', async () => {
  const { pass, told, packets } = house(1, { shows: () => ({}) });
  await pass(900);
  assert.deepEqual(told, []);
  assert.ok(packets() >= 30, `${packets()}`);
});

test('an installer that is about to register is no doubt, whichever life of the controller gave it its script', async () => {
  for (const known of [true, false]) {
    const expected = house(1, { known, shows: () => another, expects: (second) => second < 400 });
    await expected.pass(390);
    assert.deepEqual(expected.told, []);
    const late = house(1, { known, shows: () => another, expects: (second) => second < 400 });
    await late.pass(900);
    assert.deepEqual(
      late.told.map(({ happening }) => happening.kind),
      ['found-doubtful'],
    );
    const registered = house(1, { known, shows: () => another, installerKey: another.key! });
    await registered.pass(900);
    assert.deepEqual(registered.told, []);
  }
});

test('one that the operator wants installed again is not looked at by a run, and is by a service', async () => {
  const run = house(1, { shows: () => proved, mayLoseData: true });
  await run.pass(900);
  assert.deepEqual([run.told, run.logins()], [[], 0]);
  const service = house(1, { shows: () => proved, mayLoseData: true, asksFirst: true });
  await service.pass(900);
  assert.equal(service.told[0]?.happening.kind, 'found-proved');
});

test('a thousand machines cost no more than sixteen logins at once, and all are found', async () => {
  const { pass, told, most, logins } = house(1000, { shows: (second) => (second < 100 ? {} : proved) });
  await pass(300);
  assert.equal(new Set(told.map(({ host }) => host)).size, 1000);
  assert.equal(most(), 16);
  assert.ok(logins() <= 16 * 300, `${logins()}`);
});

test('a look that can not be had neither ends a wake nor a doubt', async () => {
  const { pass, told, packets } = house(1, {
    shows: () => another,
    mayLoseData: true,
    asksFirst: true,
    // The second look.
    unlooked: (second) => second < 1 || (second > 60 && second < 100),
  });
  await pass(900);
  assert.deepEqual(
    told.map(({ happening }) => happening.kind),
    ['found-doubtful'],
  );
  assert.ok(told[0]!.second > 120 && told[0]!.second < 200, `${told[0]!.second}`);
  assert.ok(packets() > 3);
});
