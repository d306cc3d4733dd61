import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { type CacheRef, NotThere } from './fetching.ts';
import { readPlan } from './plan.ts';
import { Problems } from './problems.ts';
import { Provisions, type ProvisionsWorld } from './provisions.ts';
import { given } from './testing.ts';

const turn = async () => {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
};
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
/** An EFI program for x64, as far as anybody looks. */
function efi(tail: string): Buffer {
  const bytes = Buffer.alloc(80 + tail.length);
  bytes.write('MZ', 0, 'latin1');
  bytes.writeUInt32LE(64, 60);
  bytes.write('PE\0\0', 64, 'latin1');
  bytes.writeUInt16LE(0x8664, 68);
  bytes.write(tail, 80, 'latin1');
  return bytes;
}

function house(fail: (ref: CacheRef) => Error | undefined = () => undefined) {
  const order: string[] = [];
  const contents = new Map<string, Buffer>();
  const told: string[] = [];
  let changes = 0;
  let pinned: string[] = [];
  const problems = new Problems(
    (text) => told.push(text),
    () => 0,
  );
  const cache: { -readonly [key in keyof ProvisionsWorld['cache']]: ProvisionsWorld['cache'][key] } = {
    pin: (files) => {
      pinned = [...files];
    },
    async bytes(ref) {
      order.push(`bytes ${ref.sha256.slice(0, 4)}`);
      const error = fail(ref);
      if (error !== undefined) throw error;
      return contents.get(ref.sha256)!;
    },
    async keep(ref) {
      order.push(`keep ${ref.sha256.slice(0, 4)}`);
      const error = fail(ref);
      if (error !== undefined) throw error;
    },
  };
  const provisions = new Provisions({
    problems,
    sleep: async () => {
      await new Promise((resolve) => setImmediate(resolve));
    },
    loadersChanged: () => {
      changes++;
    },
    cache,
  });
  const plan = (x64: Buffer, bios: Buffer) => {
    const made = given();
    for (const [index, bytes] of [x64, bios].entries()) {
      contents.set(sha(bytes), bytes);
      made.loaders[index]!.file = { sha256: sha(bytes), bytes: BigInt(bytes.length) };
    }
    const read = readPlan(made);
    assert.ok('plan' in read);
    return read.plan;
  };
  return { provisions, plan, cache, order, told, problems, changes: () => changes, pinned: () => pinned };
}

test('loaders come first and stay in memory; then what is worth having, each once', async () => {
  const { provisions, plan, order, changes, pinned } = house();
  const [x64, bios] = [efi('one'), Buffer.from('bios')];
  provisions.take(plan(x64, bios));
  await turn();
  assert.deepEqual([...provisions.loaders].map(([name]) => name).sort(), ['snponly.efi', 'undionly.kpxe']);
  assert.equal(changes(), 2);
  assert.deepEqual(order.slice(2), ['keep aaaa']);
  assert.equal(new Set(pinned()).size, 4);
  const before = provisions.loaders;
  provisions.take(plan(x64, bios));
  await turn();
  assert.equal(provisions.loaders, before, 'the same loaders are not fetched again, nor told');
  assert.equal(order.length, 3);
  const newer = efi('two');
  provisions.take(plan(newer, bios));
  assert.ok(!provisions.loaders.has('snponly.efi'), 'the old one under the new name would be a lie');
  await turn();
  assert.equal(provisions.loaders.get('snponly.efi'), newer);
  provisions.close();
});

test('a loader that can not be had, or is none, is told and tried again; the others are served', async () => {
  let away = true;
  const { provisions, plan, told, problems } = house((ref) =>
    away && ref.bytes > 80 ? new NotThere('none of this plan') : undefined,
  );
  provisions.take(plan(efi('one'), Buffer.from('bios')));
  await turn();
  assert.deepEqual([...provisions.loaders.keys()], ['undionly.kpxe']);
  assert.match(told.join(), /boot loader snponly\.efi: none of this plan; machines that need it hear nothing/);
  away = false;
  await turn();
  assert.equal(provisions.loaders.size, 2);
  assert.deepEqual(problems.list(), []);
  provisions.take(plan(Buffer.from('no program at all'), Buffer.from('bios')));
  await turn();
  assert.deepEqual([...provisions.loaders.keys()], ['undionly.kpxe']);
  assert.match(told.join(), /it is no EFI program/);
  provisions.close();
});

test('a newer plan that wants the same lets what is under way go on', async () => {
  const held: AbortSignal[] = [];
  const { provisions, plan, cache } = house();
  cache.keep = async (_ref, signal) => {
    held.push(signal);
    await new Promise(() => {});
  };
  const [x64, bios] = [efi('one'), Buffer.from('bios')];
  provisions.take(plan(x64, bios));
  await turn();
  provisions.take(plan(x64, bios));
  await turn();
  assert.deepEqual(
    held.map(({ aborted }) => aborted),
    [false],
  );
  provisions.take(plan(efi('two'), bios));
  await turn();
  assert.deepEqual(
    held.map(({ aborted }) => aborted),
    [true, false],
  );
  provisions.close();
});

test('a newer plan, and the end, give up what was wanted before', async () => {
  const { provisions, plan, order } = house(() => new Error('no'));
  provisions.take(plan(efi('one'), Buffer.from('bios')));
  await turn();
  provisions.close();
  const tried = order.length;
  assert.ok(tried > 2);
  await turn();
  assert.equal(order.length, tried);
  provisions.take(plan(efi('two'), Buffer.from('bios')));
  await turn();
  assert.equal(order.length, tried);
});
