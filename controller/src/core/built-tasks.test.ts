// What tasks do while the system of a machine is still built, and when it never will be.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import { type Happening, type Life, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import type { Stage } from '../machine/stage.ts';
import type { Closure } from '../nix/closure.ts';
import { Logins } from './logins.ts';
import { Plans } from './plans.ts';
import type { Plan, TaskWorld } from './task-world.ts';
import { runTask } from './tasks.ts';

const host = { name: 'm1', macs: ['52:54:00:00:00:01' as Mac] } as unknown as Host;
const closure: Closure = { bytes: 1, sizes: new Map(), paths: new Map() };
const evaluated = { host, system: { toplevel: { out: '/t' }, diskoScript: { out: '/d' } } } as Plan;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** @param boot of its agent; null: it was never heard of */
function scene(stage: Stage, more: Partial<Life> = {}, boot: string | null = 'b') {
  const told: Happening[] = [];
  const orders: string[] = [];
  const phases: string[] = [];
  const state = { begun: false };
  const plans = new Plans({ waits: () => () => {} });
  plans.put(evaluated);
  const world = {
    plans,
    whenBuilt: (name: string, signal: AbortSignal) => plans.whenBuilt(name, signal),
    buildFailed: (name: string) => plans.failed(name),
    agents: {
      connected: async () => void orders.push('connected'),
      session: () => 1,
      instruct: async (_host: string, { $case }: { $case: string }) => {
        orders.push($case);
        return { ok: false, error: 'no disks here' };
      },
    },
    begun: { get: () => (state.begun ? new Set(['S1']) : undefined), set: () => {}, clear: () => {} },
    looks: new Map(),
    inventory: () => ({ disks: [] }),
    keepInventory: () => {},
    inTurn: async (call: () => Promise<void>) => await call(),
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: () => {},
    now: () => 0,
    mayLoseData: () => false,
    logins: new Logins(),
    stateDir: '/nowhere',
    tools: { makeRunFolder: async () => void phases.push('phase') },
  } as unknown as TaskWorld;
  const there = boot === null ? {} : { bootId: boot, address: 'a', sshHostKey: 'k' };
  const life: Life = { ...newLife('m1', 0), stage, ...there, ...more };
  const stop = new AbortController();
  return {
    plans,
    told,
    orders,
    phases,
    state,
    stop,
    run: (task: Parameters<typeof runTask>[1]) => runTask(world, task, life, stop.signal),
  };
}

test('a machine that is quicker than its build is not looked at before that is there, and its agent must still be', async () => {
  const { run, plans, told, orders } = scene('registered');
  const preflight = run('preflight');
  await turn();
  assert.deepEqual([told, orders], [[], ['connected']]);
  plans.put({ ...evaluated, closure });
  await assert.rejects(preflight, /no disks here/);
  assert.deepEqual(orders, ['connected', 'connected', 'inspect']);
  assert.equal(told[0]?.kind, 'inspecting');
});

test('one that is called off while it waits does nothing any more', async () => {
  const { run, told, orders, stop } = scene('registered');
  const preflight = run('preflight');
  await turn();
  stop.abort();
  await preflight;
  assert.deepEqual([told, orders], [[], ['connected']]);
});

test('without its build no disk is partitioned and nothing is installed, whoever asks for it', async () => {
  for (const task of ['disko', 'install'] as const) {
    const { run, phases } = scene(task === 'disko' ? 'disko' : 'copy');
    await assert.rejects(run(task), /its system is not built/);
    assert.deepEqual(phases, []);
  }
  const { run, plans } = scene('registered');
  plans.fail('m1');
  await assert.rejects(run('preflight'), /its system is not built/);
});

test('a machine that waited for a build that failed is switched off; one that failed for itself is left for a look', async () => {
  const waited = scene('failed');
  waited.plans.fail('m1');
  await waited.run('leave');
  assert.deepEqual(waited.orders, ['powerOff']);

  const itself = scene('failed');
  await itself.run('leave');
  assert.deepEqual(itself.orders, []);

  const silent = scene('failed', {}, null);
  silent.plans.fail('m1');
  await silent.run('leave');
  assert.deepEqual(silent.orders, [], 'nobody is there to be told');

  const half = scene('failed');
  half.plans.fail('m1');
  half.state.begun = true;
  await half.run('leave');
  assert.deepEqual(half.orders, [], 'an earlier life began to write: only in this boot it may go on');

  const installed = scene('failed', { spent: { rebooting: 1 } });
  installed.plans.fail('m1');
  await installed.run('leave');
  assert.deepEqual(installed.orders, []);
});
