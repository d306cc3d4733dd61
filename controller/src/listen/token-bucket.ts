// A rate limit that allows bursts.
export class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #atMs: number | undefined;

  constructor(capacity: number, perSecond: number) {
    this.#capacity = capacity;
    this.#perMs = perSecond / 1000;
    this.#tokens = capacity;
  }

  /** Takes one token; false when there is none. */
  take(nowMs: number): boolean {
    return this.takeOrWait(1, nowMs) === 0;
  }

  /** Takes so many tokens (at most the whole capacity) and gives 0, or takes none and gives the milliseconds until so many are there. */
  takeOrWait(count: number, nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - (this.#atMs ?? nowMs));
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#capacity, this.#tokens + elapsedMs * this.#perMs);
    if (this.#tokens < count) return (count - this.#tokens) / this.#perMs;
    this.#tokens -= count;
    return 0;
  }
}
