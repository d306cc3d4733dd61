// Where secrets stand in the life of a machine: all sources are read before anything is written, keys reach disko alone, files the install alone.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { noMaster } from '../install/master.ts';
import { makeRedactor } from '../install/redact.ts';
import type { RunOptions } from '../install/run.ts';
import { Secrets } from '../install/secrets.ts';
import type { Host, SecretSource } from '../machine/host.ts';
import { type Happening, type Life, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { Account } from './account.ts';
import { Logins } from './logins.ts';
import { realTools, runTask, type TaskWorld } from './tasks.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-secret-tasks-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const mac = '52:54:00:00:00:01' as Mac;
const inventory = Inventory.fromPartial({
  nics: [{ name: 'eth0', mac }],
  disks: [
    {
      name: 'vda',
      path: '/dev/vda',
      serial: 'S1',
      sizeBytes: 8_000_000_000n,
      hasData: false,
      inUse: false,
      table: 'none',
    },
  ],
});

/** A world in which phases are only looked at. */
function play(secrets: { key: SecretSource; file: SecretSource }) {
  const host: Host = {
    name: 'm1',
    flakeAttr: 'm1',
    macs: [mac],
    system: 'x86_64-linux',
    tags: [],
    boot: [],
    expectDisks: [],
    wipe: false,
    secrets: {
      diskKeys: [{ path: '/tmp/disk.key', source: secrets.key }],
      files: [{ path: '/etc/secret', source: secrets.file, mode: 0o400, owner: '7:8' }],
    },
  };
  const told: Happening[] = [];
  const phases: { argv: string; keys: string[]; file: string | undefined }[] = [];
  const redactor = makeRedactor();
  const world = {
    plans: new Map([
      [
        'm1',
        {
          host,
          system: { toplevel: { out: '/nix/store/t' }, diskoScript: { out: '/nix/store/d' } },
          closure: { sizes: new Map() },
        },
      ],
    ]),
    // It can't let go of the disks, so that the reboot is nixos-anywhere's.
    agents: {
      connected: async () => {},
      session: () => 1,
      instruct: async (_host: string, { $case }: { $case: string }) => ({ ok: $case !== 'resetDisks', inventory }),
    },
    looks: new Map(),
    inventory: () => inventory,
    keepInventory: () => {},
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: () => {},
    now: () => 0,
    inTurn: async (call: () => Promise<void>) => await call(),
    answersCurrent: async () => {},
    mayLoseData: () => false,
    runKey: { privateFile: '/run/key', publicKey: '' },
    proofKey: { privateFile: '/proof/key', publicKey: 'ssh-ed25519 AAAA' },
    logins: new Logins(),
    stateDir: folder,
    nixosAnywhere: '/nixos-anywhere',
    realSsh: '/usr/bin/ssh',
    searchPath: '/usr/bin:/bin',
    nixEnv: {},
    secrets: new Secrets({
      folder,
      env: { PATH: process.env.PATH, KEY: 'opensesame', FILE: 'content-of-file' },
      prompted: new Map(),
      redactor,
      warn: () => {},
    }),
    tools: {
      ...realTools,
      openMaster: async () => noMaster,
      writeKnownHosts: async () => '',
      writeShim: async () => '',
      installedHostKey: async () => ({ privateFile: '/k', publicKey: '', origin: 'kept' }),
      stageExtraFiles: async (path: string) => ({ path, remove: async () => {} }),
      runPhase: async ({ plan, descriptors = [] }: RunOptions) => {
        const at = plan.argv.indexOf('--extra-files');
        phases.push({
          argv: plan.argv.join(' '),
          keys: descriptors.map((each) => readFileSync(`/proc/self/fd/${each}`, 'utf8')),
          file: at < 0 ? undefined : readFileSync(join(plan.argv[at + 1]!, 'etc/secret'), 'utf8'),
        });
        return { ok: true, seconds: 1, shows: 'finished', tail: [] };
      },
    },
  } as unknown as TaskWorld;
  const life: Life = { ...newLife('m1', 0), mac, address: '10.0.0.7', sshHostKey: 'ssh-ed25519 AAAA', bootId: 'b' };
  const run = (task: Parameters<typeof runTask>[1]) => runTask(world, task, life, new AbortController().signal);
  return { run, told, phases, redactor };
}
const env = (name: string): SecretSource => ({ kind: 'env', name });

test('a source that fails ends it before the disks are free, whether it is needed then or later', async () => {
  for (const [secrets, want] of [
    [
      { key: env('GONE'), file: env('FILE') },
      /^read disk key \/tmp\/disk.key of m1 \(env:GONE\): the variable GONE is not set/,
    ],
    [{ key: env('KEY'), file: env('GONE') }, /^read file \/etc\/secret of m1 \(env:GONE\): /],
  ] as const) {
    const { run, told } = play(secrets);
    await assert.rejects(run('preflight'), { message: want });
    assert.deepEqual(
      told.map(({ kind }) => kind),
      ['inspecting'],
    );
  }
});

test('keys are open for disko alone, files are staged for the install alone, and no value is an argument', async () => {
  const { run, told, phases } = play({ key: env('KEY'), file: env('FILE') });
  for (const task of ['preflight', 'disko', 'install', 'reboot'] as const) await run(task);
  assert.ok(told.some(({ kind }) => kind === 'disks-free'));
  assert.deepEqual(
    phases.map(({ keys, file }) => ({ keys, file })),
    [
      { keys: ['opensesame'], file: undefined },
      { keys: [], file: 'content-of-file' },
      { keys: [], file: undefined },
    ],
  );
  assert.match(phases[0]!.argv, /--disk-encryption-keys \/tmp\/disk.key \/dev\/fd\/3/);
  assert.match(phases[1]!.argv, /--chown \/etc\/secret 7:8/);
  for (const { argv } of phases) assert.doesNotMatch(argv, /opensesame|content-of/);
});

test('what is told of a run is masked, whoever tells it', async () => {
  const { run, redactor } = play({ key: env('KEY'), file: env('FILE') });
  await run('preflight');
  const shown: string[] = [];
  const watched: string[] = [];
  const account = new Account({
    hosts: { all: () => [], named: () => undefined },
    life: () => undefined,
    toplevel: () => undefined,
    agentConnected: () => false,
    show: (event) => void shown.push(JSON.stringify(event)),
    proved: () => {},
    redactor,
    now: () => 0,
    ticks: () => 0,
  });
  account.watch((message) => void watched.push(JSON.stringify(message)));
  account.emit({ event: 'log', at: '', host: 'm1', source: 'disko', text: 'key is opensesame' });
  account.notice('warning', `seen ${Buffer.from('opensesame').toString('base64')}`);
  const all = [...shown, ...watched];
  assert.equal(all.length, 4);
  for (const text of all) {
    assert.doesNotMatch(text, /opensesame|b3BlbnNlc2FtZQ/);
    assert.match(text, /\[disk key \/tmp\/disk.key of m1\]/);
  }
});
