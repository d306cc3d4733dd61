// The raw SMBIOS table, for what the kernel does not spell out (DMTF DSP0134; section numbers are those of version 3.7).
import { cleanText, withoutPlaceholder } from './text.ts';

export interface Structure {
  readonly type: number;
  /** The formatted part, header included. */
  readonly bytes: Uint8Array;
  /** As they were written; the first is number 1. */
  readonly strings: readonly string[];
}

/** Splits a table into its structures; stops at the first that makes no sense. Never throws. */
export function readStructures(table: Uint8Array): Structure[] {
  const found: Structure[] = [];
  let at = 0;
  while (at + 4 <= table.length && found.length < 4096) {
    const length = table[at + 1]!;
    if (length < 4 || at + length > table.length) break; // 6.1.2: the header alone has four bytes
    // Strings follow, closed by two NUL.
    let next = at + length;
    while (next + 1 < table.length && (table[next] !== 0 || table[next + 1] !== 0)) next += 1;
    const strings = Buffer.from(table.subarray(at + length, Math.min(next, table.length)))
      .toString('latin1')
      .split('\0');
    found.push({ type: table[at]!, bytes: table.subarray(at, at + length), strings });
    if (table[at] === 127) break; // end of table
    at = next + 2;
  }
  return found;
}

/** Little-endian number; undefined where the structure, of an older version, is too short for it. */
export function numberAt({ bytes }: Structure, at: number, size: 1 | 2 | 4): number | undefined {
  if (at + size > bytes.length) return undefined;
  let value = 0;
  for (let index = size - 1; index >= 0; index -= 1) value = value * 256 + bytes[at + index]!;
  return value;
}

/** The string whose number stands at an offset (6.1.3), without what makers leave in fields that they never filled in. */
export function stringAt(structure: Structure, at: number): string | undefined {
  const number = numberAt(structure, at, 1);
  const text = number === undefined || number === 0 ? undefined : structure.strings[number - 1];
  return text === undefined ? undefined : withoutPlaceholder(cleanText(text));
}
