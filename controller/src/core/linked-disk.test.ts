// The disk that hints mean, on its way to disko: judged, told, linked right before each run of disko, and never without a link.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { noMaster } from '../install/master.ts';
import type { PhaseResult } from '../install/run.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import { type Happening, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { Logins } from './logins.ts';
import { type Action, realTools, runTask, type TaskWorld } from './tasks.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-hinted-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const mac = '52:54:00:00:00:01' as Mac;
const disk = (name: string, sizeBytes: bigint, hasData: boolean) => ({
  name,
  path: `/dev/${name}`,
  serial: name.toUpperCase(),
  sizeBytes,
  hasData,
  inUse: false,
});
const inventory = Inventory.fromPartial({
  nics: [{ name: 'eth0', mac }],
  disks: [disk('sda', 8_000_000_000n, true), disk('sdb', 2_000_000_000n, false)],
});
const done: PhaseResult = { ok: true, seconds: 1, shows: 'finished', tail: [] };
const lost: PhaseResult = {
  ok: false,
  cause: 'connection-lost',
  sentence: 'lost',
  step: 'disko',
  seconds: 1,
  tail: [],
};

function play(
  hints: Host['disk'],
  ends: PhaseResult[] = [done],
  link: () => { ok: boolean; error: string } = () => ({ ok: true, error: '' }),
) {
  const host: Host = {
    name: 'm1',
    flakeAttr: 'm1',
    macs: [mac],
    system: 'x86_64-linux',
    tags: [],
    boot: [],
    expectDisks: [],
    wipe: false,
    ...(hints === undefined ? {} : { disk: hints }),
  };
  const told: Happening[] = [];
  const events: RunEvent[] = [];
  /** Instructions and phases in their order. */
  const did: (Action | { $case: 'phase' })[] = [];
  const system = {
    toplevel: { out: '/nix/store/t' },
    diskoScript: { out: '/nix/store/d' },
    diskDevices: { main: hints === undefined ? '/dev/disk/by-id/x' : '/dev/nixie/disk' },
  };
  const world = {
    plans: new Map([['m1', { host, system, closure: { sizes: new Map() } }]]),
    agents: {
      connected: async () => {},
      session: () => 1,
      instruct: async (_host: string, action: Action) => {
        did.push(action);
        return { ok: true, error: '', inventory, ...(action.$case === 'linkDisk' ? link() : {}) };
      },
    },
    looks: new Map([['m1', { session: 1, at: 0, registered: inventory, begun: undefined, targets: [] }]]),
    inventory: () => inventory,
    keepInventory: () => {},
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: (event: RunEvent) => void events.push(event),
    now: () => 0,
    keepLog: () => {},
    mayLoseData: () => false,
    runKey: { privateFile: '/run/key', publicKey: '' },
    logins: new Logins(),
    stateDir: folder,
    nixosAnywhere: '/nixos-anywhere',
    realSsh: '/usr/bin/ssh',
    searchPath: '/usr/bin:/bin',
    nixEnv: {},
    tools: {
      ...realTools,
      openMaster: async () => noMaster,
      writeKnownHosts: async () => '',
      writeShim: async () => '',
      runPhase: async () => {
        did.push({ $case: 'phase' });
        return ends.shift() ?? done;
      },
    },
  } as unknown as TaskWorld;
  const life = { ...newLife('m1', 0), mac, address: '10.0.0.7', sshHostKey: 'ssh-ed25519 AAAA', bootId: 'b' };
  const run = (task: 'preflight' | 'disko') => runTask(world, task, life, new AbortController().signal);
  return { run, told, events, did, kinds: () => told.map(({ kind }) => kind) };
}

const smallest = { maxSizeBytes: 4_000_000_000 };

test('the disk is told before it is written to, and linked between the last look and disko', async () => {
  const { run, events, did, kinds } = play(smallest);
  await run('preflight');
  assert.deepEqual(kinds(), ['inspecting', 'disks-free']);
  assert.deepEqual(
    events.filter(({ event }) => event === 'disks'),
    [
      {
        event: 'disks',
        at: '1970-01-01T00:00:00.000Z',
        host: 'm1',
        disks: [{ path: '/dev/sdb', size_bytes: 2_000_000_000, serial: 'SDB', link: '/dev/nixie/disk' }],
      },
    ],
  );
  did.length = 0;
  await run('disko');
  assert.deepEqual(
    did.map(({ $case }) => $case),
    ['linkDisk', 'phase'],
  );
  const [first] = did;
  assert.ok(first?.$case === 'linkDisk');
  const { path, serial, sizeBytes, blank } = first.value;
  assert.deepEqual([path, serial, sizeBytes, blank], ['/dev/sdb', 'SDB', 2_000_000_000n, true]);
});

test('a second run of disko is linked anew, and may find what the first has written', async () => {
  const { run, did, kinds } = play(smallest, [lost, done]);
  await run('disko');
  assert.deepEqual(
    did.map(({ $case }) => $case),
    ['linkDisk', 'phase', 'resetDisks', 'linkDisk', 'phase'],
  );
  assert.deepEqual(
    did.flatMap((each) => (each.$case === 'linkDisk' ? [each.value.blank] : [])),
    [true, false],
  );
  assert.deepEqual(kinds(), ['disko-ended']);
});

test('hints that mean two disks or one with data are refused, and no disko is run', async () => {
  for (const [hints, want] of [
    [{ minSizeBytes: 1 }, /2 of its disks fit/],
    [{ serial: 'SDA' }, /\/dev\/sda .* holds data/],
  ] as const) {
    const { run, told, did } = play(hints);
    await run('preflight');
    const last = told.at(-1);
    assert.match(last?.kind === 'disks-refused' ? last.reason : '', want);
    assert.deepEqual(
      did.map(({ $case }) => $case),
      ['inspect'],
    );
  }
});

test('a disk that is another one by the time of the link ends it: disko is not run', async () => {
  const { run, did } = play(smallest, [done], () => ({ ok: false, error: '/dev/sdb is another disk by now' }));
  await assert.rejects(run('disko'), /make \/dev\/nixie\/disk lead to \/dev\/sdb: \/dev\/sdb is another disk by now/);
  assert.deepEqual(
    did.map(({ $case }) => $case),
    ['linkDisk'],
  );
});

test('an agent that can not be reached for the link is a lost connection: once more, then a fresh boot', async () => {
  let answers = 0;
  const gone = () => {
    if (answers++ < 1) throw new Error('its agent is not connected');
    return { ok: true, error: '' };
  };
  const once = play(smallest, [done], gone);
  await once.run('disko');
  assert.deepEqual(once.kinds(), ['disko-ended']);
  const never = play(smallest, [done], () => {
    throw new Error('its agent is not connected');
  });
  await never.run('disko');
  assert.deepEqual(never.kinds(), ['stuck']);
  assert.ok(never.did.every(({ $case }) => $case !== 'phase'));
});

test('a layout that names its disks itself has no link made', async () => {
  const { run, did } = play(undefined);
  await run('disko');
  assert.deepEqual(
    did.map(({ $case }) => $case),
    ['phase'],
  );
});
