// How far each machine is: what happened so far → share of its stage, share of the whole way, rate, time left, standstill. Pure: it is fed with the
// events of a run and asked for a moment; the times are those of the clock that lives are counted by, which nobody sets.
//
// A share never goes back. Where bytes are counted they decide; where only steps are known, time moves the share from one step towards the next, by
// what the stage took the machines before it, and never reaches it.
import type { InstallStep, RunEvent } from './event.ts';
import { isEnd, type Stage, type WayStep, waySteps } from './stage.ts';

export interface Standing {
  readonly stage: Stage;
  /** Of the stage, 0 to 1; 1 only when it is over. */
  readonly share: number;
  /** Of the way from the beginning to the proof, 0 to 1. */
  readonly overall: number;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  readonly bytesPerSecond?: number;
  /** Seconds until it is proved, by what the stages took others, or usually take. */
  readonly etaSeconds?: number;
  /** Nothing has moved for longer than usual. */
  readonly stalled?: { readonly seconds: number; readonly why: string };
}

/** Seconds that each stage usually takes; a run learns better ones from its own machines. */
export const usualSeconds: Readonly<Record<WayStep, number>> = {
  planned: 0,
  probing: 4,
  waking: 20,
  firmware: 20,
  loading: 40,
  registered: 2,
  preflight: 3,
  disko: 10,
  copy: 60,
  install: 20,
  restarting: 0, // not on the usual way
  rebooting: 3,
  proving: 60,
};

/** Where in its stage a machine is when this is seen. In `disko` and `install` these are headings and lines that nixos-anywhere passes on. */
const marks: readonly {
  readonly stage: WayStep;
  readonly share: number;
  readonly when: (event: RunEvent) => boolean;
}[] = [
  { stage: 'waking', share: 0.1, when: (event) => event.event === 'seen' && event.kind === 'wake-sent' },
  { stage: 'firmware', share: 0.2, when: (event) => event.event === 'seen' && event.kind.startsWith('dhcp-') },
  {
    stage: 'firmware',
    share: 0.4,
    when: (event) => event.event === 'seen' && /^tftp-(?:probed|started)|^http-file/.test(event.kind),
  },
  { stage: 'firmware', share: 0.6, when: (event) => event.event === 'seen' && event.kind === 'tftp-sent' },
  { stage: 'disko', share: 0.1, when: logs(/^### Uploading install SSH keys/) },
  { stage: 'disko', share: 0.2, when: logs(/^### Gathering machine facts/) },
  { stage: 'disko', share: 0.4, when: logs(/^### Formatting hard drive with disko/) },
  { stage: 'disko', share: 0.6, when: steps('partitioned') },
  { stage: 'disko', share: 0.8, when: steps('formatted') },
  { stage: 'disko', share: 0.9, when: steps('mounted') },
  { stage: 'install', share: 0.1, when: logs(/^### Copying extra files/) },
  { stage: 'install', share: 0.2, when: logs(/^### Installing NixOS/) },
  { stage: 'install', share: 0.4, when: steps('profile') },
  { stage: 'install', share: 0.7, when: steps('boot-loader') },
  { stage: 'install', share: 0.9, when: logs(/^installation finished/) },
  { stage: 'rebooting', share: 0.5, when: steps('unmounted') },
  { stage: 'proving', share: 0.2, when: (event) => event.event === 'log' && event.source === 'session' },
  { stage: 'proving', share: 0.6, when: (event) => event.event === 'seen' && event.kind.startsWith('dhcp-') },
];

function steps(step: InstallStep): (event: RunEvent) => boolean {
  return (event) => event.event === 'progress' && event.step === step;
}

function logs(pattern: RegExp): (event: RunEvent) => boolean {
  return (event) => event.event === 'log' && pattern.test(event.text);
}

/** The part of `loading` that is bytes; the rest is the kernel's and the agent's start. Of `copy`, all of it. */
const bytesOf: Readonly<Partial<Record<Stage, number>>> = { loading: 0.6, copy: 1 };

/** Seconds without a byte until a stage that counts them stands still. */
const stallSeconds = 15;
/** Other stages: so many times what is usual, and at least so many seconds. */
const slowTimes = 3;
const slowSeconds = 60;
/** A rate is that of the last so many milliseconds. */
const rateMs = 10_000;
/** Milliseconds since the agent was heard for which it counts as there: two heartbeats and a little. */
const heardMs = 12_000;

interface Work {
  stage: Stage;
  /** When the stage began, in milliseconds as all times here. */
  since: number;
  /** Reached, by a step or bytes, and when. */
  floor: number;
  floorAt: number;
  /** The highest ever told. */
  share: number;
  overall: number;
  doneBytes: number;
  totalBytes: number | undefined;
  paused: boolean;
  /** Of the copy: whole paths, the path under way, what its agent sees on the target. */
  paths: { done: number; current: number } | undefined;
  landed: number;
  /** When the bytes last moved. */
  movedAt: number;
  samples: { at: number; bytes: number }[];
  /** When its agent was last heard. */
  heardAt: number | undefined;
}

export class ProgressBook {
  readonly #works = new Map<string, Work>();
  /** Seconds of each stage, of machines that have passed it in this run; bounded. */
  readonly #took = new Map<WayStep, number[]>();

  /** @param at when it happened; of a stage, since when its life is in it: what a stage took is counted there alone */
  see(event: RunEvent, at: number): void {
    if (!('host' in event) || event.host === undefined) return;
    const before = this.#works.get(event.host);
    if (event.event === 'stage') {
      if (before?.stage !== event.stage) this.#works.set(event.host, this.#enter(before, event.stage, at));
      return;
    }
    if (before === undefined) return;
    if (event.event === 'log' && isAgents(event.source)) before.heardAt = at;
    // The agent reports what landed in a stage of its own; the core may be a moment behind.
    if (event.event === 'progress' && event.stage === before.stage) this.#count(before, event, at);
    for (const mark of marks)
      if (mark.stage === before.stage && mark.share > before.floor && mark.when(event))
        this.#raise(before, mark.share, at);
  }

  /** Seconds that each stage takes: the median of the machines that have passed it in this run, or what is usual. */
  seconds(): Readonly<Record<WayStep, number>> {
    return Object.fromEntries(waySteps.map((stage) => [stage, this.#usual(stage)])) as Record<WayStep, number>;
  }

  /** Its agent sent a sign of life. */
  heard(host: string, at: number): void {
    const work = this.#works.get(host);
    if (work !== undefined) work.heardAt = at;
  }

  /** Its stage begins in earnest: what passed in it before says nothing of how long it takes. */
  restarted(host: string, at: number): void {
    const work = this.#works.get(host);
    if (work !== undefined) Object.assign(work, { since: at, floorAt: at, movedAt: at });
  }

  forget(host: string): void {
    this.#works.delete(host);
  }

  hosts(): readonly string[] {
    return [...this.#works.keys()];
  }

  /** Undefined: nothing was ever told of it. */
  standing(host: string, now: number): Standing | undefined {
    const work = this.#works.get(host);
    if (work === undefined) return undefined;
    const { stage } = work;
    if (isEnd(stage)) return { stage, share: 1, overall: done(stage) ? 1 : work.overall };
    const bytesPart = bytesOf[stage];
    const rate = bytesPart === undefined ? undefined : rateOf(work, now);
    work.share = Math.max(work.share, this.#shareAt(work, stage, now));
    const left = this.#secondsLeft(work, stage, now, rate);
    const passed = this.#before(stage);
    const all = this.#all();
    work.overall = Math.max(work.overall, Math.min(0.99, (passed + work.share * this.#usual(stage)) / all));
    const stalled = this.#stall(work, stage, now);
    const counts = bytesPart !== undefined && work.totalBytes !== undefined;
    return {
      stage,
      share: work.share,
      overall: work.overall,
      ...(counts ? { doneBytes: work.doneBytes, totalBytes: work.totalBytes as number } : {}),
      ...(rate === undefined ? {} : { bytesPerSecond: rate }),
      ...(stage === 'waking' || stage === 'planned' || stalled !== undefined ? {} : { etaSeconds: left }),
      ...(stalled === undefined ? {} : { stalled }),
    };
  }

  #enter(before: Work | undefined, stage: Stage, at: number): Work {
    if (before !== undefined && !isEnd(before.stage) && !isEnd(stage))
      this.#learn(before.stage, (at - before.since) / 1000);
    const again = before !== undefined && isEnd(before.stage);
    const overall = again ? 0 : (before?.overall ?? 0);
    return {
      stage,
      since: at,
      floor: 0,
      floorAt: at,
      share: 0,
      overall,
      doneBytes: 0,
      totalBytes: undefined,
      paused: false,
      paths: undefined,
      landed: 0,
      movedAt: at,
      samples: [],
      heardAt: before?.heardAt,
    };
  }

  #learn(stage: WayStep, seconds: number): void {
    if (!(seconds >= 0)) return;
    const took = this.#took.get(stage) ?? [];
    took.push(seconds);
    if (took.length > 50) took.shift();
    this.#took.set(stage, took);
  }

  /** The median of the machines before it. */
  #usual(stage: WayStep): number {
    const took = this.#took.get(stage);
    if (took === undefined || took.length === 0) return usualSeconds[stage];
    return [...took].sort((a, b) => a - b)[Math.floor(took.length / 2)] as number;
  }

  #all(): number {
    return Math.max(
      1,
      waySteps.reduce((sum, stage) => sum + (stage === 'restarting' ? 0 : this.#usual(stage)), 0),
    );
  }

  #before(stage: WayStep): number {
    return waySteps
      .slice(0, waySteps.indexOf(stage))
      .reduce((sum, each) => sum + (each === 'restarting' ? 0 : this.#usual(each)), 0);
  }

  #raise(work: Work, share: number, at: number): void {
    work.floor = share;
    work.floorAt = at;
    work.movedAt = at;
  }

  #count(work: Work, event: Extract<RunEvent, { event: 'progress' }>, at: number): void {
    const part = bytesOf[work.stage];
    if (part === undefined) return;
    if (event.total_bytes !== undefined) work.totalBytes = event.total_bytes;
    work.paused = event.paused === true;
    if (event.done_bytes !== undefined) work.paths = { done: event.done_bytes, current: event.path_bytes ?? 0 };
    if (event.landed_bytes !== undefined) work.landed = event.landed_bytes;
    if (work.paths === undefined) return;
    // The lines count whole paths; what lands on the target fills the one under way.
    const { done, current } = work.paths;
    const bytes = Math.max(done, Math.min(work.landed, done + current));
    if (bytes <= work.doneBytes) return;
    work.doneBytes = bytes;
    work.movedAt = at;
    work.samples.push({ at, bytes: work.doneBytes });
    // Two at least: a slow trickle has a rate as well.
    while (work.samples.length > 2 && at - work.samples[0]!.at > rateMs) work.samples.shift();
    if (work.samples.length > 200) work.samples.splice(1, 1);
    if (work.totalBytes === undefined || work.totalBytes <= 0) return;
    const share = part * Math.min(1, work.doneBytes / work.totalBytes);
    if (share > work.floor) this.#raise(work, share, at);
  }

  /** From the last thing that was certain, time moves it on. */
  #shareAt(work: Work, stage: WayStep, now: number): number {
    const part = bytesOf[stage];
    // While bytes come, they alone say it.
    if (part !== undefined && work.floor > 0 && work.floor < part) return work.floor;
    if (part === 1) return Math.min(work.floor, 0.99);
    const next = marks.find((mark) => mark.stage === stage && mark.share > work.floor)?.share ?? 0.99;
    const usual = Math.max(0.5, this.#usual(stage) * (next - work.floor));
    const waited = Math.max(0, now - work.floorAt) / 1000;
    return work.floor + (next - work.floor) * (1 - Math.exp(-waited / usual)) * 0.98;
  }

  #secondsLeft(work: Work, stage: WayStep, now: number, rate: number | undefined): number {
    // What is not on the usual way is in neither sum; and sums of parts differ in their last digits.
    const own = stage === 'restarting' ? 0 : this.#usual(stage);
    const after = Math.max(0, this.#all() - this.#before(stage) - own);
    const spent = Math.max(0, now - work.since) / 1000;
    let here = Math.max(this.#usual(stage) - spent, this.#usual(stage) * (1 - work.share) * 0.5);
    if (rate !== undefined && rate > 0 && work.totalBytes !== undefined && work.doneBytes < work.totalBytes)
      here = (work.totalBytes - work.doneBytes) / rate + this.#usual(stage) * (1 - (bytesOf[stage] ?? 1));
    return here + after;
  }

  #stall(work: Work, stage: WayStep, now: number): Standing['stalled'] {
    const still = (now - work.movedAt) / 1000;
    const counting = bytesOf[stage] !== undefined && work.totalBytes !== undefined && work.doneBytes < work.totalBytes;
    if (counting && !work.paused) {
      if (still < stallSeconds) return undefined;
      return { seconds: Math.round(still), why: whyStill(work, stage, now) };
    }
    const spent = (now - work.since) / 1000;
    if (stage === 'planned' || stage === 'waking' || spent < slowSeconds || spent < slowTimes * this.#usual(stage))
      return undefined;
    return { seconds: Math.round(still), why: slow[stage] ?? 'longer than usual' };
  }
}

/** Of the closed set of sources, those that are the machine's own words. */
function isAgents(source: string): boolean {
  return !['disko', 'install', 'reboot', 'proof', 'core', 'session'].includes(source);
}

function done(stage: Stage): boolean {
  return stage === 'proved' || stage === 'unproved' || stage === 'skipped';
}

function rateOf(work: Work, now: number): number | undefined {
  const [first] = work.samples;
  const last = work.samples.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) return undefined;
  // What came long ago is no rate of now.
  if (now - last.at > rateMs) return 0;
  return Math.round(((last.bytes - first.bytes) * 1000) / (Math.max(now, last.at) - first.at));
}

function whyStill(work: Work, stage: WayStep, now: number): string {
  const share = Math.floor((100 * work.doneBytes) / (work.totalBytes ?? 1));
  if (stage === 'loading')
    return `kernel and initrd stand still at ${share} %: a cable, a switch, or a machine that was reset`;
  if (work.heardAt !== undefined && now - work.heardAt < heardMs)
    return `nothing was written at ${share} %, and its agent answers: a large file, a slow disk, or a busy controller`;
  return `nothing was written at ${share} %, and its agent is silent, too: a cable, a switch, or a machine that hangs`;
}

const slow: Readonly<Partial<Record<WayStep, string>>> = {
  probing: 'longer than usual: somebody answers at its address, but slowly',
  firmware: 'longer than usual: its firmware may be waiting for another server, or go round its boot entries',
  loading:
    'longer than usual: it has its kernel, but its agent is silent: a missing network driver, or too little memory',
  preflight: 'longer than usual: a disk that answers slowly, or not at all',
  disko: 'longer than usual: wiping or formatting a large disk takes its time',
  install: 'longer than usual: the boot loader or an activation script',
  proving: 'longer than usual: a self-test, a disk that is unlocked by hand, or a system that does not come up',
};
