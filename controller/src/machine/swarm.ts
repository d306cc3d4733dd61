// Who of a fleet takes which chunk of an image from us, and who is named to whom. Pure: it is fed with announcements and times.
//
// We send each chunk about once: a machine is told to take one that nobody has, and everybody else gets it from there. Only a few are under way at a
// time, so that each arrives soon and can be passed on. Nothing that a machine says is believed beyond this: a false set of chunks costs others a
// request, and each chunk is checked against the manifest by whoever gets it.
import {
  type Announcement,
  ChunkSet,
  type Guidance,
  maxTake,
  type Peer,
  type StageAsk,
  type StageSaid,
} from '@nixie/proto/fleet';

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
  /** Boot stages that are sent to one machine at a time, and how long one of them counts that says nothing more, milliseconds. */
  readonly eachServes: number;
  readonly servesMs: number;
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
  eachServes: 4,
  servesMs: 20_000,
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
  /** Those that it, a boot stage, was sent to. */
  sentTo: Member[];
  /** Requests of boot stages that were sent here. */
  serves: number;
}

/** Chunks from `first` to `last`, both included. */
interface Stretch {
  readonly first: number;
  readonly last: number;
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
    const take = member.have.complete ? [] : this.#give(member, said, now, { first: 0, last: this.chunks - 1 });
    this.#served(member);
    const { leastAgainMs, againMsEach, doneAgainMs } = this.#limits;
    return {
      peers: member.have.complete ? [] : this.#name(member),
      take,
      againMs: member.have.complete ? doneAgainMs : Math.max(leastAgainMs, this.#members.size * againMsEach),
    };
  }

  /**
   * A boot stage, which needs some chunks only and is told of whom to ask each. It asks for all that it is told and then comes again: what it
   * doesn't have by then it didn't get. Undefined: there is no room for one more machine.
   */
  stage(address: string, said: StageSaid, now: number): { asks: StageAsk[]; againMs: number } | undefined {
    this.#sweep(now);
    const have = new ChunkSet(this.chunks);
    for (const chunk of said.have) have.add(chunk);
    const member = this.#members.get(address) ?? this.#join(address, { have, port: said.port }, now);
    if (member === undefined) return undefined;
    member.seenAt = now;
    member.port = said.port;
    this.#hold(member, have);
    for (const chunk of [...member.taking.keys()]) this.#release(member, chunk);
    this.#served(member);
    const take = this.#give(member, { wants: said.wants, stuck: said.stuck }, now, said);
    const asks = take.map((chunk): StageAsk => ({ chunk, from: 'door' }));
    this.#send(member, said, asks);
    const { leastAgainMs, againMsEach } = this.#limits;
    return { asks, againMs: Math.max(leastAgainMs, this.#members.size * againMsEach) };
  }

  /** What it was sent for is here, or isn't. */
  #served(member: Member): void {
    for (const other of member.sentTo) other.serves -= 1;
    member.sentTo = [];
  }

  /** Drawn by lot; of what one has, the rarest. */
  #send(member: Member, said: StageSaid, asks: StageAsk[]): void {
    const list = this.#list;
    const asked = new Set(asks.map(({ chunk }) => chunk));
    const looks = Math.min(list.length, this.#limits.named * 4);
    for (let i = 0; i < looks && asks.length < said.wants; i++) {
      this.#swap(i, i + Math.floor(this.#random() * (list.length - i)));
      const other = list[i]!;
      const { address, port } = other;
      if (other === member || port === 0 || other.serves >= this.#limits.eachServes || said.not.includes(address))
        continue;
      const chunk = this.#rarest(said, (each) => other.have.has(each) && !member.have.has(each) && !asked.has(each));
      if (chunk === undefined) continue;
      asked.add(chunk);
      asks.push({ chunk, from: { address, port } });
      other.serves += 1;
      member.sentTo.push(other);
    }
  }

  #join(address: string, { have, port }: Pick<Announcement, 'have' | 'port'>, now: number): Member | undefined {
    if (this.#members.size >= this.#limits.machines) return undefined;
    const nothing = new ChunkSet(have.size);
    const place = this.#list.length;
    const member: Member = {
      address,
      port,
      have: nothing,
      seenAt: now,
      place,
      taking: new Map(),
      sentTo: [],
      serves: 0,
    };
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

  #give(member: Member, said: Pick<Announcement, 'wants' | 'stuck'>, now: number, { first, last }: Stretch): number[] {
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
    for (let chunk = Math.max(first, this.#next); most > 0 && chunk <= last; chunk++)
      if (this.#copies[chunk] === 0 && this.#coming[chunk] === 0) tell(chunk);
    // Others may be out of its reach, or claim what they don't give: as many as it would take then.
    const alone = said.stuck && take.length === 0;
    while (alone && most > 0) {
      const wanted = this.#rarest({ first, last }, (chunk) => !member.have.has(chunk) && !member.taking.has(chunk));
      if (wanted === undefined) break;
      tell(wanted);
    }
    return take;
  }

  /** Beginning anywhere, as all those with one copy are alike. */
  #rarest({ first, last }: Stretch, wanted: (chunk: number) => boolean): number | undefined {
    let best: number | undefined;
    const count = last - first + 1;
    const from = Math.floor(this.#random() * count);
    for (let i = 0; i < count; i++) {
      const chunk = first + ((from + i) % count);
      if (!wanted(chunk)) continue;
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
    const { lifeMs, takeMs, servesMs } = this.#limits;
    // Often enough for both, and not at each of a thousand announcements a second.
    if (now - this.#sweptAt < Math.min(lifeMs, takeMs) / 10) return;
    this.#sweptAt = now;
    for (const member of [...this.#members.values()]) {
      for (const [chunk, since] of [...member.taking]) if (now - since > takeMs) this.#release(member, chunk);
      if (now - member.seenAt > servesMs) this.#served(member);
      if (now - member.seenAt > lifeMs) this.#leave(member);
    }
  }

  #leave(member: Member): void {
    for (const chunk of [...member.taking.keys()]) this.#release(member, chunk);
    this.#served(member);
    this.#hold(member, new ChunkSet(this.chunks));
    this.#members.delete(member.address);
    this.#swap(member.place, this.#list.length - 1);
    this.#list.pop();
  }
}
