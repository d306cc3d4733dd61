// How fast the uplink is, by the files that came over it, and from that how much may be under way on it. All that is said on a link waits behind what is
// under way, its signs of life too: 2 MiB are nothing at 100 Mbit/s, and at 1 Mbit/s they are 17 s, after which the link is taken for dead, again and
// again (RFC 9113 6.7 and 6.9).

/** What is under way at 100 Mbit/s and 160 ms; the default of 64 KiB would make every uplink slow. */
export const mostUnderWay = 2 << 20;
const leastUnderWay = 128 << 10;
/** So long it may take what is under way to arrive, milliseconds. */
const arrivesMs = 2000;
/** A file that is shorter says more of its latency than of the uplink. */
const longBytes = 1 << 20;
/** What is counted for less says nothing. */
const leastMs = 3000;

export class UplinkRate {
  readonly #ticks: () => number;
  /** Long files that come now, and since when any does. */
  #coming = 0;
  #since = 0;
  #ms = 0;
  #bytes = 0;
  #perMs: number | undefined;

  /** @param ticks milliseconds of a clock that nobody sets */
  constructor(ticks: () => number) {
    this.#ticks = ticks;
  }

  /** A file begins to come. @param bytes that are to come of it */
  begins(bytes: number): { came(bytes: number): void; ends(): void } {
    if (bytes < longBytes) return { came() {}, ends() {} };
    if (this.#coming++ === 0) this.#since = this.#ticks();
    let ended = false;
    return {
      came: (piece) => {
        this.#bytes += piece;
      },
      ends: () => {
        if (ended) return;
        ended = true;
        if (--this.#coming === 0) this.#ms += this.#ticks() - this.#since;
      },
    };
  }

  /** Bytes that may be under way on the link that is made now. What the last one showed counts; one that showed nothing leaves it as it was. */
  underWay(): number {
    const ms = this.#ms + (this.#coming > 0 ? this.#ticks() - this.#since : 0);
    if (ms >= leastMs) this.#perMs = this.#bytes / ms;
    [this.#ms, this.#bytes, this.#since] = [0, 0, this.#ticks()];
    if (this.#perMs === undefined) return mostUnderWay;
    return Math.round(Math.min(mostUnderWay, Math.max(leastUnderWay, this.#perMs * arrivesMs)));
  }
}
