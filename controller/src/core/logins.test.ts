import assert from 'node:assert/strict';
import test from 'node:test';
import type { Master } from '../install/master.ts';
import { type Life, newLife } from '../machine/life.ts';
import { Logins, type LoginWorld } from './logins.ts';
import type { Plan } from './task-world.ts';

const plan = { host: {} } as Plan;

interface Opening {
  readonly address: string;
  readonly signal: AbortSignal;
  readonly knownHosts: string;
}

function scene() {
  const opened: Opening[] = [];
  const ended: string[] = [];
  const removed: string[] = [];
  const timers: (() => void)[] = [];
  const state = { open: true, lost: undefined as string | undefined, hangs: false };
  const world = {
    stateDir: '/state',
    realSsh: '/usr/bin/ssh',
    searchPath: '/usr/bin',
    runKey: { privateFile: '/run/key', publicKey: '' },
    tools: {
      makeRunFolder: async () => {
        const path = `/folder${opened.length}`;
        return { path, keys: `${path}/keys`, shim: `${path}/shim`, remove: async () => void removed.push(path) };
      },
      writeKnownHosts: async (folder: string, keys: readonly string[]) => `${folder} ${keys.join()}`,
      async openMaster({ address, signal, knownHosts }: Opening): Promise<Master> {
        opened.push({ address, signal, knownHosts });
        if (state.hangs) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        const { open } = state;
        return { open: open && !signal.aborted, lost: () => state.lost, close: () => void ended.push(address) };
      },
    },
  } as unknown as LoginWorld;
  const logins = new Logins({
    after(_ms, call) {
      timers.push(call);
      return () => void timers.splice(timers.indexOf(call), timers.includes(call) ? 1 : 0);
    },
  });
  const life = (more: Partial<Life> = {}): Life => ({
    ...newLife('m1', 0),
    bootId: 'b1',
    address: '10.0.0.1',
    sshHostKey: 'ssh-ed25519 AAAA',
    ...more,
  });
  return { logins, world, life, opened, ended, removed, timers, state, never: new AbortController().signal };
}

test('one login serves the look, disko and the install', async () => {
  const { logins, world, life, opened, ended, removed, timers, never } = scene();
  logins.begin(world, plan, life());
  const first = await logins.use(world, plan, life(), never);
  assert.deepEqual([first.controlPath, timers.length], ['/folder0/keys/login', 0]);
  assert.equal(opened[0]!.knownHosts, '/folder0/shim ssh-ed25519 AAAA', 'the key of its agent is believed');
  await logins.done('m1', true);
  assert.equal(timers.length, 1);
  const second = await logins.use(world, plan, life(), never);
  assert.equal(second, first);
  assert.equal(opened.length, 1);
  await logins.done('m1', false);
  assert.deepEqual([ended, removed, timers], [['10.0.0.1'], ['/folder0'], []]);
  await logins.done('m1', false);
  assert.equal(ended.length, 1);
});

test('one that is lost, never came, or is of another boot is not used', async () => {
  const { logins, world, life, opened, ended, removed, state, never } = scene();
  logins.begin(world, plan, life());
  state.lost = 'gone';
  const use = logins.use(world, plan, life(), never);
  await use;
  assert.deepEqual([opened.length, ended.length, removed.length], [2, 1, 1]);
  state.lost = undefined;
  await logins.use(world, plan, life({ bootId: 'b2', address: '10.0.0.2' }), never);
  assert.deepEqual(
    opened.map(({ address }) => address),
    ['10.0.0.1', '10.0.0.1', '10.0.0.2'],
  );
  await logins.close('m1');
  assert.equal(ended.length, 3);
  state.open = false;
  assert.equal((await logins.use(world, plan, life(), never)).master.open, false);
  assert.equal(opened.length, 5, 'tried twice, then done without');
  await logins.closeAll();
  assert.equal(removed.length, opened.length);
});

test('nobody uses it: it ends; a machine without an address has none', async () => {
  const { logins, world, life, opened, ended, removed, timers, never } = scene();
  logins.begin(world, plan, life());
  await new Promise(setImmediate);
  timers.splice(0).forEach((call) => {
    call();
  });
  await new Promise(setImmediate);
  assert.deepEqual([opened.length, ended.length, removed.length], [1, 1, 1]);
  const { address: _, ...nowhere } = life();
  logins.begin(world, plan, nowhere);
  await assert.rejects(logins.use(world, plan, nowhere, never), /gave no address/);
});

test('the end of a task ends its wait for a login', async () => {
  const { logins, world, life, state, removed } = scene();
  state.hangs = true;
  const stop = new AbortController();
  const use = logins.use(world, plan, life(), stop.signal);
  await new Promise(setImmediate);
  stop.abort();
  assert.equal((await use).master.open, false);
  await logins.closeAll();
  assert.equal(removed.length, 1);
});
