import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type Entry, type Note, noteKinds } from './trail.ts';
import { TrailBook } from './trail-book.ts';

function book() {
  const clock = { now: 0 };
  const kept: [string | undefined, Entry][] = [];
  return {
    clock,
    kept,
    book: new TrailBook({ now: () => clock.now, keep: (host, entry) => void kept.push([host, entry]) }),
  };
}
const discover: Note = { kind: 'dhcp-answered', asked: 'DISCOVER', client: 'pxe', port: 67, why: 'proxy offer' };

test('equal notes are one entry, and a thousand of them ten lines to keep', () => {
  const { book: one, clock, kept } = book();
  for (let count = 0; count < 1000; count++) {
    clock.now = count * 10;
    one.note('m1', discover);
  }
  const [entry, ...more] = one.of('m1').entries;
  assert.deepEqual(more, []);
  assert.deepEqual([entry!.first, entry!.last, entry!.count, entry!.attempt], [0, 9990, 1000, 1]);
  assert.deepEqual(
    kept.map(([, { count }]) => count),
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  );
  // And the true count once something happens.
  one.stage('m1', 'failed');
  assert.deepEqual([kept.at(-1)![1].count, kept.length], [1000, 11]);
  one.stage('m1', 'waking');
  assert.equal(kept.length, 11);
});

test('firmware that asks again after its loader boots anew; a repeated DISCOVER and the loader that follows do not', () => {
  const { book: one } = book();
  const attempts = () => [...new Set(one.of('m1').entries.map(({ attempt }) => attempt))];
  one.note('m1', discover);
  one.note('m1', discover);
  one.note('m1', { kind: 'tftp-sent', detail: 'snponly.efi' });
  one.note('m1', { ...discover, client: 'ipxe' });
  one.note('m1', { kind: 'http-script' });
  assert.deepEqual(attempts(), [1]);
  one.note('m1', discover);
  assert.deepEqual(attempts(), [1, 2]);
  // A BIOS ROM that is iPXE itself.
  one.note('m1', { kind: 'http-script' });
  one.note('m1', { ...discover, client: 'ipxe' });
  assert.deepEqual(attempts(), [1, 2, 3]);
});

test('silence of minutes parts two boots, and the word of the operator', () => {
  const { book: one, clock } = book();
  one.note('m1', discover);
  clock.now = 121_000;
  one.note('m1', discover);
  one.stage('m1', 'failed', { reason: 'no' });
  one.stage('m1', 'waking');
  one.note('m1', discover);
  assert.deepEqual(
    one.of('m1').entries.map(({ attempt }) => attempt),
    [1, 2, 3],
  );
});

test('whatever is seen, a trail is bounded', () => {
  const note = fc.record(
    {
      kind: fc.constantFrom(...noteKinds),
      why: fc.string(),
      detail: fc.string({ maxLength: 400 }),
      asked: fc.constantFrom('DISCOVER', 'REQUEST'),
      client: fc.constantFrom('pxe', 'ipxe', 'system'),
    },
    { requiredKeys: ['kind'] },
  ) as fc.Arbitrary<Note>;
  fc.assert(
    fc.property(fc.array(fc.tuple(note, fc.integer({ min: 0, max: 200_000 })), { maxLength: 600 }), (notes) => {
      const { book: one, clock } = book();
      for (const [each, later] of notes) {
        clock.now += later;
        one.note('m1', each);
        one.around({ ...each, mac: String(clock.now) });
        one.stage('m1', later % 2 === 0 ? 'failed' : 'waking');
      }
      const { entries, around, stages } = one.of('m1');
      assert.ok(entries.length <= 4 * 48 && around.length <= 32 + noteKinds.length * 3 && stages.length <= 40);
      assert.ok(
        entries.every(({ first, last, count, detail }) => first <= last && count >= 1 && (detail?.length ?? 0) <= 200),
      );
    }),
    { numRuns: 60 },
  );
});

test('a machine that boots in a circle for ever leaves a bounded journal, and its newest boot', () => {
  const { book: one, kept } = book();
  for (let boot = 0; boot < 10_000; boot++) {
    one.note('m1', discover);
    one.note('m1', { kind: 'tftp-sent', detail: 'snponly.efi' });
  }
  assert.equal(kept.length, 40);
  one.stage('m1', 'failed');
  assert.deepEqual(
    kept.slice(40).map(([, { kind, attempt }]) => [kind, attempt]),
    [
      ['dhcp-answered', 10_000],
      ['tftp-sent', 10_000],
    ],
  );
});
