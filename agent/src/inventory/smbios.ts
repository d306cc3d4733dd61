// The raw SMBIOS table, as far as the kernel does not spell it out: the memory modules (DMTF DSP0134).

export interface Structure {
  readonly type: number;
  /** The formatted part, header included. */
  readonly bytes: Uint8Array;
}

/** Splits a table into its structures; stops at the first that makes no sense. Never throws. */
export function readStructures(table: Uint8Array): Structure[] {
  const found: Structure[] = [];
  let at = 0;
  while (at + 4 <= table.length && found.length < 4096) {
    const length = table[at + 1]!;
    if (length < 4 || at + length > table.length) break; // 6.1.2: the header alone has four bytes
    found.push({ type: table[at]!, bytes: table.subarray(at, at + length) });
    if (table[at] === 127) break; // end of table
    // Strings follow, closed by two NUL.
    let next = at + length;
    while (next + 1 < table.length && (table[next] !== 0 || table[next + 1] !== 0)) next += 1;
    at = next + 2;
  }
  return found;
}

/** Bytes of all modules (type 17, 7.18); undefined when none is told or one is of unknown size. */
export function moduleBytes(structures: readonly Structure[]): bigint | undefined {
  let sum = 0n;
  let known = false;
  for (const { type, bytes } of structures) {
    if (type !== 17 || bytes.length < 0x0e) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = view.getUint16(0x0c, true);
    if (size === 0) continue; // an empty slot
    if (size === 0xffff) return undefined;
    known = true;
    if (size === 0x7fff) {
      if (bytes.length < 0x20) return undefined;
      sum += BigInt(view.getUint32(0x1c, true) & 0x7fffffff) << 20n;
    } else if (size & 0x8000) sum += BigInt(size & 0x7fff) << 10n;
    else sum += BigInt(size) << 20n;
  }
  return known ? sum : undefined;
}
