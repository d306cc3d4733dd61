// Inputs made from inputs, the same ones for the same seed.

/** A whole number from 0 to below `below`. */
export type Random = (below: number) => number;

/** mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Lengths, counts and signs at their edges. */
const octets = [
  0, 1, 2, 4, 8, 15, 16, 17, 31, 32, 63, 64, 127, 128, 254, 255, 0x0a, 0x0d, 0x20, 0x22, 0x27, 0x2e, 0x5c,
];
const words = [0, 1, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];
const numbers = ['0', '-1', '1e999', '4294967296', '9007199254740993', '0x10', '007', '255', '65536', ''];

export interface MutateFrom {
  readonly corpus: readonly Uint8Array[];
  readonly dictionary: readonly Uint8Array[];
  /** Of the result, in bytes. */
  readonly longest: number;
}

function replaced(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length - (to - from) + by.length);
  result.set(bytes.subarray(0, from));
  result.set(by, from);
  result.set(bytes.subarray(to), from + by.length);
  return result;
}

type Change = (bytes: Uint8Array, random: Random, from: MutateFrom) => Uint8Array;

/** Where a piece begins and ends; short ones are likelier. */
function piece(bytes: Uint8Array, random: Random): [number, number] {
  const at = random(bytes.length + 1);
  const length = random(1 + (random(2) === 0 ? Math.min(8, bytes.length - at) : bytes.length - at));
  return [at, at + length];
}

const changes: readonly Change[] = [
  // one bit
  (bytes, random) => {
    const copy = bytes.slice();
    if (copy.length > 0) copy[random(copy.length)]! ^= 1 << random(8);
    return copy;
  },
  // one octet
  (bytes, random) => {
    const copy = bytes.slice();
    if (copy.length > 0) copy[random(copy.length)] = random(2) === 0 ? random(256) : octets[random(octets.length)]!;
    return copy;
  },
  // a number of 16 or 32 bits in either order
  (bytes, random) => {
    const size = random(2) === 0 ? 2 : 4;
    if (bytes.length < size) return bytes;
    const copy = bytes.slice();
    const view = new DataView(copy.buffer);
    const [at, value, little] = [random(copy.length - size + 1), words[random(words.length)]!, random(2) === 0];
    if (size === 2) view.setUint16(at, value & 0xffff, little);
    else view.setUint32(at, value, little);
    return copy;
  },
  // a little more or less
  (bytes, random) => {
    const copy = bytes.slice();
    if (copy.length > 0) copy[random(copy.length)]! += random(2) === 0 ? 1 + random(4) : -1 - random(4);
    return copy;
  },
  // octets put in
  (bytes, random) => {
    const at = random(bytes.length + 1);
    const one = random(256);
    return replaced(
      bytes,
      at,
      at,
      Uint8Array.from({ length: 1 + random(16) }, () => (random(4) === 0 ? one : random(256))),
    );
  },
  // a piece taken out
  (bytes, random) => replaced(bytes, ...piece(bytes, random), new Uint8Array(0)),
  // a piece once more, somewhere
  (bytes, random) => {
    const at = random(bytes.length + 1);
    return replaced(bytes, at, at, bytes.slice(...piece(bytes, random)));
  },
  // a piece many times
  (bytes, random) => {
    const [from, to] = piece(bytes, random);
    const times = 1 + random(32);
    return replaced(bytes, to, to, Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, to))));
  },
  // a word of the dictionary, put in or over something
  (bytes, random, { dictionary }) => {
    const word = dictionary[random(dictionary.length)];
    if (word === undefined) return bytes;
    const at = random(bytes.length + 1);
    return replaced(bytes, at, random(2) === 0 ? at : Math.min(bytes.length, at + word.length), word);
  },
  // another number in place of one in text
  (bytes, random) => {
    const start = random(bytes.length + 1);
    const digit = (at: number): boolean => bytes[at] !== undefined && bytes[at]! >= 0x30 && bytes[at]! <= 0x39;
    let from = start;
    while (from < bytes.length && !digit(from)) from++;
    let to = from;
    while (digit(to)) to++;
    const number = random(2) === 0 ? numbers[random(numbers.length)]! : String(random(2 ** (1 + random(32))));
    return from === to ? bytes : replaced(bytes, from, to, Buffer.from(number));
  },
  // a line away, or two lines swapped
  (bytes, random) => {
    const lines = Buffer.from(bytes).toString('latin1').split('\n');
    const [one, other] = [random(lines.length), random(lines.length)];
    if (random(2) === 0) lines.splice(one, 1);
    else [lines[one], lines[other]] = [lines[other]!, lines[one]!];
    return Uint8Array.from(Buffer.from(lines.join('\n'), 'latin1'));
  },
  // the beginning of this and the end of another
  (bytes, random, { corpus }) => {
    const other = corpus[random(corpus.length)];
    if (other === undefined) return bytes;
    return replaced(bytes, random(bytes.length + 1), bytes.length, other.subarray(random(other.length + 1)));
  },
  // a piece of another put in
  (bytes, random, { corpus }) => {
    const other = corpus[random(corpus.length)];
    if (other === undefined) return bytes;
    const at = random(bytes.length + 1);
    return replaced(bytes, at, at, other.slice(...piece(other, random)));
  },
  // cut off
  (bytes, random) => bytes.slice(0, random(bytes.length + 1)),
];

/** One to six changes of an input. */
export function mutate(bytes: Uint8Array, random: Random, from: MutateFrom): Uint8Array {
  let result = bytes;
  for (let left = 1 + random(random(2) === 0 ? 2 : 6); left > 0; left--) {
    result = changes[random(changes.length)]!(result, random, from);
    if (result.length > from.longest) result = result.slice(0, from.longest);
  }
  return result;
}
