// Files read for several connections at once: a hundred machines boot the same initrd, and what one of them needs, others need about now. Who is alone
// reads for himself.
import { type FileHandle, open } from 'node:fs/promises';

export const chunkBytes = 1 << 20;
const mostChunks = 64;

interface Opened {
  readonly handle: Promise<FileHandle>;
  /** By their number; the one used last is last. */
  readonly chunks: Map<number, Promise<Uint8Array>>;
  readers: number;
}

async function readAt(handle: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await handle.read(bytes, got, length - got, at + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return bytes.subarray(0, got);
}

/** Each file is kept open, and its last chunks in memory, as long as somebody reads it. */
export class ChunkCache {
  readonly #files = new Map<string, Opened>();
  #kept = 0;

  /** Chunks in memory that somebody else may use. */
  get kept(): number {
    return this.#kept;
  }

  /** Bytes from `first` to `last` inclusive, fewer when the file is shorter. They belong to others too: not to be written to. */
  async *read(path: string, first: number, last: number): AsyncGenerator<Uint8Array, void> {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { handle: open(path), chunks: new Map(), readers: 0 };
      this.#files.set(path, file);
    }
    file.readers += 1;
    try {
      const handle = await file.handle;
      for (let at = first; at <= last; ) {
        const index = Math.floor(at / chunkBytes);
        const end = Math.min(last + 1, (index + 1) * chunkBytes);
        const shared = file.readers > 1 || file.chunks.has(index);
        const piece = shared
          ? (await this.#chunk(file, handle, index)).subarray(at - index * chunkBytes, end - index * chunkBytes)
          : await readAt(handle, at, end - at);
        if (piece.length === 0) return;
        yield piece;
        at += piece.length;
      }
    } finally {
      file.readers -= 1;
      if (file.readers === 0) {
        this.#kept -= file.chunks.size;
        this.#files.delete(path);
        await file.handle.then(
          (handle) => handle.close(),
          () => {}, // it could not be opened, as everybody was told
        );
      }
    }
  }

  #chunk(file: Opened, handle: FileHandle, index: number): Promise<Uint8Array> {
    const found = file.chunks.get(index);
    const chunk = found ?? readAt(handle, index * chunkBytes, chunkBytes);
    // To the end of the line.
    file.chunks.delete(index);
    file.chunks.set(index, chunk);
    if (found === undefined) {
      this.#kept += 1;
      chunk.catch(() => {
        if (file.chunks.get(index) === chunk && file.chunks.delete(index) && file.readers > 0) this.#kept -= 1;
      });
      if (this.#kept > mostChunks) this.#forgetOne(file);
    }
    return chunk;
  }

  /** The one used longest ago: of this file while it has others, else of any. */
  #forgetOne(file: Opened): void {
    const from = file.chunks.size > 1 ? file : [...this.#files.values()].find(({ chunks }) => chunks.size > 1);
    const oldest = from?.chunks.keys().next();
    if (from === undefined || oldest === undefined || oldest.done === true) return;
    from.chunks.delete(oldest.value);
    this.#kept -= 1;
  }
}
