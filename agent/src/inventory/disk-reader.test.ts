import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { openDisk } from './disk-reader.ts';

const page = 4096;

async function withFile(bytes: number, work: (path: string, content: Buffer) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-disk-reader-'));
  try {
    const content = randomFillSync(Buffer.alloc(bytes));
    writeFileSync(join(folder, 'disk'), content);
    await work(join(folder, 'disk'), content);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const direct of [true, false])
  test(`what is read ${direct ? 'past' : 'by'} the cache is what is there, at any place and in any length`, () =>
    // Its last block is half a page.
    withFile(3 * 1024 * 1024 + 512, async (path, content) => {
      const disk = await openDisk(path, content.length, direct);
      const place = fc.tuple(
        fc.oneof(
          fc.nat(content.length - 1),
          fc.nat(700).map((n) => n * page),
        ),
        fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 2_500_000 })),
        fc.boolean(),
      );
      try {
        await fc.assert(
          fc.asyncProperty(place, async ([at, length, passing]) => {
            const fits = Math.min(length, content.length - at);
            if (fits <= 0) return;
            const bytes = await disk.readAt(at, fits, passing);
            assert.ok(content.subarray(at, at + fits).equals(bytes), `${fits} bytes at ${at}`);
          }),
          { numRuns: 200 },
        );
        // What isn't said to be passing stays.
        const first = await disk.readAt(0, page);
        await disk.readAt(page, page);
        assert.ok(content.subarray(0, page).equals(first));
      } finally {
        await disk.close();
      }
    }));

test('a disk that is shorter than it says is an error, and one that is not there as well', () =>
  withFile(2 * page, async (path) => {
    for (const direct of [true, false]) {
      const disk = await openDisk(path, 16 * page, direct);
      await assert.rejects(disk.readAt(page, 8 * page), { code: 'short-read' });
      await disk.close();
      await assert.rejects(openDisk(`${path}-absent`, page, direct), { code: 'ENOENT' });
    }
  }));

test('where the kernel can only read by its cache, it does', async () => {
  // The kernel makes it up as it is read, and takes no O_DIRECT.
  const disk = await openDisk('/proc/self/status', 64);
  try {
    assert.match(Buffer.from(await disk.readAt(0, 5)).toString(), /^Name:/);
  } finally {
    await disk.close();
  }
});
