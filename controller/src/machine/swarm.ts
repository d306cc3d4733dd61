// Who of a fleet takes which chunk of an image from us, and who is named to whom. Pure: it is fed with announcements and times.
//
// We send each chunk about once: a machine is told to take one that nobody has, and everybody else gets it from there. Only a few are under way at a
// time, so that each arrives soon and can be passed on. Nothing that a machine says is believed beyond this: a false set of chunks costs others a
// request, and each chunk is checked against the manifest by whoever gets it.
import { type Announcement, ChunkSet, type Guidance, maxTake, type Peer } from '@nixie/proto/fleet';

export interface SwarmLimits {
  /** Chunks under way from us at once. */
  readonly slots: number;
  /** More of them for machines that get nothing elsewhere. */
  readonly stuckSlots: number;
  /** A machine that was told to take a chunk and hasn't after so long is not waited for, milliseconds. */
  readonly takeMs: number;
  /** One that hasn't announced itself for so long is not named any more, milliseconds. */
  readonly lifeMs: number;
  readonly machines: number;
  /** Peers named in an answer. */
  readonly named: number;
  /** Of a machine that lacks chunks, at least and for each machine; of one that has all. Milliseconds. */
  readonly leastAgainMs: number;
  readonly againMsEach: number;
  readonly doneAgainMs: number;
}

export const usualSwarm: SwarmLimits = {
  slots: 6,
  stuckSlots: 2,
  takeMs: 15_000,
  lifeMs: 30_000,
  machines: 4096,
  named: 24,
  leastAgainMs: 100,
  againMsEach: 1,
  doneAgainMs: 8000,
};

interface Member {
  readonly address: string;
  port: number;
  have: ChunkSet;
  seenAt: number;
  /** Its place in the list that peers are drawn from. */
  place: number;
  /** Chunks that it was told to take, and when. */
  readonly taking: Map<number, number>;
}

export class Swarm {
  readonly chunks: number;
  readonly #limits: SwarmLimits;
  readonly #random: () => number;
  readonly #members = new Map<string, Member>();
  readonly #list: Member[] = [];
  /** Members that have each chunk, and that are taking it. */
  readonly #copies: Uint16Array;
  readonly #coming: Uint16Array;
  #underWay = 0;
  /** Below it every chunk has a copy or is coming. */
  #next = 0;
  #told = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** @param random 0 to 1, without 1 */
  constructor(chunks: number, random: () => number, limits: Partial<SwarmLimits> = {}) {
    this.chunks = chunks;
    this.#random = random;
    this.#limits = { ...usualSwarm, ...limits };
    this.#copies = new Uint16Array(chunks);
    this.#coming = new Uint16Array(chunks);
  }

  get machines(): number {
    return this.#members.size;
  }

  /** Chunks that somebody was told to take from us, so far. */
  get told(): number {
    return this.#told;
  }

  /** Undefined: there is no room for one more machine. @param now milliseconds of a clock that nobody sets */
  announce(address: string, said: Announcement, now: number): Guidance | undefined {
    this.#sweep(now);
    const member = this.#members.get(address) ?? this.#join(address, said, now);
    if (member === undefined) return undefined;
    member.seenAt = now;
    member.port = said.port;
    // One that has less than before has begun anew, and one that is stuck takes nothing: neither knows of what it was told.
    const forgot = said.stuck || member.have.helps(said.have);
    this.#hold(member, said.have);
    for (const chunk of [...member.taking.keys()])
      if (forgot || said.have.has(chunk) || said.gaveUp.includes(chunk)) this.#release(member, chunk);
    const take = member.have.complete ? [] : this.#give(member, said, now);
    const { leastAgainMs, againMsEach, doneAgainMs } = this.#limits;
    return {
      peers: member.have.complete ? [] : this.#name(member),
      take,
      againMs: member.have.complete ? doneAgainMs : Math.max(leastAgainMs, this.#members.size * againMsEach),
    };
  }

  #join(address: string, { have, port }: Announcement, now: number): Member | undefined {
    if (this.#members.size >= this.#limits.machines) return undefined;
    const nothing = new ChunkSet(have.size);
    const member = { address, port, have: nothing, seenAt: now, place: this.#list.length, taking: new Map() };
    this.#members.set(address, member);
    this.#list.push(member);
    return member;
  }

  #hold(member: Member, have: ChunkSet): void {
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const [before, after] = [member.have.has(chunk), have.has(chunk)];
      if (before === after) continue;
      this.#copies[chunk]! += after ? 1 : -1;
      if (!after) this.#lacks(chunk);
    }
    member.have = have;
  }

  #release(member: Member, chunk: number): void {
    if (!member.taking.delete(chunk)) return;
    this.#coming[chunk]! -= 1;
    this.#underWay -= 1;
    this.#lacks(chunk);
  }

  #lacks(chunk: number): void {
    if (this.#copies[chunk] === 0 && this.#coming[chunk] === 0) this.#next = Math.min(this.#next, chunk);
  }

  #give(member: Member, said: Announcement, now: number): number[] {
    const { slots, stuckSlots } = this.#limits;
    const room = slots + (said.stuck ? stuckSlots : 0) - this.#underWay;
    // One alone may take all that is to be had; of many, each one, so that what nobody had is soon in many places.
    const fair = Math.ceil(slots / this.#members.size) - member.taking.size;
    let most = Math.min(room, fair, said.wants, maxTake);
    const take: number[] = [];
    const tell = (chunk: number): void => {
      take.push(chunk);
      member.taking.set(chunk, now);
      this.#coming[chunk]! += 1;
      this.#underWay += 1;
      this.#told += 1;
      most -= 1;
    };
    while (this.#next < this.chunks && (this.#copies[this.#next]! > 0 || this.#coming[this.#next]! > 0)) this.#next++;
    for (let chunk = this.#next; most > 0 && chunk < this.chunks; chunk++)
      if (this.#copies[chunk] === 0 && this.#coming[chunk] === 0) tell(chunk);
    if (said.stuck && take.length === 0 && most > 0) {
      const wanted = this.#rarest(member);
      if (wanted !== undefined) tell(wanted);
    }
    return take;
  }

  /** Of those that it neither has nor takes; beginning anywhere, as all those with one copy are alike. */
  #rarest(member: Member): number | undefined {
    let best: number | undefined;
    const from = Math.floor(this.#random() * this.chunks);
    for (let i = 0; i < this.chunks; i++) {
      const chunk = (from + i) % this.chunks;
      if (member.have.has(chunk) || member.taking.has(chunk)) continue;
      if (best === undefined || this.#copies[chunk]! < this.#copies[best]!) best = chunk;
    }
    return best;
  }

  /** Some that have what it lacks, drawn by lot. */
  #name(member: Member): Peer[] {
    const { named } = this.#limits;
    const list = this.#list;
    const peers: Peer[] = [];
    const helps = (other: Member): boolean => other !== member && other.port > 0 && other.have.helps(member.have);
    // A partial shuffle, in the list itself: its order has no meaning.
    const looks = Math.min(list.length, named * 4);
    for (let i = 0; i < looks && peers.length < named; i++) {
      this.#swap(i, i + Math.floor(this.#random() * (list.length - i)));
      const other = list[i]!;
      if (helps(other)) peers.push({ address: other.address, port: other.port, have: other.have });
    }
    return peers;
  }

  #swap(a: number, b: number): void {
    const list = this.#list;
    const [first, second] = [list[a]!, list[b]!];
    list[a] = second;
    list[b] = first;
    second.place = a;
    first.place = b;
  }

  #sweep(now: number): void {
    const { lifeMs, takeMs } = this.#limits;
    // Often enough for both, and not at each of a thousand announcements a second.
    if (now - this.#sweptAt < Math.min(lifeMs, takeMs) / 10) return;
    this.#sweptAt = now;
    for (const member of [...this.#members.values()]) {
      for (const [chunk, since] of [...member.taking]) if (now - since > takeMs) this.#release(member, chunk);
      if (now - member.seenAt > lifeMs) this.#leave(member);
    }
  }

  #leave(member: Member): void {
    for (const chunk of [...member.taking.keys()]) this.#release(member, chunk);
    this.#hold(member, new ChunkSet(this.chunks));
    this.#members.delete(member.address);
    this.#swap(member.place, this.#list.length - 1);
    this.#list.pop();
  }
}
