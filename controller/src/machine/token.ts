// What shows that an agent runs on the machine whose boot script we made: a one-time token per script, and afterwards the credential
// of that boot. Pure: time and randomness come in as arguments.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Mac } from './mac.ts';

/** From the script being fetched to the agent's registration, kernel and initrd being loaded in between. Milliseconds. */
export const tokenLifeMs = 15 * 60_000;

/** Expired tokens of a stock that only grows are looked for so often, milliseconds. */
const forgetEveryMs = 60_000;

/** One token, as it may be written down over a restart. */
export interface Token {
  /** 32 lower-case hex digits. */
  readonly token: string;
  readonly mac: Mac;
  readonly host: string;
  /** Milliseconds, in the book of a clock that nobody sets, in a list for keeping since 1970. */
  readonly issuedAt: number;
  /** SHA-256 (hex) of the agent key that used it. */
  readonly usedBy?: string;
  /** When it was used, as `issuedAt`. */
  readonly usedAt?: number;
  /** It lies with a relay for a boot to come, and is good for so many milliseconds after its issue. */
  readonly stockedMs?: number;
}

/**
 * `again`: the same agent asks once more, since our answer was lost. `used`: another agent has used it; `newest` when no other token of that machine
 * was used later, so that agent is of the machine's boot of now.
 */
export type Taken =
  | { readonly verdict: 'ok' | 'again'; readonly host: string }
  | { readonly verdict: 'used'; readonly host: string; readonly newest: boolean }
  | { readonly verdict: 'unknown' | 'expired' | 'other-mac'; readonly host?: string };

/** The tokens that are out. Times are milliseconds of a clock that nobody sets. Bounded: the oldest are forgotten first, those of one MAC beyond a few as well. */
export class TokenBook {
  readonly #tokens = new Map<string, Token>();
  #forgotAt = Number.NEGATIVE_INFINITY;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #lifeMs: number;
  readonly #most: number;
  readonly #mostPerMac: number;

  /** @param random cryptographic, e.g. `randomBytes` */
  constructor(
    random: (bytes: number) => Uint8Array,
    {
      lifeMs = tokenLifeMs,
      most = 20_000,
      mostPerMac = 8,
    }: { lifeMs?: number; most?: number; mostPerMac?: number } = {},
  ) {
    this.#random = random;
    this.#lifeMs = lifeMs;
    this.#most = most;
    this.#mostPerMac = mostPerMac;
  }

  get size(): number {
    return this.#tokens.size;
  }

  /** A new token for one boot script. Earlier ones of the machine stay good: firmware may fetch a script twice and run the first. */
  issue(mac: Mac, host: string, now: number): string {
    this.#forget(now);
    const same = [...this.#tokens.values()].filter(
      (entry) => entry.mac === mac && entry.host === host && entry.stockedMs === undefined,
    );
    for (const { token } of same.slice(0, Math.max(0, same.length - this.#mostPerMac + 1))) this.#tokens.delete(token);
    return this.#put({ mac, host, issuedAt: now });
  }

  /** One that a relay keeps for a boot to come. Whoever issues it takes it back by `revokeOne` when it is to be used no more. */
  stock(mac: Mac, host: string, now: number, stockedMs: number): string {
    // Relays are stocked by the thousand in one moment.
    if (now - this.#forgotAt >= forgetEveryMs) this.#forget(now);
    return this.#put({ mac, host, issuedAt: now, stockedMs });
  }

  /** A relay has given it out in a script: from now on it is as one that we gave out ourselves. @returns false for one that isn't this host's, or was told of before */
  served(token: string, host: string, now: number): boolean {
    const entry = this.#tokens.get(token);
    if (entry === undefined || entry.host !== host || entry.stockedMs === undefined) return false;
    const { stockedMs: _, ...given } = entry;
    this.#tokens.set(token, { ...given, issuedAt: now });
    return true;
  }

  /** Takes one back that lies in stock. */
  revokeOne(token: string): void {
    if (this.#tokens.get(token)?.stockedMs !== undefined) this.#tokens.delete(token);
  }

  /** Is it good for a boot to come? */
  isStocked(token: string): boolean {
    return this.#tokens.get(token)?.stockedMs !== undefined && this.#tokens.get(token)?.usedBy === undefined;
  }

  #put(entry: Omit<Token, 'token'>): string {
    while (this.#tokens.size >= this.#most) this.#tokens.delete(this.#tokens.keys().next().value!);
    const token = Buffer.from(this.#random(16)).toString('hex');
    this.#tokens.set(token, { token, ...entry });
    return token;
  }

  /**
   * What a token is worth to this agent. One agent key may use it again and again within its life, another key never after it.
   * @param agentKey SHA-256 of the agent's public key, hex
   */
  check(token: string, mac: Mac, agentKey: string, now: number): Taken {
    const entry = this.#tokens.get(token);
    if (!entry) return { verdict: 'unknown' };
    const { host } = entry;
    if (now - entry.issuedAt > (entry.stockedMs ?? this.#lifeMs)) return { verdict: 'expired', host };
    if (entry.mac !== mac) return { verdict: 'other-mac', host };
    if (entry.usedBy === agentKey) return { verdict: 'again', host };
    if (entry.usedBy !== undefined) return { verdict: 'used', host, newest: this.#newestUsed(host) === token };
    return { verdict: 'ok', host };
  }

  /** Uses a token up that was checked. */
  use(token: string, agentKey: string, now: number): void {
    const entry = this.#tokens.get(token);
    if (entry !== undefined && entry.usedBy === undefined)
      this.#tokens.set(token, { ...entry, usedBy: agentKey, usedAt: now });
  }

  /** Checks it, and uses it up when it is good. */
  take(token: string, mac: Mac, agentKey: string, now: number): Taken {
    const taken = this.check(token, mac, agentKey, now);
    if (taken.verdict === 'ok') this.use(token, agentKey, now);
    return taken;
  }

  #newestUsed(host: string): string | undefined {
    let newest: { token: string; at: number } | undefined;
    for (const { token, host: owner, usedBy, usedAt, issuedAt } of this.#tokens.values()) {
      if (owner !== host || usedBy === undefined) continue;
      const at = usedAt ?? issuedAt;
      if (newest === undefined || at >= newest.at) newest = { token, at };
    }
    return newest?.token;
  }

  /** A boot script of this machine was given out, and its agent may still come with the token in it. */
  expects(host: string, now: number): boolean {
    for (const each of this.#tokens.values())
      if (
        each.host === host &&
        each.usedBy === undefined &&
        each.stockedMs === undefined &&
        now - each.issuedAt <= this.#lifeMs
      )
        return true;
    return false;
  }

  /** Takes back all tokens of a machine, e.g. once it is installed. */
  revoke(host: string): void {
    for (const { token, host: owner } of this.#tokens.values()) if (owner === host) this.#tokens.delete(token);
  }

  /**
   * For keeping over a restart; as secret as the tokens themselves.
   * @param offset from the clock of the book to the one on the wall, milliseconds
   */
  list(offset = 0): Token[] {
    return [...this.#tokens.values()].map((entry) => moved(entry, (at) => at + offset));
  }

  /** @param wall the clock of the list now. One that was set back meanwhile makes a token live longer, by one life at most */
  restore(tokens: readonly Token[], now: number, wall = now): void {
    for (const token of tokens.slice(-this.#most))
      this.#tokens.set(
        token.token,
        moved(token, (at) => now - Math.max(0, wall - at)),
      );
    this.#forget(now);
  }

  /** Expired ones are kept for one more life, so that a late agent hears `expired` and not `unknown`. */
  #forget(now: number): void {
    this.#forgotAt = now;
    for (const { token, issuedAt, stockedMs } of this.#tokens.values())
      if (now - issuedAt > 2 * (stockedMs ?? this.#lifeMs)) this.#tokens.delete(token);
  }
}

function moved(entry: Token, time: (at: number) => number): Token {
  const { issuedAt, usedAt } = entry;
  return { ...entry, issuedAt: time(issuedAt), ...(usedAt === undefined ? {} : { usedAt: time(usedAt) }) };
}

/** What a credential says once its seal was checked. */
export interface Credential {
  readonly host: string;
  readonly mac: Mac;
  readonly bootId: string;
  /** SPKI DER of the agent's P-256 key. The key itself, not its hash: after a restart there is nowhere else to look it up. */
  readonly agentKey: Uint8Array;
}

const seal = (secret: Uint8Array, payload: string): Buffer =>
  createHmac('sha256', secret).update(`nixie-credential\n${payload}`).digest();

/** `base64url(payload).base64url(HMAC-SHA-256)`; the same input gives the same text. */
export function makeCredential(secret: Uint8Array, { host, mac, bootId, agentKey }: Credential): string {
  const payload = Buffer.from(
    JSON.stringify({ host, mac, boot: bootId, key: Buffer.from(agentKey).toString('base64url') }),
  ).toString('base64url');
  return `${payload}.${seal(secret, payload).toString('base64url')}`;
}

/** Undefined for anything that this secret did not seal. */
export function readCredential(secret: Uint8Array, text: string): Credential | undefined {
  if (text.length > 4096) return undefined;
  const match = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/.exec(text);
  if (!match) return undefined;
  const given = Buffer.from(match[2]!, 'base64url');
  const right = seal(secret, match[1]!);
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
  // Sealed by us, so it has the shape we gave it.
  const { host, mac, boot, key } = JSON.parse(Buffer.from(match[1]!, 'base64url').toString('utf8')) as {
    host: string;
    mac: Mac;
    boot: string;
    key: string;
  };
  return { host, mac, bootId: boot, agentKey: Buffer.from(key, 'base64url') };
}
