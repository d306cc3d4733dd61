// One file on its way into the cache: what is there of it is read back, the rest is fetched, all of it runs through SHA-256 in order. Whoever
// wants the file follows; its last piece nobody gets before the hash was found right.
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { isFull } from '../store/file.ts';
import { type CacheRef, type FetchBytes, fetchPieces, NotThere, tooMuch, WrongContent } from './fetching.ts';

/** Nobody gets the last bytes of a file before all of it was found right. */
export const heldBackBytes = 64 * 1024;
const readBytes = 1 << 20;
const firstPauseMs = 500;
const longestPauseMs = 10_000;

export interface ArrivalWorld {
  readonly fetch: FetchBytes;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly after: (ms: number, call: () => void) => () => void;
  /** The disk is full: true when room was made, and the write is worth another try. */
  makeRoom(): Promise<boolean>;
  /** Bytes came over the uplink. */
  fetched(bytes: number): void;
  /** For tests of full disks. */
  readonly write?: (file: FileHandle, bytes: Uint8Array, position: number) => Promise<unknown>;
}

/** `whole`: verified, at its name. `unkept`: the disk doesn't take it; each reader fetches by itself what isn't here. */
export type ArrivalEnd = 'whole' | 'unkept' | 'unwanted' | 'failed';

export class Arrival {
  readonly ref: CacheRef;
  /** Bytes that are on the disk and went through the hash. */
  have = 0;
  end: ArrivalEnd | undefined;
  /** Of `unkept` and `failed`. */
  error: Error | undefined;
  /** Some bytes were here before: when the hash is wrong, they may be the wrong ones. */
  readBack = false;
  /** Some bytes came over the uplink. */
  fetchedAny = false;
  /** Of one that isn't kept: what is of it on the disk doesn't go with the rest. */
  spoiled = false;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  #tellEnded = () => {};
  readonly #path: string;
  readonly #part: string;
  readonly #world: ArrivalWorld;
  readonly #abort = new AbortController();
  readonly #waiting = new Set<() => void>();
  #hash = createHash('sha256');
  #file: FileHandle | undefined;
  #wanted = 0;
  /** Nobody wants it: what is under way for it ends. */
  #idle = new AbortController();
  #readers = 0;
  #retired = false;

  /** @param path of the whole file; `.part` is added while it isn't */
  constructor(ref: CacheRef, path: string, world: ArrivalWorld) {
    this.ref = ref;
    this.#path = path;
    this.#part = `${path}.part`;
    this.#world = world;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
  }

  get wanted(): boolean {
    return this.#wanted > 0;
  }

  /** While somebody wants it, it goes on through failures of the uplink; the result takes the wish back. */
  want(): () => void {
    if (this.#wanted++ === 0) this.#idle = new AbortController();
    let once = true;
    return () => {
      if (once && --this.#wanted === 0) this.#idle.abort();
      once = false;
    };
  }

  /** Another takes its place; those who read from it go on. */
  retire(): void {
    this.#retired = true;
    void this.#closeIfDone();
  }

  /** Ends it, and all who read. */
  stop(): void {
    this.#abort.abort();
    this.#moved();
    void this.#closeIfDone();
  }

  /** Never rejects. @param room false: there is no room for it in the cache, and it is not to be kept */
  async run(room: boolean): Promise<ArrivalEnd> {
    try {
      this.end = await this.#run(room);
    } catch (error) {
      this.error = error as Error;
      this.end = error instanceof DiskFailure ? 'unkept' : 'failed';
    }
    this.#moved();
    await this.#closeIfDone();
    this.#tellEnded();
    return this.end;
  }

  async #run(room: boolean): Promise<ArrivalEnd> {
    const { ref } = this;
    await this.#open(room);
    if (!room && this.have < ref.bytes) return 'unkept';
    for (let pauseMs = firstPauseMs; this.have < ref.bytes; ) {
      const before = this.have;
      await this.#fetchOnce();
      this.#abort.signal.throwIfAborted();
      if (this.have >= ref.bytes) break;
      if (!this.wanted) {
        // At once: nobody may come to want it between this and the end.
        this.end = 'unwanted';
        return this.end;
      }
      pauseMs = this.have > before ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs);
      await this.#world.sleep(pauseMs, AbortSignal.any([this.#abort.signal, this.#idle.signal]));
      this.#abort.signal.throwIfAborted();
    }
    if (this.#hash.copy().digest('hex') !== ref.sha256) {
      await rm(this.#part, { force: true });
      throw new WrongContent(`file ${ref.sha256.slice(0, 12)}…: its ${ref.bytes} bytes have another SHA-256`);
    }
    await rename(this.#part, this.#path);
    return 'whole';
  }

  /** Opens what is there of it and reads it back. */
  async #open(room: boolean): Promise<void> {
    try {
      // Until all of it was found right it is not to be taken for whole, after a crash either.
      await rename(this.#path, this.#part).catch(unlessMissing);
      // Appending makes a file without emptying it, but then heeds no positions.
      if (room) await (await open(this.#part, 'a')).close();
      this.#file = await open(this.#part, 'r+').catch((error: NodeJS.ErrnoException) => {
        if (room) throw error;
        unlessMissing(error);
        return undefined;
      });
      if (this.#file !== undefined) await this.#readAll(this.#file);
    } catch (error) {
      this.#abort.signal.throwIfAborted();
      await this.#file?.close().catch(() => undefined);
      this.#file = undefined;
      this.#hash = createHash('sha256');
      this.have = 0;
      await rm(this.#part, { force: true }).catch(() => undefined);
      throw new DiskFailure(`open ${this.#part}: ${(error as Error).message}`, { cause: error });
    }
  }

  async #readAll(file: FileHandle): Promise<void> {
    const { size } = await file.stat();
    if (size > this.ref.bytes) await file.truncate(0);
    else
      while (this.have < size) {
        this.#abort.signal.throwIfAborted();
        const piece = await readAt(file, this.have, Math.min(readBytes, size - this.have));
        this.readBack = true;
        this.#take(piece);
      }
  }

  #take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.have += bytes.length;
    this.#moved();
  }

  /** Fetches from where it is until the end, or until the uplink fails or nobody wants it any more, which are no errors. */
  async #fetchOnce(): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, this.#idle.signal]);
    try {
      for await (const piece of fetchPieces(this.ref, this.have, this.#world, signal)) {
        if (this.have + piece.length > this.ref.bytes) throw tooMuch(this.ref);
        this.fetchedAny = true;
        await this.#write(piece);
        this.#take(piece);
        if (!this.wanted && this.have < this.ref.bytes) return;
      }
    } catch (error) {
      if (error instanceof WrongContent) await rm(this.#part, { force: true });
      if (isLasting(error) || error instanceof DiskFailure) throw error;
    }
  }

  async #write(piece: Uint8Array): Promise<void> {
    const write = this.#world.write ?? writeAll;
    for (;;) {
      try {
        await write(this.#file!, piece, this.have);
        return;
      } catch (error) {
        if (isFull(error) && (await this.#world.makeRoom())) continue;
        throw new DiskFailure(`write ${this.#part}: ${(error as Error).message}`, { cause: error });
      }
    }
  }

  /**
   * Bytes from `first` to `last` inclusive, as they come.
   * @param over the reader has gone
   * @throws what ended the arrival; then the last piece of the file was not given
   */
  async *read(first: number, last: number, over: AbortSignal): AsyncGenerator<Uint8Array> {
    this.#readers++;
    const unwant = this.want();
    const { bytes } = this.ref;
    const wake = () => this.#moved();
    over.addEventListener('abort', wake, { once: true });
    try {
      for (let at = first; at <= last; ) {
        this.#abort.signal.throwIfAborted();
        over.throwIfAborted();
        const safe = this.end === 'whole' ? bytes : Math.min(this.have, bytes - heldBackBytes);
        const until = Math.min(safe, last + 1);
        if (at < until) {
          const piece = await readAt(this.#file!, at, Math.min(readBytes, until - at));
          at += piece.length;
          yield piece;
        } else if (this.end === undefined) await new Promise<void>((resolve) => void this.#waiting.add(resolve));
        else if (this.end === 'unkept') {
          yield* this.#past(at, last, AbortSignal.any([over, this.#abort.signal]));
          return;
        } else throw this.error ?? new Error('the file was given up: nobody wanted it');
      }
    } finally {
      over.removeEventListener('abort', wake);
      this.#readers--;
      unwant();
      await this.#closeIfDone();
    }
  }

  /** For one reader only, past the disk: what is on it first, then the rest from the uplink, with which the hash goes on. */
  async *#past(first: number, last: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { bytes, sha256 } = this.ref;
    const limit = Math.max(0, bytes - heldBackBytes);
    const held: Uint8Array[] = [];
    /** The part of a piece at `from` that the reader may have at once; what he must wait for is put aside. */
    const free = (piece: Uint8Array, from: number): Uint8Array => {
      const cut = (low: number, high: number) =>
        piece.subarray(Math.max(0, low - from), Math.max(0, Math.min(high, last + 1) - from));
      const late = cut(Math.max(first, limit), bytes);
      // A copy: whoever brought the piece may use its memory again.
      if (late.length > 0) held.push(Uint8Array.from(late));
      return cut(first, limit);
    };
    for (let at = first; at < Math.min(this.have, last + 1); ) {
      const piece = await readAt(this.#file!, at, Math.min(readBytes, this.have - at));
      const now = free(piece, at);
      at += piece.length;
      if (now.length > 0) yield now;
    }
    const hash = this.#hash.copy();
    let have = this.have;
    for (let pauseMs = firstPauseMs; have < bytes; ) {
      // A piece from the beginning proves nothing, and can't be taken for the whole.
      if (have > last && last < limit) return;
      const before = have;
      try {
        for await (const piece of fetchPieces(this.ref, have, this.#world, signal)) {
          if (have + piece.length > bytes) throw tooMuch(this.ref);
          hash.update(piece);
          const now = free(piece, have);
          have += piece.length;
          if (now.length > 0) yield now;
          if (have > last && last < limit) return;
        }
      } catch (error) {
        if (isLasting(error)) throw error;
      }
      signal.throwIfAborted();
      if (have >= bytes) break;
      pauseMs = have > before ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs);
      await this.#world.sleep(pauseMs, signal);
      signal.throwIfAborted();
    }
    if (hash.digest('hex') !== sha256) {
      this.spoiled = this.have > 0;
      throw new WrongContent(`file ${sha256.slice(0, 12)}…: what came over the uplink has another SHA-256`);
    }
    yield* held;
  }

  #moved(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async #closeIfDone(): Promise<void> {
    if (this.end === undefined || this.#readers > 0) return;
    // One that isn't kept is read from by those who come later, until it is stopped.
    if (this.end === 'unkept' && !this.#retired && !this.#abort.signal.aborted) return;
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }
}

/** Trying again doesn't help. */
function isLasting(error: unknown): boolean {
  return error instanceof WrongContent || error instanceof NotThere;
}

/** The disk doesn't do what it should. */
class DiskFailure extends Error {
  override name = 'DiskFailure';
}

/** @throws when the file is shorter */
async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead === 0) throw new Error('it has become shorter while it was read');
  return buffer.subarray(0, bytesRead);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
