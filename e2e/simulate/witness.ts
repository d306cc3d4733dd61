// Sees everything, keeps the last lines of each machine and a hash of all, and stops the run at the first broken promise.
import { createHash } from 'node:crypto';

export interface Broken {
  readonly host?: string;
  readonly what: string;
}

const linesKept = 40;

export class Witness {
  broken: Broken | undefined;
  lines = 0;
  readonly #hash = createHash('sha256');
  readonly #lately = new Map<string, string[]>();
  readonly #ticks: () => number;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #traced: string | undefined;
  /** Faults that came to pass, by kind. */
  readonly faults = new Map<string, number>();
  /** Machines that were in each stage once. */
  readonly passed = new Map<string, Set<string>>();

  /** Of each machine, when it came into a stage last, and when a phase of nixos-anywhere began for it and ended (`disko began`). Milliseconds. */
  readonly moments = new Map<string, Map<string, number>>();

  /** @param traced a machine whose lines are all told to `trace` */
  constructor(ticks: () => number, traced?: string, trace?: (line: string) => void) {
    this.#ticks = ticks;
    this.#traced = traced;
    this.#trace = trace;
  }

  note(host: string | undefined, text: string): void {
    this.lines++;
    const line = `${(this.#ticks() / 1000).toFixed(3)} ${host ?? '-'} ${text}`;
    this.#hash.update(`${line}\n`);
    if (this.#traced !== undefined && host === this.#traced) this.#trace?.(line);
    const kept = this.#lately.get(host ?? '');
    if (kept === undefined) this.#lately.set(host ?? '', [line]);
    else if (kept.push(line) > linesKept) kept.shift();
  }

  fault(host: string | undefined, kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.note(host, `FAULT ${kind}`);
  }

  stage(host: string, stage: string): void {
    this.moment(host, stage);
    const hosts = this.passed.get(stage);
    if (hosts === undefined) this.passed.set(stage, new Set([host]));
    else hosts.add(host);
  }

  moment(host: string, what: string, at = this.#ticks()): void {
    const known = this.moments.get(host);
    if (known === undefined) this.moments.set(host, new Map([[what, at]]));
    else known.set(what, at);
  }

  /** Holds it, or the run ends here. */
  holds(condition: boolean, host: string | undefined, what: string): void {
    if (condition || this.broken !== undefined) return;
    this.note(host, `BROKEN ${what}`);
    this.broken = { what, ...(host === undefined ? {} : { host }) };
  }

  lately(host: string | undefined): readonly string[] {
    return this.#lately.get(host ?? '') ?? [];
  }

  /** Of all lines so far; to be called once. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}
