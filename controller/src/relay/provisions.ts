// What the relay fetches before anybody asks: loaders first, which firmware won't wait for and which are kept in memory, then what the plan says is
// worth having.
import { loaderFault } from '../listen/loaders.ts';
import type { Cache } from './cache.ts';
import type { CacheRef } from './fetching.ts';
import type { PlannedLoader, RelayPlan } from './plan.ts';
import type { Problems } from './problems.ts';

const firstPauseMs = 2000;
const longestPauseMs = 60_000;

export interface ProvisionsWorld {
  readonly cache: Pick<Cache, 'bytes' | 'keep' | 'pin'>;
  readonly problems: Problems;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Other loaders are in memory now. */
  loadersChanged(): void;
}

export class Provisions {
  readonly #world: ProvisionsWorld;
  readonly #closed = new AbortController();
  #stop = new AbortController();
  #loaders: readonly PlannedLoader[] = [];
  /** By SHA-256. */
  readonly #bytes = new Map<string, Uint8Array>();
  #files: ReadonlyMap<string, Uint8Array> = new Map();
  /** What is being fetched now, in order. */
  #wanted = '';

  constructor(world: ProvisionsWorld) {
    this.#world = world;
  }

  /** Contents of the plan's loaders that are here, by name. Another map when it is another content. */
  get loaders(): ReadonlyMap<string, Uint8Array> {
    return this.#files;
  }

  /** Fetches what this plan needs; what an earlier one needed is given up. */
  take(plan: RelayPlan): void {
    const { cache } = this.#world;
    if (this.#closed.signal.aborted) return;
    const first = plan.loaders.map(({ file }) => file.sha256);
    cache.pin([...first, ...[...plan.files.values(), ...plan.ahead].map(({ sha256 }) => sha256)]);
    for (const sha256 of this.#bytes.keys()) if (!first.includes(sha256)) this.#bytes.delete(sha256);
    this.#loaders = plan.loaders;
    this.#gather();
    // Plans come often, and mostly want what the one before wanted: what is under way goes on.
    const wanted = JSON.stringify([plan.loaders, plan.ahead]);
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#stop.abort();
    this.#stop = new AbortController();
    void this.#work(plan, this.#stop.signal);
  }

  #gather(): void {
    const files = new Map(
      this.#loaders.flatMap(({ name, file }) => {
        const bytes = this.#bytes.get(file.sha256);
        return bytes === undefined ? [] : [[name, bytes] as const];
      }),
    );
    const same =
      files.size === this.#files.size && [...files].every(([name, bytes]) => this.#files.get(name) === bytes);
    if (!same) this.#files = files;
  }

  async #work({ loaders, ahead }: RelayPlan, signal: AbortSignal): Promise<void> {
    await Promise.all(loaders.map((loader) => this.#load(loader, signal)));
    const wanted = new Map(ahead.map((ref) => [ref.sha256, ref]));
    for (const ref of wanted.values()) {
      if (signal.aborted) return;
      await this.#keep(ref, signal);
    }
  }

  async #load(loader: PlannedLoader, signal: AbortSignal): Promise<void> {
    const { file, firmware, name } = loader;
    if (this.#bytes.has(file.sha256)) return;
    const key = `loader ${name}`;
    await this.#again(key, `boot loader ${name}`, signal, async () => {
      const bytes = await this.#world.cache.bytes(file, signal);
      const fault = loaderFault(firmware, bytes);
      if (fault !== undefined) throw new Error(fault);
      this.#bytes.set(file.sha256, bytes);
      this.#gather();
      this.#world.loadersChanged();
    });
  }

  /** One that is in the way of the others is left after its first failure: whoever asks for it fetches it. */
  async #keep(ref: CacheRef, signal: AbortSignal): Promise<void> {
    try {
      await this.#world.cache.keep(ref, signal);
    } catch {
      await this.#world.sleep(firstPauseMs, signal);
    }
  }

  async #again(key: string, what: string, signal: AbortSignal, act: () => Promise<void>): Promise<void> {
    const { problems, sleep } = this.#world;
    for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        await act();
        problems.clear(key);
        return;
      } catch (error) {
        if (signal.aborted) return;
        problems.set(key, `${what}: ${(error as Error).message}; machines that need it hear nothing`);
        await sleep(pauseMs, signal);
      }
    }
  }

  close(): void {
    this.#closed.abort();
    this.#stop.abort();
  }
}
