// Keeps the trails while a run lasts. Bounded for each machine, whatever it sends: a boot of a machine is some twenty entries.
import { isEnd, type Stage } from '../machine/stage.ts';
import { type Entry, keyOf, type Note, phaseOf, type StageEntry, type Trail } from './trail.ts';

export interface TrailBookWorld {
  /** Milliseconds of the wall clock. */
  now(): number;
  /** An entry is new, or has changed enough to be kept for later; undefined: of no machine. */
  keep?(host: string | undefined, entry: Entry): void;
}

/** Of each machine; the oldest attempts go first. */
const attemptsKept = 4;
const entriesPerAttempt = 48;
const stagesKept = 40;
const strangersKept = 32;
const textMax = 200;
/** A machine that boots in a circle, or is said to, must not push the rest out of the journal: of later boots the newest is kept, at a change of stage. */
const attemptsSaved = 20;
/** A machine that says nothing for so long and then asks for an address boots anew. */
const silenceMs = 120_000;

interface Attempt {
  readonly number: number;
  readonly entries: Map<string, Entry>;
  /** Furthest phase so far. */
  phase: number;
  last: number;
}

interface Kept {
  attempts: Attempt[];
  stages: StageEntry[];
  /** Entries that were counted on since they were kept for later. */
  readonly unsaved: Map<string, Entry>;
}

export class TrailBook {
  readonly #world: TrailBookWorld;
  readonly #hosts = new Map<string, Kept>();
  readonly #around = new Map<string, Entry>();
  #dropped = 0;

  constructor(world: TrailBookWorld) {
    this.#world = world;
  }

  /** Notes that found no room. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What was seen of a machine of the run. */
  note(host: string, seen: Note): void {
    const note = bounded(seen);
    const at = this.#world.now();
    const kept = this.#of(host);
    const { attempts, unsaved } = kept;
    const phase = phaseOf(note);
    let attempt = attempts.at(-1);
    if (attempt === undefined || beginsAnew(attempt, note, phase, at)) attempt = this.#begin(host, kept, at);
    if (phase !== undefined) {
      attempt.phase = Math.max(attempt.phase, phase);
      attempt.last = at;
    }
    const fresh = { ...note, attempt: attempt.number, first: at, last: at, count: 1 };
    this.#put(attempt.entries, entriesPerAttempt, fresh, host, unsaved);
  }

  /** What belongs to no machine of the run. */
  around(seen: Note): void {
    const at = this.#world.now();
    this.#put(this.#around, strangersKept, { ...bounded(seen), attempt: 0, first: at, last: at, count: 1 }, undefined);
  }

  stage(host: string, stage: Stage, more: { readonly reason?: string; readonly address?: string } = {}): void {
    const kept = this.#of(host);
    // Whoever reads it later has the true counts of all that led to this stage.
    this.#save(host, kept);
    const before = kept.stages.at(-1);
    const at = this.#world.now();
    // The operator has it begin anew: what was seen before explains nothing any more.
    if (before !== undefined && isEnd(before.stage) && !isEnd(stage)) this.#begin(host, kept, at);
    kept.stages = [...kept.stages, { stage, at, ...more }].slice(-stagesKept);
  }

  forget(host: string): void {
    this.#hosts.delete(host);
  }

  of(host: string): Trail {
    const { attempts, stages } = this.#hosts.get(host) ?? { attempts: [], stages: [] };
    const entries = attempts.flatMap((attempt) => [...attempt.entries.values()]);
    return { host, stages, entries, around: [...this.#around.values()] };
  }

  #of(host: string): Kept {
    let kept = this.#hosts.get(host);
    if (kept === undefined) {
      kept = { attempts: [], stages: [], unsaved: new Map() };
      this.#hosts.set(host, kept);
    }
    return kept;
  }

  #save(host: string, { unsaved }: Kept): void {
    for (const entry of unsaved.values()) this.#world.keep?.(host, entry);
    unsaved.clear();
  }

  #begin(host: string, kept: Kept, at: number): Attempt {
    const { attempts, unsaved } = kept;
    const number = (attempts.at(-1)?.number ?? 0) + 1;
    if (number <= attemptsSaved) this.#save(host, kept);
    else unsaved.clear();
    const attempt = { number, entries: new Map<string, Entry>(), phase: 0, last: at };
    attempts.push(attempt);
    if (attempts.length > attemptsKept) attempts.shift();
    return attempt;
  }

  #put(
    entries: Map<string, Entry>,
    most: number,
    fresh: Entry,
    host: string | undefined,
    unsaved?: Map<string, Entry>,
  ): void {
    const key = keyOf(fresh);
    const before = entries.get(key);
    // What has no MAC of a stranger is bounded by its kinds.
    if (before === undefined && entries.size >= most && (host !== undefined || fresh.mac !== undefined)) {
      this.#dropped++;
      return;
    }
    const entry = before === undefined ? fresh : { ...fresh, first: before.first, count: before.count + 1 };
    entries.set(key, entry);
    // A thousand repetitions are ten lines of the journal.
    const saves = entry.attempt <= attemptsSaved && (entry.count & (entry.count - 1)) === 0;
    const place = `${entry.attempt} ${key}`;
    if (saves) {
      unsaved?.delete(place);
      this.#world.keep?.(host, entry);
    } else unsaved?.set(place, entry);
  }
}

function beginsAnew(attempt: Attempt, { asked }: Note, phase: number | undefined, at: number): boolean {
  if (asked !== 'DISCOVER' || (phase !== 1 && phase !== 4)) return false;
  return at - attempt.last > silenceMs || (phase === 1 ? attempt.phase > 2 : attempt.phase > 4);
}

function bounded(note: Note): Note {
  const { detail } = note;
  return detail === undefined || detail.length <= textMax ? note : { ...note, detail: detail.slice(0, textMax) };
}
