// Which machines load over the relay's network now: too many at once, and all of them would be given up. Counted here, since a plan comes too late
// for machines that were all switched on in the same moment, and not at all while the uplink is down.

/** One that fetched nothing for so long has all, has gone, or begins anew with its script. Milliseconds. */
const silentMs = 60_000;

export class Loads {
  /** When each moved last. */
  readonly #moved = new Map<string, number>();
  readonly #ticks: () => number;

  /** @param ticks milliseconds of a clock that nobody sets */
  constructor(ticks: () => number) {
    this.#ticks = ticks;
  }

  /** May it load as well, where so many may? One that loads already may begin anew. */
  hasRoom(machine: string, most: number): boolean {
    const now = this.#ticks();
    for (const [name, at] of this.#moved) if (now - at >= silentMs) this.#moved.delete(name);
    return this.#moved.has(machine) || this.#moved.size < most;
  }

  /** It was given the script of the installer. */
  began(machine: string): void {
    this.#moved.set(machine, this.#ticks());
  }

  /** Bytes were sent to it. */
  moved(machine: string): void {
    if (this.#moved.has(machine)) this.#moved.set(machine, this.#ticks());
  }

  /** Its agent is there. */
  ended(machine: string): void {
    this.#moved.delete(machine);
  }
}
