// Nix's own base 32: no e, o, u, t, and the bits are taken from the end (nix manual, "Store path": nix32).
const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';

export function toNix32(bytes: Uint8Array): string {
  let text = '';
  for (let place = Math.ceil((bytes.length * 8) / 5) - 1; place >= 0; place--) {
    const bit = place * 5;
    const at = bit >> 3;
    const shift = bit & 7;
    const two = bytes[at]! | ((bytes[at + 1] ?? 0) << 8);
    text += alphabet[(two >> shift) & 31];
  }
  return text;
}

/** Undefined when it is no nix32 text of so many bytes. */
export function fromNix32(text: string, bytes: number): Uint8Array | undefined {
  if (text.length !== Math.ceil((bytes * 8) / 5)) return undefined;
  const made = new Uint8Array(bytes);
  for (let place = 0; place < text.length; place++) {
    const digit = alphabet.indexOf(text[text.length - 1 - place]!);
    if (digit < 0) return undefined;
    const bit = place * 5;
    const at = bit >> 3;
    const shift = bit & 7;
    made[at]! |= (digit << shift) & 255;
    const over = digit >> (8 - shift);
    if (at + 1 < bytes) made[at + 1]! |= over;
    else if (over !== 0) return undefined;
  }
  return made;
}
