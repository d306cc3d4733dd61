// Tokens that lie with relays for boots to come, so that a lost uplink stops no machine that may boot.
import type { Mac } from '../machine/mac.ts';
import type { TokenBook } from '../machine/token.ts';

/** A relay may be without its uplink for so long, milliseconds. */
export const stockLifeMs = 60 * 60_000;
/** One as old as this is followed by a new one, so that what a relay has at the moment of a cut is good for a while. */
export const renewAfterMs = 30 * 60_000;
/**
 * For so long at most a relay without its uplink offers installers, milliseconds. A token is renewed within half an hour, and forgotten two hours
 * after its issue (twice its life): what was given out later would be nobody's when its machine registers.
 */
export const longestPlanLifeMs = 90 * 60_000;

/** Of each card, where there are few. */
const mostOfEach = 3;
/** Of all cards together: the book forgets its oldest beyond 20,000, and has those that were given out, and earlier ones that a relay may still have. */
const mostOfAll = 12_000;

/** @param cards that any relay has in stock */
export function stockOfEach(cards: number): number {
  return Math.max(1, Math.min(mostOfEach, Math.floor(mostOfAll / Math.max(1, cards))));
}

export interface StockWorld {
  readonly tokens: TokenBook;
  /** Called when the tokens have changed. */
  changed(): void;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

export class TokenStock {
  readonly #world: StockWorld;
  /** By host and MAC. */
  readonly #stock = new Map<string, { host: string; tokens: { token: string; at: number }[] }>();

  constructor(world: StockWorld) {
    this.#world = world;
  }

  /** What its relay should have now: those that were given out or grow old are replaced. @param most of them */
  of(host: string, mac: Mac, most = mostOfEach): string[] {
    const { tokens, ticks } = this.#world;
    const key = `${host} ${mac}`;
    const now = ticks();
    const kept = (this.#stock.get(key)?.tokens ?? []).filter(
      ({ token, at }) => now - at < renewAfterMs && tokens.isStocked(token),
    );
    const missing = most - kept.length;
    for (let i = 0; i < missing; i++) kept.push({ token: tokens.stock(mac, host, now, stockLifeMs), at: now });
    this.#stock.set(key, { host, tokens: kept });
    if (missing > 0) this.#world.changed();
    return kept.map(({ token }) => token);
  }

  /** It is not to be installed: none of its stock is good any more. */
  drop(host: string): void {
    let any = false;
    for (const [key, each] of this.#stock) {
      if (each.host !== host) continue;
      for (const { token } of each.tokens) this.#world.tokens.revokeOne(token);
      this.#stock.delete(key);
      any = true;
    }
    if (any) this.#world.changed();
  }
}
