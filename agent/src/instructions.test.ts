import assert from 'node:assert/strict';
import test from 'node:test';
import type { Instruction } from '@nixie/proto/agent';
import { type Hands, Instructions } from './instructions.ts';

function hands(): Hands & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    inspect: async () => {
      calls.push('inspect');
      return { schemaVersion: calls.length } as never;
    },
    resetDisks: async () => {
      calls.push('reset');
      throw new Error('/mnt is still mounted');
    },
    linkDisk: async ({ path }) => void calls.push(`link ${path}`),
    abort: async () => void calls.push('abort'),
    authorize: (lines) => void calls.push(`authorize ${lines.join()}`),
    useCache: ({ port, path }) => void calls.push(`cache ${port}${path}`),
    power: (action, delayMs) => void calls.push(`${action} ${delayMs}`),
  };
}

const power = (id: string): Instruction => ({ id, action: { $case: 'reboot', value: { delayMs: 5 } } });

test('each id runs once and answers the same again', async () => {
  const own = hands();
  const instructions = new Instructions(own);
  const [first, second] = await Promise.all([instructions.run(power('a')), instructions.run(power('a'))]);
  assert.deepEqual(first, second);
  assert.deepEqual(await instructions.run(power('a')), { id: 'a', ok: true, error: '', inventory: undefined });
  assert.deepEqual(own.calls, ['reboot 5']);
  const inspect: Instruction = { id: 'b', action: { $case: 'inspect', value: {} } };
  assert.equal((await instructions.run(inspect)).inventory?.schemaVersion, 2);
  assert.equal((await instructions.run(inspect)).inventory?.schemaVersion, 2);
});

test('a failure and an unknown action are answers, not exceptions', async () => {
  const instructions = new Instructions(hands());
  const failed = await instructions.run({ id: 'a', action: { $case: 'resetDisks', value: {} } });
  assert.deepEqual([failed.ok, failed.error], [false, '/mnt is still mounted']);
  const unknown = await instructions.run({ id: 'b', action: undefined });
  assert.equal(unknown.ok, false);
  assert.match(unknown.error, /does not know/);
});

test('only so many results are kept', async () => {
  const own = hands();
  const instructions = new Instructions(own, 2);
  for (const id of ['a', 'b', 'c', 'c', 'a']) await instructions.run(power(id));
  assert.equal(own.calls.length, 4);
});

test('new keys are put in place, and a line that is no key is a failure', async () => {
  const own = hands();
  const give = (id: string): Instruction => ({
    id,
    action: { $case: 'authorize', value: { authorizedKeys: ['k1', 'k2'] } },
  });
  assert.equal((await new Instructions(own).run(give('a'))).ok, true);
  assert.deepEqual(own.calls, ['authorize k1,k2']);
  const broken = new Instructions({
    ...own,
    authorize() {
      throw new Error('read-only file system');
    },
  });
  assert.equal((await broken.run(give('b'))).error, 'read-only file system');
});

test('a binary cache is named to nix', async () => {
  const own = hands();
  const value = { port: 7480, path: '/nix', publicKey: 'k' };
  const { ok } = await new Instructions(own).run({ id: 'a', action: { $case: 'useCache', value } });
  assert.deepEqual([ok, own.calls], [true, ['cache 7480/nix']]);
});
