// GPT (UEFI 2.10, 5.3) and DOS partition tables, from the first or last bytes of a disk.
import { cleanText } from './text.ts';

export interface Entry {
  readonly number: number;
  /** Bytes from the beginning of the disk. */
  readonly start: number;
  readonly size: number;
  /** GPT: the type's GUID; DOS: `0x83`. */
  readonly type: string;
  readonly label?: string;
}

/**
 * Reads exactly `length` bytes; throws when it can't.
 * @param passing the bytes are looked at before anything else is read: they may be gone then
 */
export type ReadAt = (offset: number, length: number, passing?: boolean) => Promise<Uint8Array>;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Numbers beyond 2^53 make no sense on a disk and become Infinity, which no comparison lets pass. */
function big(data: DataView, at: number): number {
  const value = data.getBigUint64(at, true);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value);
}

function guid(bytes: Uint8Array): string {
  const hex = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString('hex');
  const swapped = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).reverse().toString('hex');
  // The first three fields are little endian.
  return [swapped(0, 4), swapped(4, 6), swapped(6, 8), hex(8, 10), hex(10, 16)].join('-');
}

export function isGptHeader(sector: Uint8Array): boolean {
  return sector.length >= 92 && Buffer.from(sector.subarray(0, 8)).toString('latin1') === 'EFI PART';
}

/**
 * The entries that a header names. A wrong checksum does not matter here: a damaged table is still a table.
 * Entries that make no sense are left out; at most 256 are read.
 */
export async function readGpt(header: Uint8Array, sectorBytes: number, size: number, read: ReadAt): Promise<Entry[]> {
  const data = view(header);
  const at = big(data, 72) * sectorBytes;
  const count = Math.min(data.getUint32(80, true), 256);
  const each = data.getUint32(84, true);
  if (each < 128 || each > 4096 || each % 8 !== 0 || !(at >= sectorBytes) || !(at + count * each <= size)) return [];
  const table = await read(at, count * each);
  const found: Entry[] = [];
  for (let index = 0; index < count; index += 1) {
    const entry = table.subarray(index * each, (index + 1) * each);
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
    const [first, last] = [big(view(entry), 32), big(view(entry), 40)];
    if (!(first <= last) || !((last + 1) * sectorBytes <= size)) continue;
    const label = cleanText(Buffer.from(entry.subarray(56, 128)).toString('utf16le').split('\0')[0]!);
    found.push({
      number: index + 1,
      start: first * sectorBytes,
      size: (last - first + 1) * sectorBytes,
      type: guid(entry),
      ...(label ? { label } : {}),
    });
  }
  return found;
}

interface Slot {
  readonly status: number;
  readonly type: number;
  readonly start: number;
  readonly sectors: number;
}

function slots(sector: Uint8Array): Slot[] {
  const data = view(sector);
  return [0, 1, 2, 3].map((index) => {
    const at = 446 + index * 16;
    return {
      status: data.getUint8(at),
      type: data.getUint8(at + 4),
      start: data.getUint32(at + 8, true),
      sectors: data.getUint32(at + 12, true),
    };
  });
}

/** A boot sector with at least one partition, and nothing in the four slots that no partitioning program writes. */
export function isDosTable(sector: Uint8Array): boolean {
  if (sector.length < 512 || sector[510] !== 0x55 || sector[511] !== 0xaa) return false;
  const all = slots(sector);
  return (
    all.every(({ status }) => status === 0 || status === 0x80) &&
    all.some(({ type, sectors }) => type !== 0 && sectors !== 0)
  );
}

const isExtended = (type: number): boolean => type === 0x05 || type === 0x0f || type === 0x85;

/** Primary partitions, then the logical ones along their chain; a chain that turns back or is too long is cut. */
export async function readDos(sector: Uint8Array, sectorBytes: number, size: number, read: ReadAt): Promise<Entry[]> {
  const found: Entry[] = [];
  const add = (number: number, slot: Slot, base: number): void => {
    const start = (base + slot.start) * sectorBytes;
    if (slot.type !== 0 && slot.sectors !== 0 && start < size)
      found.push({
        number,
        start,
        size: slot.sectors * sectorBytes,
        type: `0x${slot.type.toString(16).padStart(2, '0')}`,
      });
  };
  const primary = slots(sector);
  for (const [index, slot] of primary.entries()) add(index + 1, slot, 0);
  const extended = primary.find(({ type, sectors }) => isExtended(type) && sectors !== 0);
  if (!extended) return found;
  let at = extended.start;
  let last = -1;
  for (let number = 5; number < 64 && at > last && (at + 1) * sectorBytes <= size; number += 1) {
    last = at;
    const record = await read(at * sectorBytes, sectorBytes);
    if (record[510] !== 0x55 || record[511] !== 0xaa) break;
    const [logical, next] = slots(record);
    add(number, logical!, at);
    if (!isExtended(next!.type) || next!.start === 0) break;
    at = extended.start + next!.start;
  }
  return found;
}
