// What the front doors saw, on its way to whoever keeps the trails of the machines. Bounded: a flood must not fill memory.
import type { ClientKind } from '../answer/firmware.ts';
import type { Mac } from '../machine/mac.ts';
import type { StrangerWords } from '../machine/stranger.ts';
import type { MessageType } from '../wire/dhcp4/options.ts';
import { TokenBucket } from './token-bucket.ts';

export type SeenKind =
  | 'dhcp-answered'
  | 'dhcp-silent'
  | 'dhcp-malformed'
  | 'dhcp-limited' // a machine of ours asks faster than any firmware does
  | 'dhcp-flood' // more was asked than is looked at; of no machine
  | 'dhcp-unsent' // the network refused the reply
  | 'other-offer' // another server's offer to a machine of ours
  | 'tftp-started'
  | 'tftp-resending' // one block was sent again and again; told once, and the transfer goes on trying
  | 'tftp-sent'
  | 'tftp-probed' // asked for the size only, which is usual
  | 'tftp-stopped' // aborted by the client, given up, or malformed
  | 'tftp-refused' // unknown name, writing, too many at once
  | 'http-script'
  | 'http-file'
  | 'http-refused';

export interface Seen {
  readonly kind: SeenKind;
  /** The `nixie relay` whose front doors saw it; absent: ours. */
  readonly relay?: string;
  /** Milliseconds since 1970, when it wasn't now: what a relay saw may have waited for its uplink. */
  readonly at?: number;
  readonly mac?: Mac;
  readonly machine?: string;
  readonly interface?: string;
  /** The client's address, where the protocol has one: of a DHCP REQUEST the one that it takes or holds. */
  readonly address?: string;
  /** Of a REQUEST: it holds that address already, so it renews it, or asks port 4011, past any relay. */
  readonly holds?: boolean;
  /** Relay that passed a DHCP message on, and the declared subnet that it is from. `undeclared`: no declared one has the relay's address. */
  readonly giaddr?: string;
  readonly subnet?: string;
  readonly undeclared?: boolean;
  /** Why, in a word of the closed set of the part that decided: of `answerDhcp`, of the TFTP transfer. */
  readonly why?: string;
  readonly detail?: string;
  /** Of a DHCP message: what it asks, of what kind its sender is, and the port of ours that it came to. */
  readonly asked?: MessageType;
  readonly client?: ClientKind;
  readonly port?: number;
  /** Of a machine that wants to boot and is none of ours: what it says of itself. */
  readonly stranger?: StrangerWords;
  /** Another DHCP server that a REQUEST chose, or that made an offer. */
  readonly server?: string;
  /** Of a TFTP transfer: blocks acknowledged (-1: not even the options) of how many, their size in bytes; how often
   *  the block was sent again that was waited for, or of a file that was sent, how many datagrams. */
  readonly done?: number;
  readonly total?: number;
  readonly blockSize?: number;
  readonly again?: number;
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
