// The clock by which kernel and journal date their lines.

/** Milliseconds of CLOCK_MONOTONIC, which on Linux counts from the boot. */
export function hrMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
