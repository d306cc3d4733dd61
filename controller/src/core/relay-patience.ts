// How long a machine is waited for whose relay's link is gone, or comes and goes: its stage may last longer for it, and not for ever.
import type { Life } from '../machine/life.ts';
import type { Relays } from './relays.ts';

export interface RelayPatienceWorld {
  readonly relays: Pick<Relays, 'view' | 'cutSince'>;
  life(host: string): Life | undefined;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

/** A relay that was there and is gone may come back for so long; one that never came has less time. Milliseconds. */
const goneMs = 60 * 60_000;
const neverMs = 15 * 60_000;
/** In all, so much longer than its patience a stage may last for a link that comes and goes. Milliseconds. */
export const mostMoreMs = 2 * 60 * 60_000;

/** The stage whose patience has ended for the first time. */
interface Respite {
  readonly stage: string;
  readonly since: number;
  readonly at: number;
  /** How often the link had been lost by then. */
  readonly losses: number;
}

export class RelayPatience {
  readonly #world: RelayPatienceWorld;
  readonly #began: number;
  readonly #respites = new Map<string, Respite>();

  constructor(world: RelayPatienceWorld) {
    this.#world = world;
    this.#began = world.ticks();
  }

  /** See `CoreWorld.overdue`. */
  overdue(host: string, relay: string, since: number): 'wait' | { readonly reason: string } | undefined {
    const { relays, ticks, life } = this.#world;
    const { link, since: at, losses = 0 } = relays.view(relay);
    if (link !== undefined && !relays.cutSince(relay, since)) {
      this.#respites.delete(host);
      return undefined;
    }
    const now = ticks();
    if (link === undefined && now - (at ?? this.#began) >= (at === undefined ? neverMs : goneMs)) {
      this.#respites.delete(host);
      const reason =
        at === undefined
          ? `its relay ${relay} never connected: is "nixie relay" started there, with a token of "nixie relay-token ${relay}"?`
          : `its relay ${relay} has been gone for too long: is it running, and can it reach this controller?`;
      return { reason };
    }
    const { stage, since: entered } = life(host) ?? { stage: 'planned', since: 0 };
    const known = this.#respites.get(host);
    const first =
      known?.stage === stage && known.since === entered ? known : { stage, since: entered, at: now, losses };
    this.#respites.set(host, first);
    if (now - first.at < mostMoreMs) return 'wait';
    this.#respites.delete(host);
    const times = losses - first.losses;
    return {
      reason: `the link of its relay ${relay} comes and goes: lost ${times} times in the ${Math.round((now - first.at) / 60_000)} min by which ${stage} has lasted longer than it may; what is wrong with its uplink?`,
    };
  }

  /** A host that is of the run no more. */
  forget(host: string): void {
    this.#respites.delete(host);
  }
}
