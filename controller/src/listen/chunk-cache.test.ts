import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { ChunkCache, chunkBytes } from './chunk-cache.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-chunks-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const content = randomBytes(3 * chunkBytes + 5);
const path = join(folder, 'file');
writeFileSync(path, content);

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const got: Uint8Array[] = [];
  for await (const piece of pieces) got.push(piece);
  return Buffer.concat(got);
}

test('any range is read right, alone or beside others', async () => {
  const last = content.length - 1;
  const ranges = [
    [0, last],
    [0, 0],
    [last, last],
    [chunkBytes - 1, chunkBytes],
    [5, 2 * chunkBytes + 7],
    [chunkBytes, 2 * chunkBytes - 1],
  ] as const;
  const cache = new ChunkCache();
  for (const [from, to] of ranges)
    assert.ok((await all(cache.read(path, from, to))).equals(content.subarray(from, to + 1)), `${from}-${to}`);
  const together = await Promise.all(ranges.map(([from, to]) => all(cache.read(path, from, to))));
  for (const [i, [from, to]] of ranges.entries()) assert.ok(together[i]!.equals(content.subarray(from, to + 1)));
  assert.equal(cache.kept, 0, 'nothing is kept for nobody');
});

test('two that are at the same place share what is read; one that leaves midway takes nothing with it', async () => {
  const cache = new ChunkCache();
  const [a, b] = [cache.read(path, 0, content.length - 1), cache.read(path, 0, content.length - 1)];
  const [first, second] = await Promise.all([a.next(), b.next()]);
  assert.ok(!first.done && !second.done && first.value.buffer === second.value.buffer);
  await a.return();
  assert.ok(cache.kept > 0);
  const rest = await all(b);
  assert.ok(Buffer.concat([second.value as Uint8Array, rest]).equals(content));
  assert.equal(cache.kept, 0);
});

test('a file that can not be read is an error for each who asks, and for later ones no hindrance', async () => {
  const cache = new ChunkCache();
  const missing = join(folder, 'later');
  const asked = await Promise.allSettled([all(cache.read(missing, 0, 9)), all(cache.read(missing, 0, 9))]);
  assert.deepEqual(
    asked.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  writeFileSync(missing, 'now it is');
  assert.equal((await all(cache.read(missing, 0, 99))).toString(), 'now it is');
});
