// What the front doors saw, on its way to whoever keeps the trails of the machines. Bounded: a flood must not fill memory.
import type { Mac } from '../machine/mac.ts';
import { TokenBucket } from './token-bucket.ts';

export type SeenKind =
  | 'dhcp-answered'
  | 'dhcp-silent'
  | 'dhcp-malformed'
  | 'dhcp-limited' // a machine of ours asks faster than any firmware does
  | 'dhcp-flood' // more was asked than is looked at; of no machine
  | 'dhcp-unsent' // the network refused the reply
  | 'tftp-started'
  | 'tftp-sent'
  | 'tftp-probed' // asked for the size only, which is usual
  | 'tftp-stopped' // aborted by the client, given up, or malformed
  | 'tftp-refused' // unknown name, writing, too many at once
  | 'http-script'
  | 'http-file'
  | 'http-refused';

export interface Seen {
  readonly kind: SeenKind;
  readonly mac?: Mac;
  readonly machine?: string;
  readonly interface?: string;
  /** The client's address, where the protocol has one. */
  readonly address?: string;
  /** Why, in a word of the closed set of the part that decided: of `answerDhcp`, of the TFTP transfer. */
  readonly why?: string;
  readonly detail?: string;
}

export interface SeenBatch {
  readonly seen: readonly Seen[];
  /** Since the last batch: what did not fit. */
  readonly dropped: number;
}

/** Collects until `take`. What belongs to no machine of ours gets a small share only, so that strangers can't displace it. */
export class SeenQueue {
  readonly #limit: number;
  readonly #strangers: TokenBucket;
  #seen: Seen[] = [];
  #dropped = 0;

  constructor(limit = 2000, strangersPerSecond = 50) {
    this.#limit = limit;
    this.#strangers = new TokenBucket(strangersPerSecond * 2, strangersPerSecond);
  }

  get length(): number {
    return this.#seen.length;
  }

  push(seen: Seen, nowMs: number): void {
    const known = seen.machine !== undefined || seen.kind === 'dhcp-flood' || /^(tftp|http)/.test(seen.kind);
    if (this.#seen.length >= this.#limit || (!known && !this.#strangers.take(nowMs))) this.#dropped++;
    else this.#seen.push(seen);
  }

  take(): SeenBatch | undefined {
    if (this.#seen.length === 0 && this.#dropped === 0) return undefined;
    const batch = { seen: this.#seen, dropped: this.#dropped };
    this.#seen = [];
    this.#dropped = 0;
    return batch;
  }
}
