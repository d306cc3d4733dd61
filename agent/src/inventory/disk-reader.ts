// Reads from a disk past the kernel's cache: what is on it now, also when another machine wrote to it, at less processor time, and without
// filling the memory of a machine that has little. Where the kernel or the driver can't, it reads as everybody does.
import { constants, type FileHandle, open } from 'node:fs/promises';
import type { ReadAt } from './partition-table.ts';

/** Of the language, and not in the types of Node. */
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** Largest logical block of disks, and more than any of their alignments of memory: open(2), O_DIRECT. */
const page = 4096;
/** Of memory that WebAssembly hands out. It begins at a page of the machine's, which no Buffer promises. */
const wasmPage = 65_536;
/** The longest piece that a look reads, and the page before and after it. */
const room = 20 * wasmPage;

export interface DiskReader {
  /** One read at a time. */
  readonly readAt: ReadAt;
  close(): Promise<void>;
}

/**
 * Opens a disk for reading only.
 * @param size bytes of the disk
 * @param direct false: by the kernel's cache
 * @throws what open(2) says
 */
export async function openDisk(path: string, size: number, direct = true): Promise<DiskReader> {
  // Without O_NONBLOCK a drive without a medium could wait for one.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  let plain: FileHandle | undefined;
  let straight: FileHandle | undefined;
  let memory: Uint8Array | undefined;
  if (direct)
    try {
      memory = new Uint8Array(new WebAssembly.Memory({ initial: room / wasmPage, maximum: room / wasmPage }).buffer);
      straight = await open(path, flags | constants.O_DIRECT);
    } catch {
      // The plain way says what is the matter.
    }
  if (straight === undefined) plain = await open(path, flags);

  const byCache = async (at: number, length: number): Promise<Uint8Array> => {
    plain ??= await open(path, flags);
    const bytes = new Uint8Array(length);
    for (let got = 0; got < length; ) {
      const { bytesRead } = await plain.read(bytes, got, length - got, at + got);
      if (bytesRead === 0) throw shortRead();
      got += bytesRead;
    }
    return bytes;
  };
  const pastCache = async (
    handle: FileHandle,
    into: Uint8Array,
    at: number,
    length: number,
  ): Promise<Uint8Array | undefined> => {
    const from = at - (at % page);
    const end = at + length;
    const until = Math.min(end + ((page - (end % page)) % page), size);
    for (let got = 0; from + got < end; ) {
      let bytesRead: number;
      try {
        ({ bytesRead } = await handle.read(into, got, until - from - got, from + got));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
        throw error;
      }
      if (bytesRead === 0) throw shortRead();
      got += bytesRead;
      // The rest would begin within a block.
      if (from + got < end && got % page !== 0) return undefined;
    }
    return into.subarray(at - from, end - from);
  };

  return {
    async readAt(at, length, passing = false) {
      if (straight !== undefined && memory !== undefined && length + 2 * page <= memory.length) {
        const bytes = await pastCache(straight, memory, at, length);
        if (bytes !== undefined) return passing ? bytes : bytes.slice();
        await straight.close();
        straight = undefined;
        memory = undefined;
      }
      return byCache(at, length);
    },
    async close() {
      await Promise.allSettled([straight?.close(), plain?.close()]);
    },
  };
}

const shortRead = (): Error => Object.assign(new Error('ends before its size'), { code: 'short-read' });
