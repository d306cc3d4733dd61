// Warnings that strangers and broken networks can cause as often as they like: said once in a while, the others counted.

/** The same words are said again after so long, milliseconds. */
const againMs = 60_000;
/** Different words in such a time. */
const mostAtOnce = 30;

export class Warnings {
  readonly #say: (text: string, host: string | undefined) => void;
  readonly #now: () => number;
  readonly #last = new Map<string, number>();
  #since = Number.NEGATIVE_INFINITY;
  #said = 0;
  #withheld = 0;

  /** @param now milliseconds of a clock that nobody sets */
  constructor(say: (text: string, host: string | undefined) => void, now: () => number) {
    this.#say = say;
    this.#now = now;
  }

  /** @param key what makes it the same warning; absent: its text */
  warn(text: string, host?: string, key = text): void {
    const now = this.#now();
    if (now - this.#since >= againMs) {
      this.#since = now;
      this.#said = 0;
      if (this.#withheld > 0) this.#say(`${this.#withheld} warnings like the last ones were not shown`, undefined);
      this.#withheld = 0;
      for (const [each, at] of this.#last) if (now - at >= againMs) this.#last.delete(each);
    }
    const last = this.#last.get(key);
    if ((last !== undefined && now - last < againMs) || this.#said >= mostAtOnce) {
      this.#withheld++;
      return;
    }
    this.#last.set(key, now);
    this.#said++;
    this.#say(text, host);
  }
}
