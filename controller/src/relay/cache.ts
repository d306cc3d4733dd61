// The files of the plan near the machines: by content, bounded, over restarts. What is here from an earlier life counts for nothing until it was
// hashed again, so a file that rotted, or was half written when the power went, is found before anybody gets the end of it.
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileHold } from '../listen/http-file.ts';
import { Arrival, type ArrivalWorld } from './arrival.ts';
import { type CacheRef, WrongContent } from './fetching.ts';
import type { Problems } from './problems.ts';

export interface CacheWorld extends Pick<ArrivalWorld, 'fetch' | 'after' | 'write'> {
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Before the uplink is tried again; it may end early, when the uplink is there. Absent: `sleep`. */
  readonly sleepBeforeRetry?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly problems: Problems;
  /** A file has come, or was dropped. */
  readonly told?: (name: 'kept' | 'dropped' | 'evicted', ref: Pick<CacheRef, 'sha256' | 'bytes'>) => void;
}

interface Entry {
  readonly sha256: string;
  /** Of the file on the disk; `part`: in `.part`. */
  disk: { bytes: number; part: boolean; checked: boolean } | undefined;
  arrival: Arrival | undefined;
  holds: number;
  /** Milliseconds since 1970, over restarts. */
  usedAt: number;
  /** Wrong content came for it, by `ticks`. */
  wrongAt: number | undefined;
}

/** A full disk is not written to again for so long, milliseconds. */
const fullAgainMs = 30_000;
/** Neither is a file fetched again of which wrong content came. */
const wrongAgainMs = 5000;
const namePattern = /^([0-9a-f]{64})(\.part)?$/;
/** Between two readings of what lies here. */
const checkEveryMs = 24 * 3600_000;
const mib = (bytes: number) => `${(bytes / 1048576).toFixed(1)} MiB`;

export class Cache {
  readonly #folder: string;
  readonly #limit: number;
  readonly #world: CacheWorld;
  readonly #entries = new Map<string, Entry>();
  readonly #ended = new AbortController();
  #pinned: ReadonlySet<string> = new Set();
  #hits = 0;
  #fetched = 0;
  #fullAt: number | undefined;

  /** @throws `open cache …` when the folder can't be made or read */
  constructor(folder: string, limitBytes: number, world: CacheWorld) {
    this.#folder = folder;
    this.#limit = limitBytes;
    this.#world = world;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(folder)) this.#found(name);
    } catch (error) {
      throw new Error(`open cache ${folder}: ${(error as Error).message}`, { cause: error });
    }
  }

  #found(name: string): void {
    const [, sha256, part] = namePattern.exec(name) ?? [];
    if (sha256 === undefined) return;
    const { size, mtimeMs } = statSync(join(this.#folder, name));
    const entry = this.#entry(sha256);
    // Both are here: the whole one was made later.
    if (entry.disk !== undefined && part !== undefined) return;
    entry.disk = { bytes: size, part: part !== undefined, checked: false };
    entry.usedAt = mtimeMs;
  }

  #entry(sha256: string): Entry {
    const found = this.#entries.get(sha256);
    if (found !== undefined) return found;
    const made: Entry = { sha256, disk: undefined, arrival: undefined, holds: 0, usedAt: 0, wrongAt: undefined };
    this.#entries.set(sha256, made);
    return made;
  }

  #path(sha256: string): string {
    return join(this.#folder, sha256);
  }

  /** These are evicted last. */
  pin(files: Iterable<string>): void {
    this.#pinned = new Set(files);
  }

  /** Is it here, whole? */
  has(ref: CacheRef): boolean {
    const entry = this.#entries.get(ref.sha256);
    return entry !== undefined && this.#isWhole(entry, ref);
  }

  /** Begins to read a file, which is fetched when it isn't here. Nothing evicts it meanwhile. */
  hold(ref: CacheRef): FileHold {
    const entry = this.#entry(ref.sha256);
    entry.holds++;
    entry.usedAt = this.#world.now();
    if (entry.disk !== undefined && !entry.disk.part) this.#hits++;
    const over = new AbortController();
    const release = () => {
      if (over.signal.aborted) return;
      over.abort();
      entry.holds--;
      entry.usedAt = this.#world.now();
      if (this.#isWhole(entry, ref)) this.#touch(entry);
      this.#forgetIfNothing(entry);
    };
    if (this.#isWhole(entry, ref)) {
      const path = this.#path(ref.sha256);
      const read = (first: number, last: number) =>
        createReadStream(path, { start: first, end: last, highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>;
      return { path, read, release };
    }
    const follow = async function* (this: Cache, first: number, last: number) {
      yield* this.#arrivalOf(entry, ref).read(first, last, over.signal);
    };
    return { read: follow.bind(this), release };
  }

  /**
   * Resolves when a file is here, whole and right; goes on through failures of the uplink until the signal.
   * @throws WrongContent; Error when the disk doesn't take it
   */
  async keep(ref: CacheRef, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const entry = this.#entry(ref.sha256);
    if (this.#isWhole(entry, ref)) return;
    const arrival = this.#arrivalOf(entry, ref);
    const unwant = arrival.want();
    signal.addEventListener('abort', unwant, { once: true });
    try {
      const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      await Promise.race([arrival.ended, stopped]);
      signal.throwIfAborted();
      if (arrival.end !== 'whole')
        throw arrival.error ?? new Error(`keep ${ref.sha256.slice(0, 12)}…: there is no room`);
    } finally {
      unwant();
      signal.removeEventListener('abort', unwant);
    }
  }

  /** All of a small file; on a full disk as well. @throws WrongContent, or what else stands in the way */
  async bytes(ref: CacheRef, signal: AbortSignal): Promise<Uint8Array> {
    const hold = this.hold(ref);
    signal.addEventListener('abort', hold.release, { once: true });
    try {
      signal.throwIfAborted();
      const pieces: Uint8Array[] = [];
      for await (const piece of hold.read(0, ref.bytes - 1)) pieces.push(piece);
      const bytes = Buffer.concat(pieces);
      if (createHash('sha256').update(bytes).digest('hex') === ref.sha256) return bytes;
      throw new WrongContent(`file ${ref.sha256.slice(0, 12)}…: its ${bytes.length} bytes have another SHA-256`);
    } finally {
      signal.removeEventListener('abort', hold.release);
      hold.release();
    }
  }

  /** Whole, found right, and still there: somebody may have cleaned up. */
  #isWhole(entry: Entry, ref: CacheRef): boolean {
    const { disk } = entry;
    if (disk === undefined || disk.part || !disk.checked || entry.arrival !== undefined) return false;
    const size = statSync(this.#path(entry.sha256), { throwIfNoEntry: false })?.size;
    if (size === disk.bytes && size === ref.bytes) return true;
    entry.disk = size === undefined ? undefined : { ...disk, bytes: size, checked: false };
    return false;
  }

  #arrivalOf(entry: Entry, ref: CacheRef): Arrival {
    this.#ended.signal.throwIfAborted();
    const now = entry.arrival;
    const { ticks } = this.#world;
    const fullLately = this.#fullAt !== undefined && ticks() - this.#fullAt < fullAgainMs;
    if (now !== undefined && now.end === undefined) return now;
    if (now?.end === 'unkept' && fullLately && !now.spoiled) return now;
    now?.retire();
    if (now?.spoiled === true) rmSync(`${this.#path(ref.sha256)}.part`, { force: true });
    return this.#begin(entry, ref);
  }

  #begin(entry: Entry, ref: CacheRef): Arrival {
    const { fetch, sleep, sleepBeforeRetry = sleep, after, write, ticks } = this.#world;
    const arrival: Arrival = new Arrival(ref, this.#path(ref.sha256), {
      fetch,
      after,
      sleep: sleepBeforeRetry,
      ...(write === undefined ? {} : { write }),
      makeRoom: () => this.#evictOne(entry),
      fetched: (bytes) => {
        this.#fetched += bytes;
      },
    });
    entry.arrival = arrival;
    const pauseMs = entry.wrongAt === undefined ? 0 : Math.max(0, entry.wrongAt + wrongAgainMs - ticks());
    const work = async () => {
      if (pauseMs > 0) await sleep(pauseMs, this.#ended.signal);
      await arrival.run(await this.#roomFor(entry, ref));
      this.#over(entry, arrival);
    };
    void work();
    return arrival;
  }

  #over(entry: Entry, arrival: Arrival): void {
    const { end, error, have, ref } = arrival;
    const { ticks, problems, told } = this.#world;
    if (end === 'unkept') this.#unkept(arrival);
    if (entry.arrival === arrival) {
      if (end !== 'unkept') entry.arrival = undefined;
      if (end === 'whole') entry.disk = { bytes: ref.bytes, part: false, checked: true };
      else if (end === 'unkept' || error instanceof WrongContent || have === 0) entry.disk = undefined;
      else entry.disk = { bytes: have, part: true, checked: false };
    }
    if (end === 'whole') {
      entry.wrongAt = undefined;
      problems.clear(`file ${ref.sha256}`);
      if (arrival.fetchedAny) {
        this.#fullAt = undefined;
        problems.clear('disk');
        told?.('kept', ref);
      }
    } else if (error instanceof WrongContent) {
      told?.('dropped', ref);
      // What lay here may have been wrong; what has just come won't be better the next moment.
      if (!arrival.readBack) {
        entry.wrongAt = ticks();
        problems.set(`file ${ref.sha256}`, `${error.message}: the controller, or somebody on the way, sends it so`);
      }
    }
    this.#forgetIfNothing(entry);
  }

  #unkept({ error, ref }: Arrival): void {
    const { problems, ticks } = this.#world;
    this.#fullAt = ticks();
    problems.set(
      'disk',
      error === undefined
        ? `the cache of ${mib(this.#limit)} has no room for a file of ${mib(ref.bytes)}: it is passed on without being kept; give the relay more with --cache-size`
        : `the cache can't be written to, files are passed on without being kept: ${error.message}`,
    );
  }

  /** Bytes on the disk, with what is to come. */
  get #taken(): number {
    let sum = 0;
    for (const { disk, arrival } of this.#entries.values())
      sum += arrival === undefined ? (disk?.bytes ?? 0) : arrival.end === 'unkept' ? arrival.have : arrival.ref.bytes;
    return sum;
  }

  /** Its own arrival is counted already. */
  async #roomFor(entry: Entry, ref: CacheRef): Promise<boolean> {
    if (ref.bytes > this.#limit) return false;
    while (this.#taken > this.#limit) if (!(await this.#evictOne(entry))) return false;
    return true;
  }

  /** The one that was not used for longest; of the plan only for others of the plan. */
  async #evictOne(wants: Entry): Promise<boolean> {
    const pinned = (entry: Entry) => this.#pinned.has(entry.sha256);
    const idle = ({ disk, arrival }: Entry) =>
      arrival === undefined ? disk !== undefined : arrival.end === 'unkept' && arrival.have > 0;
    const victim = [...this.#entries.values()]
      .filter((entry) => entry.holds === 0 && idle(entry))
      .filter((entry) => entry !== wants && (!pinned(entry) || pinned(wants)))
      .sort((a, b) => Number(pinned(a)) - Number(pinned(b)) || a.usedAt - b.usedAt)[0];
    if (victim === undefined) return false;
    const bytes = victim.arrival?.have ?? victim.disk?.bytes ?? 0;
    await this.#drop(victim);
    this.#world.told?.('evicted', { sha256: victim.sha256, bytes });
    return true;
  }

  async #drop(entry: Entry): Promise<void> {
    entry.arrival?.retire();
    entry.arrival = undefined;
    entry.disk = undefined;
    const path = this.#path(entry.sha256);
    this.#forgetIfNothing(entry);
    await Promise.all([path, `${path}.part`].map((each) => rm(each, { force: true }).catch(() => undefined)));
  }

  #forgetIfNothing(entry: Entry): void {
    const { disk, arrival, holds, wrongAt } = entry;
    if (disk === undefined && arrival === undefined && holds === 0 && wrongAt === undefined)
      this.#entries.delete(entry.sha256);
  }

  /** The time of its last use stands in the file itself. */
  #touch(entry: Entry): void {
    const at = new Date(entry.usedAt);
    void utimes(this.#path(entry.sha256), at, at).catch(() => undefined);
  }

  /** Reads what lies here through the hash, at a quarter of the disk's speed; again each day. Ends at the signal. */
  async check(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const all = [...this.#entries.values()].sort(
        (a, b) => Number(this.#pinned.has(b.sha256)) - Number(this.#pinned.has(a.sha256)),
      );
      for (const entry of all) if (!signal.aborted) await this.#checkOne(entry, signal).catch(() => undefined);
      await this.#world.sleep(checkEveryMs, signal);
    }
  }

  async #checkOne(entry: Entry, signal: AbortSignal): Promise<void> {
    const { ticks, sleep, problems } = this.#world;
    const { disk } = entry;
    if (disk === undefined || disk.part || entry.arrival !== undefined) return;
    const hash = createHash('sha256');
    let began = ticks();
    for await (const piece of createReadStream(this.#path(entry.sha256), { highWaterMark: 1 << 20, signal })) {
      hash.update(piece as Uint8Array);
      await sleep(3 * (ticks() - began), signal);
      began = ticks();
    }
    // Somebody has asked for it meanwhile, or it was evicted.
    if (signal.aborted || entry.disk !== disk || entry.arrival !== undefined) return;
    if (hash.digest('hex') === entry.sha256) {
      disk.checked = true;
      return;
    }
    await this.#drop(entry);
    this.#world.told?.('dropped', { sha256: entry.sha256, bytes: disk.bytes });
    problems.set(
      `rotten ${entry.sha256}`,
      `file ${entry.sha256.slice(0, 12)}… in the cache had changed on the disk and was dropped: is the disk sound?`,
    );
  }

  /** Whole files; bytes with those that are coming. */
  status() {
    const entries = [...this.#entries.values()];
    return {
      bytes: entries.reduce((sum, { disk, arrival }) => sum + (arrival?.have ?? disk?.bytes ?? 0), 0),
      limitBytes: this.#limit,
      files: entries.filter(({ disk }) => disk !== undefined && !disk.part).length,
      hits: this.#hits,
      fetchedBytes: this.#fetched,
    };
  }

  /** Ends what is coming, and those who follow it. */
  close(): void {
    this.#ended.abort();
    for (const { arrival } of this.#entries.values()) arrival?.stop();
  }
}
