// What is on a disk: its partition table, what the partitions and the disk itself hold, and whether it is blank. Only reads.
import type { Partition } from '@nixie/proto/inventory';
import { isBlank } from './blank.ts';
import { type Entry, isDosTable, isGptHeader, type ReadAt, readDos, readGpt } from './partition-table.ts';
import { headBytes, headSignatures, tailBytes, tailSignatures } from './signatures.ts';

export interface Look {
  table?: 'gpt' | 'dos' | 'none';
  partitions: Partition[];
  signatures: string[];
  /** Undefined when a part that had to be read could not be, or was not to be, and nothing was found elsewhere. */
  hasData?: boolean;
  /** The first read that failed. */
  error?: unknown;
}

/** Partitions whose beginning is looked into; more than these are listed only. */
const mostProbed = 32;

/**
 * @param size bytes of the disk
 * @param logicalBlockBytes as the disk says; a table written on other sectors (a disk moved out of a USB case) is found too
 * @param proveBlank a disk on which nothing is found is read in a hundred places more, some 75 MB; without it, nobody says that it is blank
 */
export async function lookAtDisk(
  size: number,
  logicalBlockBytes: number,
  readAt: ReadAt,
  proveBlank = true,
): Promise<Look> {
  const look: Look = { partitions: [], signatures: [] };
  /** Nothing that lies on the disk may lead a read beyond its ends, and one bad place costs only what lies there. */
  const read = async (at: number, length: number, passing?: boolean): Promise<Uint8Array> => {
    const from = Math.max(0, Math.min(at, size));
    return readAt(from, Math.min(length, size - from), passing);
  };
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      look.error ??= error;
      return undefined;
    }
  };
  const head = await attempt(() => read(0, headBytes));
  const tail = await attempt(() => read(Math.max(0, size - tailBytes), tailBytes));
  let entries: Entry[] = [];
  let sectorBytes = logicalBlockBytes;
  if (head) {
    look.signatures.push(...headSignatures(head).map(({ name }) => name));
    for (const sector of new Set([logicalBlockBytes, 512, 4096])) {
      const header = head.subarray(sector, sector + 512);
      if (!isGptHeader(header)) continue;
      look.table = 'gpt';
      sectorBytes = sector;
      entries = (await attempt(() => readGpt(header, sector, size, read))) ?? [];
      break;
    }
  }
  if (tail) {
    for (const name of tailSignatures(tail, size)) if (!look.signatures.includes(name)) look.signatures.push(name);
    for (const sector of new Set([logicalBlockBytes, 512, 4096])) {
      const header = tail.subarray(Math.max(0, tail.length - sector)).subarray(0, 512);
      // The copy at the end (5.3.1): firmware would use it to restore the table.
      if (look.table !== undefined || !isGptHeader(header)) continue;
      look.table = 'gpt';
      sectorBytes = sector;
      entries = (await attempt(() => readGpt(header, sector, size, read))) ?? [];
    }
  }
  if (look.table === undefined && head && isDosTable(head)) {
    look.table = 'dos';
    entries = (await attempt(() => readDos(head, sectorBytes, size, read))) ?? [];
  }
  if (look.table === undefined && head && tail) look.table = 'none';

  for (const [index, { number, start, size: bytes, type, label }] of entries.entries()) {
    const found =
      index < mostProbed && !/^0x(05|0f|85)$/.test(type)
        ? (await attempt(async () => headSignatures(await read(start, Math.min(headBytes, bytes)))))?.[0]
        : undefined;
    look.partitions.push({
      number,
      sizeBytes: BigInt(Math.max(0, Math.min(bytes, size - start))),
      type,
      fs: found?.name,
      label: found?.label ?? label,
    });
  }
  if ((look.table !== undefined && look.table !== 'none') || look.signatures.length > 0) look.hasData = true;
  else if (proveBlank) {
    const blank = await attempt(() => isBlank(size, read));
    if (blank === false) look.hasData = true;
    else if (blank === true && look.error === undefined) look.hasData = false;
  }
  return look;
}
