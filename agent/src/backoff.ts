// How long to wait before the next attempt, so that a rack of machines doesn't come back in step.

/**
 * Full jitter: anywhere between the floor and a ceiling that doubles with each failed attempt.
 * @param attempt 0 for the first wait
 * @param random in [0, 1)
 * @returns milliseconds
 */
export function fullJitterMs(attempt: number, random: number, firstMs = 1000, mostMs = 60_000, leastMs = 100): number {
  const ceiling = Math.min(mostMs, firstMs * 2 ** Math.min(attempt, 20));
  return Math.max(leastMs, Math.round(ceiling * random));
}

/** A period with ±20 %, in milliseconds. */
export function jitteredMs(periodMs: number, random: number): number {
  return Math.round(periodMs * (0.8 + 0.4 * random));
}
