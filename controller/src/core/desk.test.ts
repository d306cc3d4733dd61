import assert from 'node:assert/strict';
import test from 'node:test';
import { patience } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { Core } from './core.ts';
import { cancel, type DeskWorld, retry } from './desk.ts';

function desk(built = true) {
  const calls: string[] = [];
  const core = new Core(
    {
      now: () => 0,
      ticks: () => 0,
      after: () => () => {},
      journal: { write() {}, close() {} },
      emit() {},
      run: async () => {},
      changed() {},
    },
    patience,
  );
  core.add('m1');
  const world: DeskWorld = {
    core,
    account: { forgetLog: (host) => void calls.push(`forget ${host}`) },
    admission: { begunAnew: (host, boot) => void calls.push(`anew ${host} ${boot}`) },
    built: () => built,
    renewConsent: (host) => void calls.push(`renew ${host}`),
    bootOf: () => 'b1',
  };
  return { core, world, calls };
}

test('a failed machine begins anew, with nothing left of its first attempt', () => {
  const { core, world, calls } = desk();
  assert.deepEqual(retry(world, 'm1'), { refused: "retry can't happen while m1 is planned" });
  for (const kind of ['begin', 'found-nobody'] as const) core.happened('m1', { kind });
  core.happened('m1', { kind: 'failed', reason: 'x' });
  assert.equal(retry(world, 'm1'), undefined);
  assert.equal(core.life('m1')?.stage, 'waking');
  assert.deepEqual(calls, ['forget m1', 'anew m1 b1']);
});

test('a retry of one that was refused renews the consent to lose its data, one of a failed machine does not', () => {
  const { core, world, calls } = desk();
  for (const kind of ['begin', 'found-nobody'] as const) core.happened('m1', { kind });
  const registered = { kind: 'agent-registered', mac: 'm' as Mac, address: 'a', sshHostKey: 'k', bootId: 'b' } as const;
  core.happened('m1', registered);
  core.happened('m1', { kind: 'disks-refused', reason: 'data' });
  assert.equal(retry(world, 'm1'), undefined);
  assert.deepEqual(calls.splice(0), ['renew m1', 'forget m1', 'anew m1 b1']);
  core.happened('m1', { kind: 'failed', reason: 'x' });
  assert.equal(retry(world, 'm1'), undefined);
  assert.deepEqual(calls, ['forget m1', 'anew m1 b1']);
});

test('one for which nothing was built is refused with the reason', () => {
  const { core, world, calls } = desk(false);
  core.happened('m1', { kind: 'failed', reason: 'attribute m1 is missing' });
  assert.match(retry(world, 'm1')?.refused ?? '', /failed in the preparation \(attribute m1 is missing\).*new run/);
  assert.equal(core.life('m1')?.stage, 'failed');
  assert.deepEqual(calls, []);
});

test('nothing is lost in silence when the run is ending', async () => {
  const { core, world } = desk();
  core.happened('m1', { kind: 'failed', reason: 'x' });
  await core.close(1);
  assert.deepEqual(retry(world, 'm1'), { refused: 'the run is ending' });
  assert.deepEqual(cancel(world, 'm1'), { refused: 'the run is ending' });
});
