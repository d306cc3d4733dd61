// What a machine asks for next, and of whom. Pure: it is fed with guidance, outcomes and times.
//
// A peer is drawn by lot, and of what it has the rarest is taken: then what few have is spread first, and not all ask the same one. Whoever sends a
// wrong chunk is never asked again, whoever is slow or gone not for a while. What the door told us to take is taken from the door. When neither
// tracker nor peers are of use, everything comes from the door.
import { type ChunkSet, type Guidance, maxTake, type Peer } from '@nixie/proto/fleet';

/** Of whom. */
export type Source =
  | { readonly kind: 'door' }
  | { readonly kind: 'peer'; readonly address: string; readonly port: number };

export interface Ask {
  readonly chunk: number;
  readonly from: Source;
}

/** How a request ended without a chunk. `busy`: it said so itself; `refused`: it doesn't have the chunk; `called-off`: by us. */
export type Failure = 'busy' | 'refused' | 'gone' | 'slow' | 'wrong' | 'called-off';

export interface ChoiceLimits {
  /** Requests under way to peers, and to each. */
  readonly peerAsks: number;
  readonly eachPeer: number;
  /** Requests under way to the door. */
  readonly doorAsks: number;
  readonly peersKept: number;
  /** Milliseconds without a chunk until the tracker is told, and until all is taken from the door. */
  readonly stuckMs: number;
  readonly aloneMs: number;
  /** Announcements in a row that failed until the door is asked for everything. */
  readonly deaf: number;
}

export const usualChoice: ChoiceLimits = {
  // As many as a peer serves at once: then few have to be told that it is busy.
  peerAsks: 4,
  eachPeer: 1,
  doorAsks: 4,
  peersKept: 64,
  stuckMs: 2500,
  aloneMs: 10_000,
  deaf: 3,
};

interface Known {
  readonly address: string;
  readonly port: number;
  have: ChunkSet;
  asks: number;
  /** Failures in a row. */
  failures: number;
  /** Not asked before, milliseconds. */
  notBefore: number;
}

interface UnderWay {
  readonly since: number;
  readonly from: Source;
}

/** How long one is left alone that was busy, that lacks what we asked for, and that failed (doubled each time), milliseconds. */
const busyMs = 60;
const refusedMs = 500;
const failedMs = 4000;
const longestMs = 60_000;
const longestDoorMs = 10_000;

const keyOf = (peer: { readonly address: string; readonly port: number }): string => `${peer.address} ${peer.port}`;

export class Choice {
  readonly have: ChunkSet;
  readonly #limits: ChoiceLimits;
  readonly #random: () => number;
  readonly #peers = new Map<string, Known>();
  /** Addresses that sent a wrong chunk. */
  readonly #liars = new Set<string>();
  readonly #underWay = new Map<number, UnderWay[]>();
  /** Told by the tracker, not asked for yet. */
  readonly #toTake: number[] = [];
  #doorAsks = 0;
  #peerAsks = 0;
  #gaveUp: number[] = [];
  /** How many of the known peers have each chunk. */
  #copies: Uint16Array;
  /** When the last chunk came, or we began. */
  #movedAt: number;
  /** It waited in vain once, and since then no other machine has sent anything: what the door sends is no reason to wait for them anew. */
  #stuck = false;
  #deaf = 0;
  /** Failures of the door in a row, and when it may be asked again. */
  #doorFailures = 0;
  #doorNotBefore = 0;
  /** Milliseconds that a chunk usually takes. */
  #usualMs: number | undefined;

  /** @param have what is there already; grows with each chunk. @param random 0 to 1, without 1 */
  constructor(have: ChunkSet, random: () => number, now: number, limits: Partial<ChoiceLimits> = {}) {
    this.have = have;
    this.#random = random;
    this.#movedAt = now;
    this.#limits = { ...usualChoice, ...limits };
    this.#copies = new Uint16Array(have.size);
  }

  get liars(): readonly string[] {
    return [...this.#liars];
  }

  /** How many are known. */
  get peers(): number {
    return this.#peers.size;
  }

  /** Milliseconds after which a request that hasn't ended is given up. */
  get patienceMs(): number {
    return this.#usualMs === undefined ? 15_000 : Math.min(60_000, Math.max(4000, this.#usualMs * 8));
  }

  /** All is taken from the door: the tracker is silent, or of no use. */
  alone(now: number): boolean {
    return this.#deaf >= this.#limits.deaf || now - this.#movedAt >= this.#limits.aloneMs;
  }

  /** For the next announcement. What was given up is told once. */
  report(now: number): { readonly wants: number; readonly stuck: boolean; readonly gaveUp: readonly number[] } {
    const gaveUp = this.#gaveUp.slice(0, maxTake);
    this.#gaveUp = this.#gaveUp.slice(maxTake);
    if (this.have.complete) return { wants: 0, stuck: false, gaveUp };
    const wants = Math.max(0, this.#limits.doorAsks - this.#doorAsks - this.#toTake.length);
    const idle = this.#doorAsks + this.#toTake.length === 0;
    if (idle && now - this.#movedAt >= this.#limits.stuckMs) this.#stuck = true;
    return { wants, stuck: idle && this.#stuck, gaveUp };
  }

  guided({ peers, take }: Guidance): void {
    this.#deaf = 0;
    for (const peer of peers) this.#know(peer);
    this.#recount();
    for (const chunk of take) if (!this.have.has(chunk) && !this.#toTake.includes(chunk)) this.#toTake.push(chunk);
  }

  /** The tracker didn't answer, or refused. */
  unheard(): void {
    this.#deaf += 1;
  }

  /** A peer told what it has. */
  told(address: string, port: number, have: ChunkSet): void {
    const peer = this.#peers.get(keyOf({ address, port }));
    if (peer === undefined) return;
    for (let chunk = 0; chunk < have.size; chunk++)
      if (have.has(chunk) && !peer.have.has(chunk)) this.#copies[chunk]! += 1;
    peer.have = have;
  }

  #know({ address, port, have }: Peer): void {
    if (this.#liars.has(address)) return;
    const known = this.#peers.get(keyOf({ address, port }));
    if (known !== undefined) {
      known.have = have;
      return;
    }
    if (this.#peers.size >= this.#limits.peersKept) {
      const idle = [...this.#peers].find(([, peer]) => peer.asks === 0);
      if (idle === undefined) return;
      this.#peers.delete(idle[0]);
    }
    this.#peers.set(keyOf({ address, port }), { address, port, have, asks: 0, failures: 0, notBefore: 0 });
  }

  #recount(): void {
    this.#copies = new Uint16Array(this.have.size);
    for (const { have } of this.#peers.values())
      for (let chunk = 0; chunk < this.have.size; chunk++) if (have.has(chunk)) this.#copies[chunk]! += 1;
  }

  /** What to ask for now, counted as under way; undefined: nothing, until something has happened or some milliseconds have passed. */
  next(now: number): Ask | undefined {
    const ask = this.#ofDoor(now) ?? this.#ofPeers(now) ?? this.#again(now);
    if (ask === undefined) return undefined;
    const { chunk, from } = ask;
    this.#underWay.set(chunk, [...(this.#underWay.get(chunk) ?? []), { since: now, from }]);
    if (from.kind === 'door') this.#doorAsks += 1;
    else {
      this.#peerAsks += 1;
      this.#peers.get(keyOf(from))!.asks += 1;
    }
    return ask;
  }

  #ofDoor(now: number): Ask | undefined {
    if (this.#doorAsks >= this.#limits.doorAsks || now < this.#doorNotBefore) return undefined;
    for (;;) {
      const chunk = this.#toTake.shift();
      if (chunk === undefined) break;
      if (!this.have.has(chunk) && !this.#underWay.has(chunk)) return { chunk, from: { kind: 'door' } };
      this.#gaveUp.push(chunk);
    }
    if (!this.alone(now)) return undefined;
    const chunk = this.#pick(() => true);
    return chunk === undefined ? undefined : { chunk, from: { kind: 'door' } };
  }

  #ofPeers(now: number): Ask | undefined {
    if (this.#peerAsks >= this.#limits.peerAsks) return undefined;
    const free = [...this.#peers.values()].filter((peer) => this.#mayAsk(peer, now));
    // Idle ones first, in an order by lot: all upload at once then.
    const lots = free.map((peer) => ({ peer, lot: peer.asks + this.#random() })).sort((a, b) => a.lot - b.lot);
    for (const { peer } of lots) {
      const chunk = this.#pick((each) => peer.have.has(each));
      if (chunk !== undefined) return { chunk, from: { kind: 'peer', address: peer.address, port: peer.port } };
    }
    return undefined;
  }

  /** What is slow is asked of one more peer as well, when there is nothing else to ask for. */
  #again(now: number): Ask | undefined {
    if (this.#peerAsks >= this.#limits.peerAsks) return undefined;
    const slowMs = Math.max(300, (this.#usualMs ?? 5000) * 3);
    for (const [chunk, ways] of this.#underWay) {
      const [way] = ways;
      if (way === undefined || ways.length > 1 || now - way.since < slowMs) continue;
      const other = [...this.#peers.values()].find(
        (peer) =>
          this.#mayAsk(peer, now) &&
          peer.have.has(chunk) &&
          !(way.from.kind === 'peer' && way.from.address === peer.address),
      );
      if (other !== undefined) return { chunk, from: { kind: 'peer', address: other.address, port: other.port } };
    }
    return undefined;
  }

  #mayAsk(peer: Known, now: number): boolean {
    return peer.asks < this.#limits.eachPeer && now >= peer.notBefore;
  }

  /** The rarest that is wanted and not under way; beginning anywhere, so that equals are drawn by lot. */
  #pick(has: (chunk: number) => boolean): number | undefined {
    const { size } = this.have;
    let best: number | undefined;
    const from = Math.floor(this.#random() * size);
    for (let i = 0; i < size; i++) {
      const chunk = from + i < size ? from + i : from + i - size;
      if (this.have.has(chunk) || this.#underWay.has(chunk) || !has(chunk)) continue;
      if (best === undefined || this.#copies[chunk]! < this.#copies[best]!) best = chunk;
    }
    return best;
  }

  /** The chunk came, and is right. */
  got({ chunk, from }: Ask, now: number): void {
    const took = this.#ended(chunk, from, now);
    if (took !== undefined) this.#usualMs = this.#usualMs === undefined ? took : this.#usualMs * 0.8 + took * 0.2;
    const peer = from.kind === 'peer' ? this.#peers.get(keyOf(from)) : undefined;
    if (peer !== undefined) peer.failures = 0;
    if (from.kind === 'door') this.#doorFailures = 0;
    else this.#stuck = false;
    this.have.add(chunk);
    this.#movedAt = now;
  }

  failed({ chunk, from }: Ask, why: Failure, now: number): void {
    this.#ended(chunk, from, now);
    if (from.kind === 'door') {
      if (why === 'called-off') return;
      this.#gaveUp.push(chunk);
      // Many machines may be waiting for it to come back.
      this.#doorNotBefore = now + Math.min(longestDoorMs, refusedMs * 2 ** this.#doorFailures) * (0.5 + this.#random());
      this.#doorFailures += 1;
      return;
    }
    const peer = this.#peers.get(keyOf(from));
    if (why === 'wrong') {
      this.#liars.add(from.address);
      if (this.#liars.size > this.#limits.peersKept) this.#liars.delete(this.#liars.values().next().value!);
      for (const [key, { address }] of [...this.#peers]) if (address === from.address) this.#peers.delete(key);
      this.#recount();
    } else if (peer === undefined || why === 'called-off') {
      return;
    } else if (why === 'busy' || why === 'refused') {
      const pause = why === 'busy' ? Math.max(busyMs, Math.min(failedMs, (this.#usualMs ?? 0) / 2)) : refusedMs;
      peer.notBefore = now + pause * (0.5 + this.#random());
    } else {
      peer.notBefore = now + Math.min(longestMs, failedMs * 2 ** peer.failures);
      peer.failures += 1;
    }
  }

  /** Milliseconds that it took; undefined: it wasn't under way from there. */
  #ended(chunk: number, from: Source, now: number): number | undefined {
    const ways = this.#underWay.get(chunk) ?? [];
    const same = (way: UnderWay): boolean =>
      way.from.kind === 'door' ? from.kind === 'door' : from.kind === 'peer' && keyOf(way.from) === keyOf(from);
    const way = ways.find(same);
    const rest = ways.filter((each) => each !== way);
    if (rest.length === 0) this.#underWay.delete(chunk);
    else this.#underWay.set(chunk, rest);
    if (from.kind === 'door') this.#doorAsks -= 1;
    else {
      this.#peerAsks -= 1;
      const peer = this.#peers.get(keyOf(from));
      if (peer !== undefined) peer.asks -= 1;
    }
    return way === undefined ? undefined : now - way.since;
  }
}
