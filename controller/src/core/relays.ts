// Which relays are linked, what each has in hand, and those who wait for one.
import type { BootPlan, RelayInterface, RelayStatus } from '@nixie/proto/relay';
import type { Mac } from '../machine/mac.ts';
import { NotLooked } from './place.ts';

export interface WakeReport {
  readonly sent: number;
  readonly failures: readonly string[];
}

/** One link of a relay. */
export interface RelayLink {
  readonly name: string;
  readonly version: string;
  /** `IP:port` of the relay as we see it. */
  readonly peer: string;
  readonly interfaces: readonly RelayInterface[];
  /** Milliseconds since it said anything; it does so every few seconds. Absent: not counted. */
  readonly silentMs?: number;
  /** The plan that was sent last has not left yet: the uplink is slow, and each is whole. Absent: it isn't known. */
  readonly busy?: boolean;
  sendPlan(plan: BootPlan): void;
  /** @throws NotLooked */
  find(macs: readonly Mac[], deadlineMs: number): Promise<readonly string[]>;
  wake(mac: Mac, deadlineMs: number): Promise<WakeReport>;
}

/** What the operator is shown of a relay. */
export interface RelayView {
  readonly name: string;
  readonly link?: RelayLink;
  /** When the link came up, or was lost, milliseconds of the clock that nobody sets; absent: it was never linked in this run. */
  readonly since?: number;
  /** How often the link was lost in this run. */
  readonly losses?: number;
  /** Why it isn't linked. */
  readonly why?: string;
  /** It was not taken in when it tried last. */
  readonly refused?: boolean;
  /** When it was sent the plan that it hasn't taken yet. */
  readonly untakenSince?: number;
  readonly status?: RelayStatus;
  /** It answers by all that is decided now. */
  readonly current: boolean;
}

export interface RelaysWorld {
  /** All by which this relay answers now, without a version. Undefined: it has no plan yet, and its machines hear nothing. */
  plan(name: string, link: RelayLink): Omit<BootPlan, 'version'> | undefined;
  /** Above 0. A relay takes whatever its link brings, and of a plan only the words of its own link count: clocks may be set back. */
  readonly firstVersion: bigint;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
  after(milliseconds: number, call: () => void): () => void;
  onUp(name: string, link: RelayLink): void;
  onDown(name: string, why: string): void;
}

interface Known {
  link: RelayLink | undefined;
  since: number;
  why: string | undefined;
  status: RelayStatus | undefined;
  refused: boolean;
  /** When the first of the plans was sent that it hasn't taken. */
  sentAt: number;
  /** When the newest was. */
  lastSentAt: number;
  /** Another is to follow it: when it is taken, or after a while, which `off` calls off. */
  follows: boolean;
  off: () => void;
  losses: number;
  /** When the link was lost last. */
  lostAt: number;
  /** Of the last plan, without its version. */
  text: string | undefined;
  version: bigint;
  /** Plans up to this one were sent over earlier links. */
  before: bigint;
  taken: bigint;
}

/** Changes of this time go into one plan, milliseconds. */
const gatherMs = 50;
/** A plan that isn't taken after so long is followed by the next one all the same, once it has left. Milliseconds. */
const takeMs = 2000;
const findMs = 15_000;
/** Two words of its state are missing. */
const silentMs = 10_000;
const wakeMs = 10_000;

export class Relays {
  readonly #world: RelaysWorld;
  readonly #known = new Map<string, Known>();
  /** Looked at again when something of a link changes. */
  readonly #waiting = new Set<() => void>();
  #gathering: (() => void) | undefined;
  #closed = false;

  constructor(world: RelaysWorld) {
    this.#world = world;
  }

  up(link: RelayLink): void {
    const known = this.#of(link.name);
    // Plans of another link, or of another life of the relay, say nothing of what it has now.
    Object.assign(known, { link, since: this.#world.ticks(), why: undefined, status: undefined, text: undefined });
    known.refused = false;
    known.taken = -1n;
    known.before = known.version;
    known.sentAt = known.since;
    stopFollowing(known);
    this.#world.onUp(link.name, link);
    this.#send(link.name);
    this.#look();
  }

  down(name: string, why: string): void {
    const known = this.#of(name);
    const at = this.#world.ticks();
    known.losses++;
    Object.assign(known, { link: undefined, since: at, lostAt: at, why, text: undefined });
    stopFollowing(known);
    if (!this.#closed) this.#world.onDown(name, why);
    this.#look();
  }

  /** It tried, and was not taken in. */
  refused(name: string, why: string): void {
    const known = this.#known.get(name);
    if (known === undefined && this.#known.size >= mostKnown) return;
    // One that is linked is not spoken of by whoever uses its name.
    if (known?.link === undefined) Object.assign(this.#of(name), { why, refused: true });
  }

  status(name: string, status: RelayStatus): void {
    this.#of(name).status = status;
  }

  planTaken(name: string, version: bigint): void {
    const known = this.#of(name);
    if (version > known.taken && version > known.before && version <= known.version) known.taken = version;
    if (known.follows && known.taken === known.version) this.#send(name);
    this.#look();
  }

  isUp(name: string): boolean {
    return this.#known.get(name)?.link !== undefined;
  }

  /** Its link stands, and may be cut: it takes a while until that is known for sure. */
  isSilent(name: string): boolean {
    return (this.#known.get(name)?.link?.silentMs ?? 0) > silentMs;
  }

  /** Since that moment (milliseconds of the clock that nobody sets) its link was lost, or it wasn't there. */
  cutSince(name: string, since: number): boolean {
    const known = this.#known.get(name);
    return known?.link === undefined || known.lostAt >= since || known.since >= since;
  }

  /** Resolves when it is linked; rejects at the signal. */
  whenUp(name: string, signal: AbortSignal): Promise<void> {
    return this.#when(() => this.isUp(name), signal);
  }

  /** Something was decided that may change what relays answer. */
  changed(): void {
    if (this.#gathering !== undefined || this.#closed) return;
    this.#gathering = this.#world.after(gatherMs, () => {
      this.#gathering = undefined;
      for (const name of this.#known.keys()) this.#send(name);
    });
  }

  /** Resolves when the relay answers by all that was decided until now; rejects at the signal. */
  async current(name: string, signal: AbortSignal): Promise<void> {
    // What is decided later may come in between and is taken with it.
    const wanted = this.#send(name);
    const link = this.#of(name).link;
    await this.#when(() => {
      const known = this.#of(name);
      if (known.link === undefined || known.text === undefined) return false;
      // A link that came since got a plan of what was decided by then.
      return known.link === link && link !== undefined ? known.taken >= wanted : known.taken >= 0n;
    }, signal);
  }

  /** Where any of the MACs answers now. @throws NotLooked when its relay doesn't say */
  async find(name: string, macs: readonly Mac[]): Promise<readonly string[]> {
    const link = this.#known.get(name)?.link;
    if (link === undefined) throw new NotLooked(`relay ${name} is not connected`);
    return await link.find(macs, findMs);
  }

  async wake(name: string, macs: readonly Mac[]): Promise<WakeReport> {
    const link = this.#known.get(name)?.link;
    if (link === undefined) return { sent: 0, failures: [`relay ${name} is not connected: nobody wakes its machines`] };
    const reports = await Promise.all(macs.map((mac) => link.wake(mac, wakeMs)));
    return {
      sent: reports.reduce((sum, { sent }) => sum + sent, 0),
      failures: [...new Set(reports.flatMap(({ failures }) => failures))],
    };
  }

  view(name: string): RelayView {
    const known = this.#known.get(name);
    if (known === undefined) return { name, current: false };
    const { link, why, status, since } = known;
    return {
      name,
      current: link !== undefined && known.text !== undefined && !known.follows && known.taken >= known.version,
      ...(Number.isFinite(since) && { since }),
      ...(known.losses > 0 && { losses: known.losses }),
      ...(link !== undefined && { link }),
      ...(why !== undefined && { why }),
      ...(known.refused && { refused: true }),
      ...(link !== undefined && known.taken < known.version && { untakenSince: known.sentAt }),
      ...(status !== undefined && { status }),
    };
  }

  /** All that were heard of. */
  names(): readonly string[] {
    return [...this.#known.keys()];
  }

  close(): void {
    this.#closed = true;
    this.#gathering?.();
    for (const known of this.#known.values()) stopFollowing(known);
  }

  #of(name: string): Known {
    const known = this.#known.get(name) ?? {
      link: undefined,
      since: Number.NEGATIVE_INFINITY,
      why: undefined,
      status: undefined,
      refused: false,
      sentAt: Number.NEGATIVE_INFINITY,
      lastSentAt: Number.NEGATIVE_INFINITY,
      follows: false,
      off: nothing,
      losses: 0,
      lostAt: Number.NEGATIVE_INFINITY,
      text: undefined,
      version: this.#world.firstVersion,
      before: this.#world.firstVersion,
      taken: -1n,
    };
    this.#known.set(name, known);
    return known;
  }

  /**
   * Sends the plan of now, unless the relay has just that. One at a time: each is whole, and those between would only fill a slow uplink.
   * @returns the version in which all that is decided now is, or will be
   */
  #send(name: string): bigint {
    const known = this.#of(name);
    const { link } = known;
    if (link === undefined || this.#closed) return known.version;
    const plan = this.#world.plan(name, link);
    if (plan === undefined) return known.version;
    const text = JSON.stringify(plan, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    // Somebody may wait for the one that was to follow, also when it says what this one says.
    if (text === known.text && !known.follows) return known.version;
    const now = this.#world.ticks();
    const left = known.lastSentAt + takeMs - now;
    const waitMs = left > 0 ? left : link.busy === true ? takeMs : 0;
    if (known.text !== undefined && known.taken < known.version && waitMs > 0) {
      if (known.off === nothing)
        known.off = this.#world.after(waitMs, () => {
          known.off = nothing;
          // Whatever the other clock says.
          known.lastSentAt = Number.NEGATIVE_INFINITY;
          this.#send(name);
        });
      known.follows = true;
      return known.version + 1n;
    }
    stopFollowing(known);
    known.text = text;
    known.version++;
    known.lastSentAt = now;
    if (known.taken >= known.version - 1n) known.sentAt = now;
    link.sendPlan({ ...plan, version: known.version });
    return known.version;
  }

  #look(): void {
    for (const each of [...this.#waiting]) each();
  }

  #when(holds: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (signal.aborted) end(() => reject(new Error('called off')));
        else if (holds()) end(resolve);
      };
      const end = (act: () => void) => {
        this.#waiting.delete(look);
        signal.removeEventListener('abort', look);
        act();
      };
      this.#waiting.add(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }
}

const nothing = () => {};

function stopFollowing(known: Known): void {
  known.off();
  known.off = nothing;
  known.follows = false;
}

/** Relays of which something is remembered: names in refused hellos are text of strangers. */
const mostKnown = 1000;
