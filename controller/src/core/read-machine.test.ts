import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { type Happening, type Life, newLife } from '../machine/life.ts';
import type { Task } from './core.ts';
import { type ReadWorld, readTask } from './read-machine.ts';

const quick = Inventory.fromPartial({ boot: { bootId: 'b' }, disks: [{ path: '/dev/sda', hasData: true }] });
const full = Inventory.fromPartial({ ...quick, depth: 'full', tpm: { present: true } });

/** A virtual clock; the full inventory comes after `fullAt`, the report of nixos-facter after `facterAt` milliseconds. */
function play(more: { fullAt?: number; facterAt?: number; missing?: string; full?: Inventory; fails?: string } = {}) {
  const { fullAt = 1000, facterAt = Number.POSITIVE_INFINITY } = more;
  let ticks = 0;
  const said: string[] = [];
  const told: Happening[] = [];
  const kept: Parameters<ReadWorld['keep']>[1][] = [];
  const world: ReadWorld = {
    agents: {
      connected: async () => {},
      async instruct(_host, action) {
        said.push(action.$case);
        const ok = more.fails === undefined;
        return { id: '', ok, error: more.fails ?? '', inventory: action.$case === 'inspect' && ok ? quick : undefined };
      },
    },
    full: () => (ticks >= fullAt ? (more.full ?? full) : undefined),
    facter: () => (ticks >= facterAt ? Buffer.from('{}') : undefined),
    facterMissing: () => (ticks >= facterAt ? undefined : more.missing),
    keep(_life, known) {
      kept.push(known);
      return 'it was read as a';
    },
    tell: (_host, happening) => void told.push(happening),
    sleep: async (milliseconds) => {
      ticks += milliseconds;
    },
    ticks: () => ticks,
  };
  const life: Life = { ...newLife('m1', 0), bootId: 'b' };
  const run = (task: Task, signal = new AbortController().signal) => readTask(world, task, life, signal);
  return { run, said, told, kept, now: () => ticks };
}

test('a machine is read as a whole, then its run has ended, then it is switched off', async () => {
  const { run, said, told, kept, now } = play({ facterAt: 5000 });
  await run('preflight');
  assert.deepEqual(told, [{ kind: 'inspecting' }, { kind: 'disks-refused', reason: 'it was read as a' }]);
  assert.equal(kept[0]?.inventory.tpm?.present, true);
  assert.equal(kept[0]?.inventory.disks[0]?.hasData, true);
  assert.equal(kept[0]?.facter?.toString(), '{}');
  assert.ok(now() < 6000);
  await run('leave');
  assert.deepEqual(said, ['inspect', 'powerOff']);
});

test('what its agent says it has not got is not waited for', async () => {
  const { run, kept, now } = play({ missing: 'not-installed' });
  await run('preflight');
  assert.equal(kept[0]?.facter, undefined);
  assert.ok(now() <= 1250, `${now()} ms`);
});

test('what does not come is not waited for for ever, and what is of another boot is not believed', async () => {
  const never = play({ fullAt: Number.POSITIVE_INFINITY });
  await never.run('preflight');
  assert.deepEqual(never.kept[0], { inventory: quick, facter: undefined });
  assert.ok(never.now() <= 175_000, `${never.now()} ms`);
  const other = play({ full: Inventory.fromPartial({ ...full, boot: { bootId: 'a' } }) });
  await other.run('preflight');
  assert.deepEqual(other.kept[0]?.inventory, quick);
  const fails = play({ fails: 'no' });
  await assert.rejects(fails.run('preflight'), /read it: no/);
  assert.deepEqual(fails.kept, []);
  await fails.run('leave');
});

test('nothing that writes is known to it: those tasks are errors, and nobody is woken', async () => {
  const { run, said, told } = play();
  for (const task of ['disko', 'install', 'reboot', 'restart', 'prove'] as const)
    await assert.rejects(run(task), /this run only reads/);
  await run('wake');
  await run('probe');
  assert.deepEqual([said, told], [[], [{ kind: 'found-nobody' }]]);
});

test('a run that ends in the middle keeps nothing half', async () => {
  const { run, kept, told } = play();
  await run('preflight', AbortSignal.abort());
  assert.deepEqual([kept, told.length], [[], 1]);
});
