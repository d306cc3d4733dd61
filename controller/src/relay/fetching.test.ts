import assert from 'node:assert/strict';
import test from 'node:test';
import { type CacheRef, type FetchWhat, fetchPieces, stalledMs } from './fetching.ts';

/** How long each piece is waited for. */
async function patience(what: FetchWhat, offset: number): Promise<number[]> {
  const waits: number[] = [];
  const ref: CacheRef = { sha256: 'a'.repeat(64), bytes: 4e9, what };
  const world = {
    fetch: async function* () {
      yield new Uint8Array(1);
      yield new Uint8Array(1);
    },
    after(ms: number) {
      waits.push(ms);
      return () => {};
    },
    fetched() {},
  };
  for await (const piece of fetchPieces(ref, offset, world, new AbortController().signal))
    assert.equal(piece.length, 1);
  return waits;
}

test('the rest of an archive is waited for until what comes before was passed over, and no piece after it for longer than any', async () => {
  assert.deepEqual(await patience({ $case: 'nar', value: 'x' }, 0), [stalledMs, stalledMs, stalledMs]);
  // 3 GB from a disk that gives 10 MB a second.
  assert.deepEqual(await patience({ $case: 'nar', value: 'x' }, 3e9), [stalledMs + 300_000, stalledMs, stalledMs]);
  assert.deepEqual(await patience({ $case: 'sha256', value: 'x' }, 3e9), [stalledMs, stalledMs, stalledMs]);
});
