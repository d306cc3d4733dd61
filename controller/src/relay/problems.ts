// What went wrong lately and still is, as sentences for the operator. Bounded.

/** A problem that nothing ends is forgotten after so long, milliseconds. */
const lastsMs = 10 * 60_000;
const most = 16;

export class Problems {
  readonly #told = new Map<string, { text: string; at: number }>();
  readonly #say: (text: string) => void;
  readonly #ticks: () => number;

  /** @param say called when it is new. @param ticks milliseconds of a clock that nobody sets */
  constructor(say: (text: string) => void, ticks: () => number) {
    this.#say = say;
    this.#ticks = ticks;
  }

  /** @param key of what is wrong; a later text takes the place of an earlier one */
  set(key: string, text: string): void {
    const before = this.#told.get(key);
    const at = this.#ticks();
    this.#told.delete(key);
    this.#told.set(key, { text, at });
    if (this.#told.size > most) this.#told.delete(this.#told.keys().next().value!);
    if (before === undefined || at - before.at >= lastsMs) this.#say(text);
  }

  clear(key: string): void {
    this.#told.delete(key);
  }

  list(): string[] {
    const now = this.#ticks();
    for (const [key, { at }] of this.#told) if (now - at >= lastsMs) this.#told.delete(key);
    return [...this.#told.values()].map(({ text }) => text);
  }
}
