// What is said of links that come and go: the first changes at once, then how many there were, less and less often. A link that flaps every two
// seconds for a day is told of in some dozens of lines, and how it stands in the end always is.

export interface LinkChangesWorld<T> {
  say(link: string, change: T): void;
  /** Instead of `changes` that weren't said, the last of which is `last`, in `ms`; with `losses` of them it was lost. */
  sum(
    link: string,
    held: { readonly changes: number; readonly losses: number; readonly ms: number; readonly last: T },
  ): void;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
  after(milliseconds: number, call: () => void): () => void;
}

interface Span<T> {
  began: number;
  /** It ends after so long, milliseconds. */
  ms: number;
  said: number;
  changes: number;
  losses: number;
  last: T | undefined;
  off: () => void;
}

/** In a first span: five times lost and back. */
export const saidAtOnce = 10;
const firstMs = 60_000;
const longestMs = 3600_000;
/** A link that stays as it is for so long is told of, however long the span still is. */
const settledMs = 60_000;

export class LinkChanges<T> {
  readonly #world: LinkChangesWorld<T>;
  /** Of links that have changed lately. */
  readonly #spans = new Map<string, Span<T>>();

  constructor(world: LinkChangesWorld<T>) {
    this.#world = world;
  }

  /** @param lost it was up until now */
  tell(link: string, change: T, lost: boolean): void {
    const span = this.#spans.get(link) ?? this.#begin(link, firstMs, 0);
    if (span.said < saidAtOnce) {
      span.said++;
      this.#world.say(link, change);
      return;
    }
    span.changes++;
    if (lost) span.losses++;
    span.last = change;
    this.#wait(link, span);
  }

  /** Is what changes now only counted? */
  holds(link: string): boolean {
    return (this.#spans.get(link)?.said ?? 0) >= saidAtOnce;
  }

  close(): void {
    for (const { off } of this.#spans.values()) off();
    this.#spans.clear();
  }

  #begin(link: string, ms: number, said: number): Span<T> {
    const span = { began: this.#world.ticks(), ms, said, changes: 0, losses: 0, last: undefined, off: () => {} };
    this.#spans.set(link, span);
    this.#wait(link, span);
    return span;
  }

  #wait(link: string, span: Span<T>): void {
    const left = Math.max(0, span.began + span.ms - this.#world.ticks());
    span.off();
    span.off = this.#world.after(span.changes > 0 ? Math.min(left, settledMs) : left, () => this.#end(link, span));
  }

  #end(link: string, { began, ms, changes, losses, last }: Span<T>): void {
    this.#spans.delete(link);
    if (last === undefined) return;
    const now = this.#world.ticks();
    // Nothing is said at once until a span was quiet.
    this.#begin(link, now - began < ms ? ms : Math.min(2 * ms, longestMs), saidAtOnce);
    this.#world.sum(link, { changes, losses, ms: now - began, last });
  }
}
