// Whether a disk is blank. The rule protects what is on it, so it asks for proof of blankness, not for proof of use:
//
// A disk counts as blank only when every byte looked at is 0x00, or every one is 0xff (erased flash). Looked at are the first and the
// last 16 MiB, where every partition table, boot loader, volume manager and RAID keeps something; the places where second partitions
// commonly begin, for a disk whose beginning was zeroed by hand; and 64 places spread evenly over the rest. A disk that was zeroed,
// discarded or is new passes. One that was only "wiped" by erasing magic numbers (wipefs, sgdisk --zap-all) does not: its data can
// still be had back, and its owner can say that it may be lost.
import type { ReadAt } from './partition-table.ts';

const MiB = 1 << 20;
const edgeBytes = 16 * MiB;
const sampleBytes = 64 * 1024;
const samples = 64;
/** Ends of EFI, boot and recovery partitions as installers make them, in MiB; each with and without the gap of 1 MiB before it. */
const commonStarts = [50, 99, 100, 128, 200, 256, 260, 300, 499, 500, 512, 550, 600, 953, 1000, 1024, 1536, 2048, 4096];

export interface Range {
  readonly at: number;
  readonly length: number;
}

/** What is looked at on a disk of this size, in the order in which it is read: data is most likely found first. */
export function rangesToLookAt(size: number): Range[] {
  const ranges: Range[] = [];
  const add = (at: number, length: number): void => {
    const from = Math.max(0, Math.min(at, size));
    const to = Math.min(size, from + length);
    if (to > from) ranges.push({ at: from, length: to - from });
  };
  if (size <= 2 * edgeBytes) {
    for (let at = 0; at < size; at += MiB) add(at, MiB);
    return ranges;
  }
  for (let at = 0; at < edgeBytes; at += MiB) add(at, MiB);
  const end = size - edgeBytes;
  for (let at = end; at < size; at += MiB) add(at, MiB);
  for (const start of commonStarts) if ((start + 2) * MiB < end) add(start * MiB, MiB + 128 * 1024);
  for (let index = 1; index <= samples; index += 1) {
    const at = edgeBytes + Math.floor(((end - edgeBytes) / (samples + 1)) * index);
    // On whole MiB, where partitions and large files begin.
    add(Math.min(at - (at % MiB), end - sampleBytes), sampleBytes);
  }
  return ranges;
}

/** The byte that fills it all; undefined when there are two different ones or it is neither 0x00 nor 0xff. */
export function fillOf(bytes: Uint8Array): 0 | 0xff | undefined {
  const first = bytes[0];
  if (first !== 0 && first !== 0xff) return undefined;
  // Comparing a buffer with itself shifted by one lets memcmp do the work.
  return Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0 ? first : undefined;
}

/** @throws what `read` throws: a place that can't be read proves nothing */
export async function isBlank(size: number, read: ReadAt): Promise<boolean> {
  let fill: number | undefined;
  for (const { at, length } of rangesToLookAt(size)) {
    const here = fillOf(await read(at, length, true));
    if (here === undefined || (fill !== undefined && fill !== here)) return false;
    fill = here;
  }
  return true;
}
