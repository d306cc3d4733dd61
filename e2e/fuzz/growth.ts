// Does the time that a decoder takes grow faster than its input? Inputs are grown by repeating a piece; measured without coverage.
import type { Random } from './mutate.ts';
import { failureOf, type Target } from './target.ts';

export interface Growing {
  readonly head: Uint8Array;
  readonly piece: Uint8Array;
  readonly tail: Uint8Array;
  /** Where the number of the repetition is written into each piece, in four hexadecimal digits: what must differ does. */
  readonly numberAt?: number;
}

const usualMost = 256 * 1024;
/** Shorter times say more about the machine than about the decoder. */
const tellingMs = 2;
const enoughMs = 200;
/** Twice the input may take this many times as long: four times would be quadratic. */
const factor = 3;
const hint = 2.5;
/** In a row. One or two show also where input of a certain size begins to be looked at; after that its time grows evenly. */
const doublings = 3;

/** Head, piece after piece, and tail: about `bytes` long. */
export function grown({ head, piece, tail, numberAt }: Growing, bytes: number): Uint8Array {
  const times = Math.max(1, Math.floor((bytes - head.length - tail.length) / piece.length));
  const result = new Uint8Array(head.length + times * piece.length + tail.length);
  result.set(head);
  for (let index = 0, at = head.length; index < times; index++, at += piece.length) {
    result.set(piece, at);
    if (numberAt !== undefined) result.set(Buffer.from((index & 0xffff).toString(16).padStart(4, '0')), at + numberAt);
  }
  result.set(tail, head.length + times * piece.length);
  return result;
}

/** One piece of an input of the corpus, of the dictionary, or a single octet, repeated somewhere in an input of the corpus. */
export function randomGrowing(
  corpus: readonly Uint8Array[],
  dictionary: readonly Uint8Array[],
  random: Random,
): Growing {
  const base = corpus[random(corpus.length)] ?? new Uint8Array(0);
  const cut = random(base.length + 1);
  const slice = (most: number): Uint8Array => {
    const at = random(base.length + 1);
    return base.slice(at, at + 1 + random(most));
  };
  const line = (): Uint8Array => {
    const lines = Buffer.from(base).toString('latin1').split('\n');
    return Uint8Array.from(Buffer.from(`${lines[random(lines.length)]}\n`, 'latin1'));
  };
  const makers: readonly (() => Uint8Array)[] = [
    () => Uint8Array.of(random(128)),
    () => Uint8Array.from(Buffer.from(' \n\t"\'([{<,;:.-=/0a\\\0'.charAt(random(20)))),
    () => dictionary[random(Math.max(1, dictionary.length))] ?? slice(16),
    () => Uint8Array.from([...(dictionary[random(Math.max(1, dictionary.length))] ?? []), random(128)]),
    () => slice(8),
    () => slice(64),
    line,
    line,
    () => base,
  ];
  const made = makers[random(makers.length)]!();
  const piece = made.length === 0 ? Uint8Array.of(0x20) : made;
  const numbered = piece.length >= 5 && random(2) === 0 ? { numberAt: random(piece.length - 3) } : {};
  // Most parsers have a place where things are listed; in the other half the piece stands alone.
  if (random(3) === 0) return { head: new Uint8Array(0), piece, tail: new Uint8Array(0), ...numbered };
  return { head: base.slice(0, cut), piece, tail: base.slice(cut), ...numbered };
}

/** Milliseconds that one input takes the processor: others that are at work on it don't count. */
export async function costOf(target: Target, input: Uint8Array): Promise<number> {
  const began = process.threadCpuUsage();
  await failureOf(target, input);
  const { user, system } = process.threadCpuUsage(began);
  return (user + system) / 1000;
}

/** Smallest time of several, in milliseconds: noise only ever adds. */
async function timeOf(
  target: Target,
  input: Uint8Array,
  tries: number,
  before: (input: Uint8Array) => void,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let index = 0; index < tries; index++) {
    before(input);
    least = Math.min(least, await costOf(target, input));
  }
  return least;
}

const tooFast = (times: readonly number[]): boolean =>
  times.every((ms, index) => index === 0 || ms / times[index - 1]! > factor);

/** The sentence that says so when the time grows too fast; measured again before it is believed. */
export async function growsTooFast(
  target: Target,
  growing: Growing,
  before: (input: Uint8Array) => void = () => {},
): Promise<string | undefined> {
  const most = target.maxBytes ?? usualMost;
  const times: number[] = [];
  const sizes: number[] = [];
  for (let size = 1024; size <= most; size *= 2) {
    sizes.push(size);
    times.push(await timeOf(target, grown(growing, size), 1, before));
    const latest = times.at(-1)!;
    // One measurement at most hints: the code may have been optimised, or the machine been busy, in between.
    if (times.length > doublings && latest >= tellingMs && latest / times.at(-2)! > hint) {
      const last = sizes.slice(-doublings - 1);
      const again: number[] = [];
      for (const each of last) again.push(await timeOf(target, grown(growing, each), 5, before));
      if (again.at(-1)! >= tellingMs && tooFast(again)) {
        const shown = again.map((ms, index) => `${last[index]} bytes ${ms.toFixed(2)} ms`).join(', ');
        return `time grows faster than the input: ${shown}; repeated is ${JSON.stringify(Buffer.from(growing.piece.subarray(0, 80)).toString('latin1'))}`;
      }
    }
    if (latest > enoughMs) return undefined;
  }
  return undefined;
}
