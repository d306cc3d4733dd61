// The second look at the disks, right before the first byte is written.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import { type Happening, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { runTask, type TaskWorld } from './tasks.ts';

const mac = '52:54:00:00:00:01' as Mac;
const inventoryOf = (hasData: boolean, serial = 'S1') =>
  Inventory.fromPartial({
    nics: [{ name: 'eth0', mac }],
    disks: [{ name: 'sda', path: '/dev/sda', serial, sizeBytes: 8_000_000_000n, hasData, inUse: false }],
  });
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

type State = { now: number; session: number; disks: Inventory };

/** Runs the pre-flight and then disko, up to where the phase would begin. @param cut what is so when disko was cut off, and begins again */
async function play(between: (world: State) => void, mayLoseData = false, cut?: (world: State) => void) {
  const state = { now: 1_000_000, session: 1, disks: inventoryOf(false) };
  const told: Happening[] = [];
  let looks = 0;
  const notices: string[] = [];
  const begun = new Map<string, ReadonlySet<string>>();
  const world = {
    plans: new Map([
      [
        'm1',
        {
          host,
          system: { diskDevices: { main: '/dev/sda' }, diskoScript: { out: '/d' }, toplevel: { out: '/t' } },
          closure: { sizes: new Map() },
        },
      ],
    ]),
    agents: {
      connected: async () => {},
      session: () => state.session,
      instruct: async (_host: string, { $case }: { $case: string }) => {
        if ($case === 'inspect') looks++;
        return { ok: true, error: '', inventory: state.disks };
      },
    },
    logins: { begin() {}, close: async () => {} },
    looks: new Map(),
    begun: {
      get: () => begun.get('m1'),
      set: (_host: string, _boot: string, disks: ReadonlySet<string>) => void begun.set('m1', disks),
      clear: () => {},
    },
    inventory: () => inventoryOf(false),
    keepInventory: () => {},
    fullInventory: () =>
      Inventory.fromPartial({
        disks: [{ ...inventoryOf(false).disks[0]!, path: '/dev/sdz', health: { verdict: 'fail' } }],
      }),
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: (event: RunEvent) =>
      void (event.event === 'notice' && notices.push(`${event.level} ${event.host} ${event.text}`)),
    now: () => state.now,
    mayLoseData: () => mayLoseData,
    stateDir: '/',
    tools: {
      makeRunFolder: () => {
        throw new Error('the phase began');
      },
    },
  } as unknown as TaskWorld;
  const life = { ...newLife('m1', 0), mac, address: '10.0.0.7', sshHostKey: 'ssh-ed25519 AAAA', bootId: 'b' };
  const signal = new AbortController().signal;
  await runTask(world, 'preflight', life, signal);
  assert.deepEqual(
    told.map(({ kind }) => kind),
    ['inspecting', 'disks-free'],
  );
  // Told in the pre-flight, and no reason to refuse it.
  assert.deepEqual(notices, [
    'warning m1 its disk /dev/sda (8.0 GB, S1) says that it fails (SMART), and is going to be installed on',
  ]);
  between(state);
  const disko = () =>
    runTask(world, 'disko', life, signal).then(
      () => false,
      (error: Error) => /the phase began/.test(error.message),
    );
  let began = await disko();
  if (cut !== undefined) {
    assert.ok(began);
    cut(state);
    began = await disko();
  }
  const last = told.at(-1);
  return { looks, began, noted: begun.size > 0, refused: last?.kind === 'disks-refused' ? last.reason : undefined };
}

const reconnect = (state: { session: number }): void => {
  state.session = 2;
};
const wait =
  (milliseconds: number) =>
  (state: { now: number }): void => {
    state.now += milliseconds;
  };

test('right after the look, over the same connection, there is no second one', async () => {
  assert.deepEqual(await play(() => {}), { looks: 1, began: true, noted: true, refused: undefined });
});

test('after another connection, or a while, it is looked again; what is as it was goes on', async () => {
  const again = { looks: 2, began: true, noted: true, refused: undefined };
  assert.deepEqual(await play(reconnect), again);
  assert.deepEqual(await play(wait(60_000)), again);
  assert.deepEqual(await play(wait(-60_000)), again, 'a clock that was set back');
});

test('data that came in between is not ours, though the disk was free: nothing is written', async () => {
  const { looks, began, noted, refused } = await play((state) => {
    state.session = 2;
    state.disks = inventoryOf(true);
  });
  assert.deepEqual([looks, began, noted], [2, false, false]);
  assert.match(refused ?? '', /--reinstall m1/);
  const other = await play((state) => {
    state.session = 2;
    state.disks = inventoryOf(false, 'S2');
  }, true);
  assert.equal(other.began, false, 'another disk in its place, even where data may be lost');
});

test('what disko has written before it was cut off is ours when it begins again', async () => {
  const written = (state: State) => {
    state.session = 2;
    state.disks = inventoryOf(true);
  };
  assert.deepEqual(await play(() => {}, false, written), { looks: 2, began: true, noted: true, refused: undefined });
  const sameSession = (state: State) => {
    state.disks = inventoryOf(true);
  };
  assert.equal((await play(() => {}, false, sameSession)).looks, 2, 'the agent that links the disk compares with it');
  const other = await play(
    () => {},
    false,
    (state) => {
      state.session = 2;
      state.disks = inventoryOf(true, 'S2');
    },
  );
  assert.equal(other.began, false, 'another disk in its place');
});
