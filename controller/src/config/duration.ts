// Durations as people write them.
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `1h30m` → milliseconds, above 0 and up to 7 days. */
export function readDuration(text: string): number | undefined {
  if (!/^(?:\d{1,9}[smhd])+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhd])/g)) sum += Number(count) * unitMs[unit!]!;
  return sum > 0 && sum <= 7 * unitMs.d! ? sum : undefined;
}
