// Disk sizes as people write them.

const powers: Readonly<Record<string, number>> = { '': 0, K: 1, M: 2, G: 3, T: 4, P: 5 };

/** What `parseSize` takes, for JSON Schema. */
export const sizePattern = '^[0-9]+(\\.[0-9]+)? ?([KMGTP]i?)?B?$';

/** `400G`, `400 GB` (powers of 1000), `372.5GiB`, `372.5Gi` (powers of 1024), `400000000000`: whole bytes. Undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const found = /^([0-9]+(?:\.[0-9]+)?) ?(?:([KMGTP])(i)?)?B?$/.exec(text);
  if (found === null) return undefined;
  const bytes = Number(found[1]) * (found[3] === 'i' ? 1024 : 1000) ** powers[found[2] ?? '']!;
  const whole = Math.round(bytes);
  if (found[2] === undefined && whole !== bytes) return undefined;
  return Number.isSafeInteger(whole) && whole > 0 ? whole : undefined;
}
