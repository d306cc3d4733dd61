// The binary cache near the machines. Descriptions of paths and their archives come over the uplink once, however many machines ask: the
// description is checked against the key of the plan and kept as text, the archive lies in the cache of files by its own hash. Nobody need
// trust the relay for it, because machines check the same signature; checking here finds a broken uplink early.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { createBulkSender } from '../listen/http-bulk.ts';
import { sendFile, sendText } from '../listen/http-file.ts';
import { type NixAsk, type NixDoor, noSuchPath, sendNixText } from '../listen/http-nix.ts';
import { isSigned, longestNarInfo, readNarInfo } from '../nix/narinfo.ts';
import { hashPart } from '../nix/store-path.ts';
import type { Cache } from './cache.ts';
import { type FetchBytes, NotThere } from './fetching.ts';
import type { Problems } from './problems.ts';

export interface NixStoreWorld {
  readonly cache: Pick<Cache, 'hold'>;
  readonly fetch: FetchBytes;
  readonly problems: Pick<Problems, 'set' | 'clear'>;
  readonly after: (ms: number, call: () => void) => () => void;
  /** Absent: `busybox`, where there is one. */
  readonly catProgram?: string | null;
  /** Descriptions that are kept. */
  readonly most?: number;
}

interface Described {
  readonly text: string;
  readonly narHash: string;
  readonly narSize: number;
}

export interface NixStoreCounters {
  readonly narInfos: number;
  readonly nars: number;
  /** Descriptions that came over the uplink, and those that were not what they should be. */
  readonly fetched: number;
  readonly wrong: number;
}

/** A description is a few hundred bytes; a controller that doesn't answer in this time is not there. */
const fetchMs = 20_000;
/** Descriptions that are fetched at the same time. */
const mostFetches = 64;
/** And that wait for it: each of the machines that copy now asks for two dozen at once. */
const mostComing = 4096;
const stalledMs = 60_000;
const namePattern = /^[0-9abcdfghijklmnpqrsvwxyz]{32}$/;

export class NixStore {
  readonly #folder: string;
  readonly #world: NixStoreWorld;
  readonly #most: number;
  /** By hash part; the one that was asked for last is the last. */
  readonly #known = new Map<string, Described>();
  /** On the disk, not yet read in this life. */
  readonly #kept = new Set<string>();
  readonly #coming = new Map<string, Promise<Described | undefined>>();
  readonly #turns = pLimit(mostFetches);
  readonly #bulk: ReturnType<typeof createBulkSender>;
  readonly #ended = new AbortController();
  #key: string | undefined;
  #count = { narInfos: 0, nars: 0, fetched: 0, wrong: 0 };

  /** @throws `open store of descriptions …` when the folder can't be made or read */
  constructor(folder: string, world: NixStoreWorld) {
    this.#folder = folder;
    this.#world = world;
    this.#most = world.most ?? 50_000;
    this.#bulk = createBulkSender({ program: world.catProgram, stalledMs });
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(folder)) {
        if (namePattern.test(name) && this.#kept.size < this.#most) this.#kept.add(name);
        else rmSync(join(folder, name), { recursive: true, force: true });
      }
    } catch (error) {
      throw new Error(`open store of descriptions ${folder}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** By a plan: who signs. Undefined: there is no binary cache, and nothing is served. */
  useKey(publicKey: string | undefined): void {
    if (publicKey !== this.#key) this.#known.clear();
    this.#key = publicKey;
  }

  readonly door: NixDoor = (request, response, ask) => {
    if (this.#key === undefined) sendText(request, response, noSuchPath, 'there is no binary cache\n');
    else if (ask.kind === 'info')
      sendNixText(request, response, 'info', 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 20\n');
    else
      void this.#answer(request, response, ask).catch(() => {
        if (response.headersSent) response.destroy();
        else sendText(request, response, noSuchPath, 'not to be had now\n');
      });
  };

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    ask: Exclude<NixAsk, { kind: 'info' }>,
  ): Promise<void> {
    const { hash } = ask;
    if (ask.kind === 'narinfo') this.#count.narInfos++;
    else this.#count.nars++;
    const found = await this.#described(hash);
    if (response.destroyed) return;
    if (found === undefined) sendText(request, response, noSuchPath, 'not in this cache\n');
    else if (ask.kind === 'narinfo') sendNixText(request, response, 'narinfo', found.text);
    else {
      const ref = { sha256: found.narHash, bytes: found.narSize, what: { $case: 'nar', value: hash } } as const;
      const file = {
        name: `${hash}.nar`,
        size: ref.bytes,
        sha256: ref.sha256,
        hold: () => this.#world.cache.hold(ref),
      };
      sendFile(request, response, file, this.#bulk, stalledMs, () => {});
    }
  }

  /** Undefined: the controller has no such path now. Rejects when it can't be asked, or says what isn't signed. */
  #described(hash: string): Promise<Described | undefined> {
    const known = this.#known.get(hash) ?? this.#fromDisk(hash);
    if (known !== undefined) {
      this.#remember(hash, known);
      return Promise.resolve(known);
    }
    const coming = this.#coming.get(hash);
    if (coming !== undefined) return coming;
    if (this.#coming.size >= mostComing) return Promise.reject(new Error('too many descriptions are on their way'));
    const fetching = this.#turns(() => this.#fetch(hash)).finally(() => this.#coming.delete(hash));
    this.#coming.set(hash, fetching);
    return fetching;
  }

  async #fetch(hash: string): Promise<Described | undefined> {
    const { problems } = this.#world;
    let text: string;
    try {
      text = await this.#text(hash);
    } catch (error) {
      if (error instanceof NotThere) return undefined;
      throw error;
    }
    this.#count.fetched++;
    const found = this.#read(hash, text);
    if (found === undefined) {
      this.#count.wrong++;
      problems.set(
        'narinfo',
        `the description of store path ${hash}… is not signed by the plan's key: the controller, or somebody on the way, sends it so`,
      );
      throw new Error('not signed');
    }
    problems.clear('narinfo');
    this.#remember(hash, found);
    this.#keep(hash, text);
    return found;
  }

  async #text(hash: string): Promise<string> {
    const { fetch, after } = this.#world;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#ended.signal]);
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => undefined);
    const off = after(fetchMs, () => stop.abort());
    const over = () => late.reject(new Error(`fetch the description of ${hash}: no answer`));
    signal.addEventListener('abort', over, { once: true });
    const gather = async (): Promise<string> => {
      const pieces: Uint8Array[] = [];
      let bytes = 0;
      for await (const piece of fetch({ $case: 'narinfo', value: hash }, 0, signal)) {
        bytes += piece.length;
        if (bytes > longestNarInfo)
          throw new Error(`fetch the description of ${hash}: more than ${longestNarInfo} bytes`);
        pieces.push(piece);
      }
      return Buffer.concat(pieces).toString('utf8');
    };
    try {
      return await Promise.race([gather(), late.promise]);
    } finally {
      off();
      signal.removeEventListener('abort', over);
      stop.abort();
    }
  }

  /** What is of this path and signed by the plan's key. */
  #read(hash: string, text: string): Described | undefined {
    try {
      const info = readNarInfo(text);
      if (hashPart(info.path) !== hash || !isSigned(info, this.#key ?? '')) return undefined;
      return { text, narHash: info.narHash, narSize: info.narSize };
    } catch {
      return undefined;
    }
  }

  /** What an earlier life kept is believed as little as what comes. */
  #fromDisk(hash: string): Described | undefined {
    if (!this.#kept.has(hash)) return undefined;
    const file = join(this.#folder, hash);
    try {
      const found = statSync(file).size > longestNarInfo ? undefined : this.#read(hash, readFileSync(file, 'utf8'));
      if (found !== undefined) return found;
      rmSync(file, { force: true });
    } catch {
      // It is fetched anew.
    }
    this.#kept.delete(hash);
    return undefined;
  }

  #remember(hash: string, found: Described): void {
    this.#known.delete(hash);
    this.#known.set(hash, found);
    if (this.#known.size <= this.#most) return;
    const oldest = this.#known.keys().next().value!;
    this.#known.delete(oldest);
    this.#drop(oldest);
  }

  #keep(hash: string, text: string): void {
    const file = join(this.#folder, hash);
    try {
      if (this.#kept.size >= this.#most) this.#drop(this.#kept.values().next().value!);
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file);
      this.#kept.add(hash);
    } catch {
      // A full disk: it is known until the relay ends. What the cache of files says of the disk is told there.
      this.#drop(hash);
    }
  }

  #drop(hash: string): void {
    this.#kept.delete(hash);
    for (const name of [hash, `${hash}.new`]) {
      try {
        rmSync(join(this.#folder, name), { force: true });
      } catch {
        // It is read over or swept at the next start.
      }
    }
  }

  counters(): NixStoreCounters {
    return { ...this.#count };
  }

  close(): void {
    this.#ended.abort();
    this.#bulk.close();
  }
}
