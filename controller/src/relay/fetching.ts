// Bytes of a file from the controller, watched: what stalls is ended, and more than there should be is not taken.
import type { FetchRequest } from '@nixie/proto/relay';

export type FetchWhat = NonNullable<FetchRequest['what']>;

/** A file by its content. */
export interface CacheRef {
  /** 64 lower-case hexadecimal digits */
  readonly sha256: string;
  readonly bytes: number;
  /** By what the controller knows it. Absent: by its SHA-256. */
  readonly what?: FetchWhat;
}

/** Bytes from an offset to the end. Throws NotThere; anything else when the uplink fails. */
export type FetchBytes = (what: FetchWhat, offset: number, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** The controller is there and has no such file; asking again is of no use. */
export class NotThere extends Error {
  override name = 'NotThere';
}

/** Its content isn't what its name says. */
export class WrongContent extends Error {
  override name = 'WrongContent';
}

export function tooMuch({ sha256, bytes }: CacheRef): WrongContent {
  return new WrongContent(`file ${sha256.slice(0, 12)}…: more came over the uplink than its ${bytes} bytes`);
}

/** Nothing came for so long: the fetch is given up, and begun anew from there. Milliseconds. */
export const stalledMs = 30_000;
/**
 * An archive of the store has no middle: the controller makes all of it and passes over what comes before the offset, so fast at least. Without this
 * the rest of a large one would be given up before its first byte, for ever. Bytes a millisecond.
 */
const passedOver = 10_000;

/** @throws when the uplink fails, or nothing comes for too long. A source that heeds no signal holds nobody */
export async function* fetchPieces(
  { sha256, what = { $case: 'sha256', value: sha256 } }: CacheRef,
  offset: number,
  world: {
    readonly fetch: FetchBytes;
    readonly after: (ms: number, call: () => void) => () => void;
    fetched(bytes: number): void;
  },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(new Error('the fetch was stopped')), { once: true });
  });
  stopped.catch(() => undefined);
  const pieces = world.fetch(what, offset, stop.signal)[Symbol.asyncIterator]();
  let patienceMs = stalledMs + (what.$case === 'nar' ? Math.ceil(offset / passedOver) : 0);
  try {
    for (;;) {
      const off = world.after(patienceMs, onAbort);
      const next = await Promise.race([pieces.next(), stopped]).finally(off);
      if (next.done === true) return;
      patienceMs = stalledMs;
      world.fetched(next.value.length);
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort();
    void Promise.resolve(pieces.return?.()).catch(() => undefined);
  }
}
