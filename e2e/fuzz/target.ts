// What a decoder under test is, to the fuzz run.

export interface Target {
  /** Of letters, digits and `-`; also the name of its file and of its folder in corpus/. */
  readonly name: string;
  /** Where mutation begins, besides the corpus. */
  readonly seeds: readonly Uint8Array[];
  /** Words that mean something to the decoder. */
  readonly dictionary: readonly (string | Uint8Array)[];
  /** Decodes one input. What it throws must be of `allowed`; properties that don't hold are thrown as Broken. */
  run(bytes: Uint8Array): unknown;
  readonly allowed: readonly (abstract new (...given: never[]) => Error)[];
  /** Longest input that can reach the decoder, in bytes; for growing inputs. */
  readonly maxBytes?: number;
}

/** A property that doesn't hold. */
export class Broken extends Error {
  override name = 'Broken';
}

export function must(holds: boolean, property: string): asserts holds {
  if (!holds) throw new Broken(property);
}

/** The error that an input must not cause; undefined when all is well. */
export async function failureOf(target: Target, bytes: Uint8Array): Promise<Error | undefined> {
  try {
    const result = target.run(bytes);
    if (result instanceof Promise) await result;
    return undefined;
  } catch (error) {
    if (target.allowed.some((kind) => error instanceof kind)) return undefined;
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** UTF-8 as programs read files: what is no UTF-8 becomes U+FFFD. */
export const text = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

export const bytesOf = (given: string | Uint8Array): Uint8Array =>
  typeof given === 'string' ? new TextEncoder().encode(given) : given;
