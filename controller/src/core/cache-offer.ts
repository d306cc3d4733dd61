// The binary cache of this run, offered to machines over their agents' pinned sessions, so that nobody else can name one. Whatever goes wrong with
// it, the install goes on: nixos-anywhere pushes by ssh what the machine could not fetch.
import type { Life } from '../machine/life.ts';
import { iso } from './core.ts';
import type { Action, TaskWorld } from './task-world.ts';

/** What machines are told of it. Where it is, the agent knows: at the address by which it reached us, or its relay. */
export interface CacheOffer {
  readonly port: number;
  /** `/nix` */
  readonly path: string;
  /** `name:base64` */
  readonly publicKey: string;
}

const askMs = 10_000;
/** Boots that are remembered. */
const mostBoots = 4096;

/** Which boots have taken the offer. */
export class CacheOffers {
  readonly offer: CacheOffer;
  readonly #boots = new Map<string, boolean>();

  constructor(offer: CacheOffer) {
    this.offer = offer;
  }

  /** Undefined: it was not offered to this boot. */
  taken(bootId: string): boolean | undefined {
    return this.#boots.get(bootId);
  }

  note(bootId: string, taken: boolean): void {
    this.#boots.set(bootId, taken);
    for (const oldest of this.#boots.keys()) {
      if (this.#boots.size <= mostBoots) break;
      this.#boots.delete(oldest);
    }
  }
}

/** Before anything is copied. Never throws; one notice for a boot that doesn't take it. */
export async function offerCache(world: TaskWorld, life: Life): Promise<void> {
  const { cache } = world;
  const bootId = life.bootId ?? '';
  if (cache === undefined || cache.taken(bootId) === true) return;
  const action: Action = { $case: 'useCache', value: { ...cache.offer } };
  const failed = await world.agents.instruct(life.host, action, askMs).then(
    ({ ok, error }) => (ok ? undefined : error || 'its agent failed'),
    (error: Error) => error.message,
  );
  const told = cache.taken(bootId) !== undefined;
  cache.note(bootId, failed === undefined);
  if (failed !== undefined && !told) unused(world, life.host, `its agent did not take the binary cache: ${failed}`);
}

/** What came how, of one copy, and what nix complained of. */
export interface Copied {
  fetched: number;
  pushed: number;
  complaint?: string;
}

const complaints =
  /^(?:warning: the substitute for|warning: unable to download|error: unable to download|error: (?:bad archive|hash mismatch)|disabling binary cache)/;

/** Notes the first line by which nix says why it does without the cache. That it does so now comes first, and says the least. */
export function complains(copied: Copied, text: string): void {
  const known = copied.complaint !== undefined && !copied.complaint.startsWith('disabling');
  if (!known && complaints.test(text)) copied.complaint = text.slice(0, 300);
}

/** After a copy: something was pushed although the machine had taken the offer. */
export function checkUse(world: TaskWorld, life: Life, copied: Copied): void {
  if (world.cache?.taken(life.bootId ?? '') !== true || copied.pushed === 0) return;
  const count = `${copied.pushed} of ${copied.pushed + copied.fetched} paths were pushed by ssh, though it was told of the binary cache`;
  unused(world, life.host, copied.complaint === undefined ? count : `${count}; nix said: ${copied.complaint}`);
}

function unused(world: TaskWorld, host: string, text: string): void {
  world.cacheUnused?.(host, text);
  world.emit({
    event: 'notice',
    at: iso(world.now()),
    host,
    level: 'warning',
    text: `${text}. The install goes on; copies are slower so`,
  });
}
