// What is there while nix still builds the rest: who waits for one output alone is told as soon as the store has it, and as soon as it can't come.
import type { NixLog } from './log.ts';
import type { BuildResult, NixFailure, Output } from './types.ts';

export interface BuildWatchParts {
  readonly wanted: Readonly<Record<string, readonly Output[]>>;
  /** Asks the store which of these paths are missing; undefined: it didn't say. */
  missing(outs: readonly string[]): Promise<ReadonlySet<string> | undefined>;
  /** Keeps all of these from being collected; the order of what was kept before doesn't change. False: they are not kept. */
  keep(outs: readonly string[]): Promise<boolean>;
  /** By derivation of these that is missing its output: why its build has failed. */
  blame(drvs: ReadonlySet<string>): Promise<ReadonlyMap<string, NixFailure>>;
  readonly log: Pick<NixLog, 'failed'>;
  /** Told once of each name. */
  readonly onResult: (name: string, result: BuildResult) => void;
  readonly nowMs: () => number;
  readonly after: (milliseconds: number, call: () => void) => () => void;
}

/** When the log tells of an end, the store is asked at once; and every ten seconds anyway, for logs of remote builders may tell less. */
const everyMs = 10_000;
/** Looks take at most a twentieth of the time. */
const restTimes = 20;
const restMs = 500;

export class BuildWatch {
  readonly #parts: BuildWatchParts;
  readonly #told = new Map<string, BuildResult>();
  readonly #interesting: ReadonlySet<string>;
  /** Kept, in the order in which they came. */
  readonly #kept = new Set<string>();
  #underWay = false;
  #failures = 0;
  #looking: Promise<void> | undefined;
  #off: (() => void) | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(parts: BuildWatchParts) {
    this.#parts = parts;
    this.#interesting = new Set(
      Object.values(parts.wanted).flatMap((outputs) => outputs.flatMap(({ drv, out }) => [drv, out])),
    );
  }

  get told(): ReadonlyMap<string, BuildResult> {
    return this.#told;
  }

  get kept(): ReadonlySet<string> {
    return this.#kept;
  }

  begin(): void {
    this.#lookIn(0);
  }

  /** @param path derivation or store path whose build or download begins */
  began(path: string): void {
    if (this.#interesting.has(path)) this.#underWay = true;
  }

  /** It is over. */
  ended(path: string): void {
    // A moment later: what ends is registered by then.
    if (this.#interesting.has(path)) this.#lookIn(50);
  }

  /** A build is over: one that somebody waits for, maybe, if one of these has begun at all. */
  counted(): void {
    if (this.#underWay) this.#lookIn(50);
  }

  /** The log has another line: of a failure, maybe. */
  line(): void {
    if (this.#parts.log.failed > this.#failures) this.#lookIn(50);
  }

  /** No more looks; resolves when the last one is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#off?.();
    await this.#looking;
  }

  tell(name: string, result: BuildResult): void {
    if (this.#told.has(name)) return;
    this.#told.set(name, result);
    this.#parts.onResult(name, result);
  }

  #lookIn(milliseconds: number): void {
    const { nowMs, after } = this.#parts;
    if (this.#stopped) return;
    const due = Math.max(nowMs() + milliseconds, this.#notBeforeMs);
    if (due >= this.#dueMs) return;
    this.#off?.();
    this.#dueMs = due;
    // While one look is under way the next waits for its end.
    if (this.#looking === undefined) this.#off = after(due - nowMs(), () => this.#begin());
  }

  #begin(): void {
    const { nowMs } = this.#parts;
    const began = nowMs();
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#looking = this.#look()
      .catch(() => undefined)
      .then(() => {
        this.#looking = undefined;
        this.#notBeforeMs = nowMs() + Math.max(restMs, restTimes * (nowMs() - began));
        const due = this.#dueMs;
        this.#dueMs = Number.POSITIVE_INFINITY;
        if (this.#told.size < Object.keys(this.#parts.wanted).length) this.#lookIn(Math.min(everyMs, due - nowMs()));
      });
  }

  #open(): [string, readonly Output[]][] {
    return Object.entries(this.#parts.wanted).filter(([name]) => !this.#told.has(name));
  }

  async #look(): Promise<void> {
    const { missing, keep, blame, log } = this.#parts;
    const failures = log.failed;
    const asked = new Map(this.#open().flatMap(([, outputs]) => outputs.map(({ out, drv }) => [out, drv] as const)));
    const absent = await missing([...asked.keys()].filter((out) => !this.#kept.has(out)));
    if (absent === undefined) return;
    const fresh = [...asked.keys()].filter((out) => !absent.has(out) && !this.#kept.has(out));
    if (fresh.length > 0 && (await keep([...this.#kept, ...fresh]))) for (const out of fresh) this.#kept.add(out);
    for (const [name, outputs] of this.#open())
      if (outputs.every(({ out }) => this.#kept.has(out))) this.tell(name, { ok: true });
    if (failures === this.#failures) return;
    this.#failures = failures;
    const drvs = new Set([...absent].flatMap((out) => asked.get(out) ?? []));
    const blamed = await blame(drvs);
    for (const [name, outputs] of this.#open()) {
      const failure = outputs
        .map(({ out, drv }) => (absent.has(out) ? blamed.get(drv) : undefined))
        .find((each) => each !== undefined);
      if (failure !== undefined) this.tell(name, { ok: false, failure });
    }
  }
}
