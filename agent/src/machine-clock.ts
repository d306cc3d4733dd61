// The clock by which kernel and journal date their lines.

/** Milliseconds of CLOCK_MONOTONIC, which on Linux counts from the boot. Node loads ten modules where `performance` is first named. */
export function hrMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
