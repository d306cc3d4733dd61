// How many machines are to be on their way to their install at once, so that uplink and copies have no pause and nobody waits on a full wire until
// his patience ends. Pure arithmetic on what is known or was measured of this run.
//
// Machines pass three parts: they wake (which costs nobody anything but time), they load over the uplink that all share, and they are installed, so
// many at once. The slower of uplink and installs sets the pace; as many have to be on their way as begin while one of them gets there.
import { usualSeconds } from './progress.ts';
import type { WayStep } from './stage.ts';

export interface WaveFacts {
  /** That are not installed yet. */
  readonly machines: number;
  /** What each is sent by us before its agent starts, bytes. */
  readonly bootBytes: number;
  /** What is sent about once for all of them, bytes; 0: nothing. */
  readonly imageBytes: number;
  /** What is copied to each, bytes. */
  readonly copyBytes: number;
  /** Bytes a second that we can send, as far as was measured. */
  readonly uplink: number | undefined;
  /** Installs at once. */
  readonly jobs: number;
  /** Seconds that each stage takes, of machines before or usually. */
  readonly seconds: Readonly<Record<WayStep, number>>;
  /** Seconds of copy and install without the wait for their turn, as measured; absent: of none yet. */
  readonly turnSeconds?: number | undefined;
  /** Seconds after which a machine that loads is given up. */
  readonly loadingPatience: number;
}

export interface WavePlan {
  /** Machines on their way at once. */
  readonly size: number;
  readonly waves: number;
  /** That may load at once without running into their patience, woken by us or not. */
  readonly loads: number;
  /** Until the last one is proved, about. */
  readonly seconds: number;
}

/** Nine tenths of 1 Gbit/s, until something was measured; bytes a second. */
export const usualUplink = 0.9 * 1.25e8;
/** From the last byte of the initrd to the agent's word, seconds. */
const startSeconds = 20;
/** Of a machine's patience while it loads, what the wire may use up. */
const patienceShare = 0.5;
/** More than one whose turn it is should be there: machines differ. */
const slack = 1.5;
/** The front doors' own limits are not far above. */
export const mostAtOnce = 500;

export function planWaves(facts: WaveFacts): WavePlan {
  const { machines, bootBytes, imageBytes, copyBytes, jobs, seconds, loadingPatience } = facts;
  const uplink = facts.uplink ?? usualUplink;
  const besides = seconds.waking + seconds.firmware + seconds.registered + seconds.preflight + seconds.disko;
  // The wire needs at least so long for as many copies as are made at once.
  const copySeconds = (copyBytes * Math.min(jobs, machines)) / uplink;
  const turnSeconds = Math.max(facts.turnSeconds ?? usualSeconds.copy + usualSeconds.install, copySeconds, 1);
  const pace = Math.min(jobs / turnSeconds, uplink / Math.max(1, bootBytes + copyBytes));
  // Those that load share the wire with copies: at this pace the boots use this part of it.
  const busy = Math.min(0.9, (pace * bootBytes) / uplink);
  const loadSeconds = startSeconds / (1 - busy) + bootBytes / uplink;
  const wanted = Math.ceil(slack * pace * (besides + loadSeconds)) + jobs;
  const patient = Math.floor((patienceShare * loadingPatience * uplink) / Math.max(1, bootBytes));
  const size = Math.max(1, Math.min(wanted, patient, mostAtOnce, machines));
  const first = besides + startSeconds + (bootBytes * Math.min(size, machines)) / uplink + imageBytes / uplink;
  const last = turnSeconds + seconds.rebooting + seconds.proving;
  return {
    size,
    loads: Math.max(1, patient),
    waves: Math.max(1, Math.ceil(machines / size)),
    seconds: first + Math.max(0, machines - Math.min(jobs, machines)) / pace + last,
  };
}

/** Is it worth telling, and doing? */
export function differs(a: WavePlan, b: WavePlan): boolean {
  const far = (x: number, y: number): boolean => Math.abs(x - y) > 0.25 * Math.max(x, y, 1);
  return far(a.size, b.size) || (far(a.seconds, b.seconds) && Math.abs(a.seconds - b.seconds) > 60);
}

/** `200 machines in 4 waves of 50, about 12 min` */
export function waveText(machines: number, { size, waves, seconds }: WavePlan): string {
  const about = seconds < 90 ? `${Math.round(seconds / 10) * 10} s` : `${Math.round(seconds / 60)} min`;
  const how = waves === 1 ? 'all at once' : `in ${waves} waves of ${size}`;
  return `${machines} machines ${how}, about ${about}`;
}

/** What was sent in the last seconds, and the most that ever was: at least that much goes through the uplink. */
export class SentRate {
  readonly #windowMs: number;
  readonly #sent: { at: number; bytes: number }[] = [];
  #sum = 0;
  #most: number | undefined;

  constructor(windowMs = 5000) {
    this.#windowMs = windowMs;
  }

  /** @param now milliseconds of a clock that nobody sets; @param full so many ask at once that the wire is what limits them */
  add(bytes: number, now: number, full: boolean): void {
    const last = this.#sent.at(-1);
    // A tenth of a second is fine enough, and bounds the list.
    if (last !== undefined && now - last.at < 100) last.bytes += bytes;
    else this.#sent.push({ at: now, bytes });
    this.#sum += bytes;
    while (this.#sent.length > 1 && now - this.#sent[0]!.at > this.#windowMs) this.#sum -= this.#sent.shift()!.bytes;
    const spanMs = now - this.#sent[0]!.at;
    if (!full || spanMs < this.#windowMs * 0.8) return;
    const rate = ((this.#sum - this.#sent[0]!.bytes) * 1000) / spanMs;
    this.#most = Math.max(this.#most ?? 0, rate);
  }

  /** Bytes a second; undefined: the wire was never full for long enough. */
  get most(): number | undefined {
    return this.#most;
  }
}
