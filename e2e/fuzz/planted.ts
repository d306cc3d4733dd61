// Decoders with a known fault, for the tests of the fuzz run itself.

/** Breaks on inputs that only a search which is told of the way can be expected to find. */
export function decodeWithBug(bytes: Uint8Array): number {
  if (bytes[0] !== 0x4e) return 0;
  if (bytes[1] !== 0x69) return 1;
  if (bytes[2] !== 0x78) return 2;
  if (bytes.length < 6) return 3;
  if (bytes[3] === bytes.length) throw new TypeError('planted');
  return 4;
}

/** Goes through the rest of the text for each blank in it. */
export function parseTooSlowly(text: string): number {
  let found = 0;
  for (let at = 0; at < text.length; at++)
    if (text[at] === ' ') for (let next = at; next < text.length; next++) if (text[next] === ',') found++;
  return found;
}
