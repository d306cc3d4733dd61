// For tests: the bytes of disks, mostly zero.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReadAt } from './partition-table.ts';

interface Recorded {
  size: number;
  /** Offset and base64 of up to 512 bytes, zeroes at the end left out. */
  chunks: [number, string][];
}

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/disks.json'), 'utf8')) as Record<
  string,
  Recorded
>;

/** A disk made by sfdisk, mke2fs, mkfs.vfat or mkswap: `gpt`, `dos`, `ext3`, `vfat`, `swap`. */
export function recordedDisk(name: string): Buffer {
  const { size, chunks } = recorded[name]!;
  const disk = Buffer.alloc(size);
  for (const [at, text] of chunks)
    Buffer.from(text.padEnd(Math.ceil(text.length / 4) * 4, 'A'), 'base64').copy(disk, at);
  return disk;
}

/** Reads as a disk does: exactly, or not at all. */
export function reader(disk: Uint8Array, bad?: (at: number, length: number) => boolean): ReadAt {
  return async (at, length) => {
    if (at < 0 || length < 0 || at + length > disk.length)
      throw Object.assign(new Error(`read of ${length} at ${at}`), { code: 'beyond-end' });
    if (bad?.(at, length)) throw Object.assign(new Error('bad sector'), { code: 'EIO' });
    return disk.subarray(at, at + length);
  };
}

/** A disk that is too large to hold in memory: only what is written somewhere, zero or `fill` elsewhere. */
export function sparseReader(written: readonly (readonly [number, Uint8Array])[], fill = 0): ReadAt {
  return async (at, length) => {
    const bytes = new Uint8Array(length).fill(fill);
    for (const [start, data] of written) {
      const from = Math.max(at, start);
      const to = Math.min(at + length, start + data.length);
      if (to > from) bytes.set(data.subarray(from - start, to - start), from - at);
    }
    return bytes;
  };
}
