// Which agents are there, and which of them were heard a moment ago. A connection of a machine that lost its power looks whole for half a minute.

/** An agent beats every five seconds; two of them may be lost. */
const latelyMs = 13_000;
/** One that was told to reboot may beat until it is down. */
const leavingMs = 10_000;

export class Heard {
  readonly #now: () => number;
  readonly #sessions = new Map<string, { bootId: string; at: number; number: number; leaving: number }>();
  #count = 0;

  /** @param now milliseconds of a clock that nobody sets */
  constructor(now: () => number) {
    this.#now = now;
  }

  up(host: string, bootId: string): void {
    this.#sessions.set(host, { bootId, at: this.#now(), number: ++this.#count, leaving: Number.NEGATIVE_INFINITY });
  }

  beat(host: string): void {
    const session = this.#sessions.get(host);
    if (session !== undefined && this.#now() - session.leaving >= leavingMs) session.at = this.#now();
  }

  /** It does as it was told and reboots or turns itself off: who boots with its MAC is that machine. Unless it beats on for long. */
  leaves(host: string): void {
    const session = this.#sessions.get(host);
    if (session !== undefined) Object.assign(session, { at: Number.NEGATIVE_INFINITY, leaving: this.#now() });
  }

  down(host: string): void {
    this.#sessions.delete(host);
  }

  /** The boot whose agent has a session. */
  bootOf(host: string): string | undefined {
    return this.#sessions.get(host)?.bootId;
  }

  /** Counts up: another number is another connection. */
  session(host: string): number | undefined {
    return this.#sessions.get(host)?.number;
  }

  lately(host: string): boolean {
    const session = this.#sessions.get(host);
    return session !== undefined && this.#now() - session.at < latelyMs;
  }
}
