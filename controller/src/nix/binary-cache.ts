// The binary cache of a run: the closures of its hosts and nothing else, by the hash part of their paths. Only a table; who asks, and by what
// way, is the front doors' concern.
import type { Closure } from './closure.ts';
import { type CacheKey, writeNarInfo } from './narinfo.ts';
import { hashPart, storeFolder } from './store-path.ts';

export interface ServedPath {
  readonly path: string;
  readonly narSize: number;
  /** 64 hex digits */
  readonly narHash: string;
}

/** What a front door needs of it. */
export interface PathTable {
  /** `Priority` below 50, that of public caches: what is near is asked first. */
  info(): string;
  /** The signed description of a path. */
  narInfo(hash: string): string | undefined;
  served(hash: string): ServedPath | undefined;
}

interface Entry extends ServedPath {
  readonly references: readonly string[];
  /** Made when it is asked for. */
  text?: string;
}

export class BinaryCache implements PathTable {
  readonly #key: CacheKey;
  readonly #entries = new Map<string, Entry>();
  #store = '/nix/store';

  constructor(key: CacheKey) {
    this.#key = key;
  }

  /** `name:base64`, for those who shall believe it. */
  get publicKey(): string {
    return this.#key.publicText;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Serves these closures, and nothing that was served before and is in none of them. */
  serve(closures: Iterable<Closure>): void {
    const wanted = new Set<string>();
    for (const closure of closures)
      for (const [path, { narSize, narHash, references }] of closure.paths) {
        const hash = hashPart(path);
        if (hash === undefined || narHash === undefined || references === undefined) continue;
        wanted.add(hash);
        // A path that was collected and built anew may be other bytes.
        if (this.#entries.get(hash)?.narHash === narHash) continue;
        this.#entries.set(hash, { path, narSize, narHash, references });
        this.#store = storeFolder(path);
      }
    for (const hash of this.#entries.keys()) if (!wanted.has(hash)) this.#entries.delete(hash);
  }

  info(): string {
    return `StoreDir: ${this.#store}\nWantMassQuery: 1\nPriority: 20\n`;
  }

  narInfo(hash: string): string | undefined {
    const entry = this.#entries.get(hash);
    if (entry === undefined) return undefined;
    entry.text ??= writeNarInfo(entry, this.#key);
    return entry.text;
  }

  served(hash: string): ServedPath | undefined {
    return this.#entries.get(hash);
  }
}
