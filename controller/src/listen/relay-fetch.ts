// Files that relays keep near their machines: from an offset on, in pieces, no faster than they are taken.
import { createReadStream } from 'node:fs';
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import type { FetchRequest, FetchResponse } from '@nixie/proto/relay';

export interface Fetchable {
  /** Of the whole. */
  readonly totalBytes: number;
  /** From the offset on; pieces of any size. */
  read(offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export type FetchWhat = NonNullable<FetchRequest['what']>;
export type FetchSource = (relay: string, what: FetchWhat) => Promise<Fetchable | undefined>;

const pieceBytes = 64 << 10;

export function fileToFetch(path: string, totalBytes: number): Fetchable {
  return {
    totalBytes,
    read: (start, signal) =>
      start >= totalBytes
        ? nothing()
        : createReadStream(path, { start, end: totalBytes - 1, highWaterMark: pieceBytes, signal }),
  };
}

export function bytesToFetch(bytes: Uint8Array): Fetchable {
  return {
    totalBytes: bytes.length,
    async *read(offset) {
      yield bytes.subarray(offset);
    },
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Answers one request. Never throws. */
export async function sendFetched(
  stream: ServerWritableStream<FetchRequest, FetchResponse>,
  relay: string,
  source: FetchSource,
): Promise<void> {
  const gone = new AbortController();
  const fail = (code: status, details: string) => {
    if (!gone.signal.aborted) stream.emit('error', { code, details });
  };
  for (const event of ['cancelled', 'close', 'error']) stream.on(event, () => gone.abort());
  try {
    const { what, offset } = stream.request;
    const found = what === undefined ? undefined : await source(relay, what);
    if (found === undefined) return fail(status.NOT_FOUND, 'it is none of what this relay is for');
    const from = Number(offset);
    if (from > found.totalBytes) return fail(status.OUT_OF_RANGE, `it has ${found.totalBytes} bytes`);
    stream.write({ totalBytes: BigInt(found.totalBytes), data: Buffer.alloc(0) });
    let left = found.totalBytes - from;
    for await (const chunk of found.read(from, gone.signal)) {
      if (chunk.length > left) return fail(status.DATA_LOSS, 'the file has grown');
      left -= chunk.length;
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        if (gone.signal.aborted) return;
        const data = Buffer.from(chunk.buffer, chunk.byteOffset + at, Math.min(pieceBytes, chunk.length - at));
        await written(stream, { data }, gone.signal);
      }
    }
    if (gone.signal.aborted) return;
    if (left > 0) return fail(status.DATA_LOSS, `the file ends ${left} bytes early`);
    stream.end();
  } catch (error) {
    fail(status.INTERNAL, (error as Error).message);
  }
}

/** Waits until the stream takes more: its own mark counts messages, and would let a megabyte wait for each request. */
function written(
  stream: ServerWritableStream<FetchRequest, FetchResponse>,
  message: FetchResponse,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      signal.removeEventListener('abort', end);
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    stream.write(message, end);
  });
}
