// The memory modules: SMBIOS types 16 and 17 (DSP0134 7.17, 7.18).
import type { MemoryModule } from '@nixie/proto/inventory';
import { compare } from './order.ts';
import { numberAt, type Structure, stringAt } from './smbios.ts';

/** 7.18.2 */
const kinds: Readonly<Record<number, string>> = {
  3: 'DRAM',
  15: 'SDRAM',
  16: 'SGRAM',
  17: 'RDRAM',
  18: 'DDR',
  19: 'DDR2',
  20: 'DDR2 FB-DIMM',
  24: 'DDR3',
  25: 'FBD2',
  26: 'DDR4',
  27: 'LPDDR',
  28: 'LPDDR2',
  29: 'LPDDR3',
  30: 'LPDDR4',
  31: 'NVDIMM',
  32: 'HBM',
  33: 'HBM2',
  34: 'DDR5',
  35: 'LPDDR5',
  36: 'HBM3',
};

/** The firmware's own chips (ROM, flash, EPROM …), which old tables list among the modules. */
const isFirmwareChip = (kind: number | undefined): boolean => kind !== undefined && kind >= 8 && kind <= 12;

function devices(structures: readonly Structure[]): Structure[] {
  return structures.filter(
    (each) => each.type === 17 && each.bytes.length >= 0x0e && !isFirmwareChip(numberAt(each, 0x12, 1)),
  );
}

/** Bytes in a slot: 0 when it is empty, undefined when the table doesn't know. */
function sizeOf(device: Structure): bigint | undefined {
  const size = numberAt(device, 0x0c, 2)!;
  if (size === 0xffff) return undefined;
  if (size === 0x7fff) {
    const mebibytes = numberAt(device, 0x1c, 4);
    return mebibytes === undefined ? undefined : BigInt(mebibytes & 0x7fffffff) << 20n;
  }
  return size & 0x8000 ? BigInt(size & 0x7fff) << 10n : BigInt(size) << 20n;
}

/** Bytes of all modules; undefined when none is told or one is of unknown size. */
export function moduleBytes(structures: readonly Structure[]): bigint | undefined {
  let sum = 0n;
  for (const device of devices(structures)) {
    const size = sizeOf(device);
    if (size === undefined) return undefined;
    sum += size;
  }
  return sum > 0n ? sum : undefined;
}

/** MT/s: 0 is unknown; 0xffff says that it stands in a later field, which has 31 bits. */
function speed(device: Structure, at: number, later: number): number | undefined {
  const value = numberAt(device, at, 2);
  const wide = value === 0xffff ? (numberAt(device, later, 4) ?? 0) & 0x7fffffff : value;
  return wide === 0 ? undefined : wide;
}

/** One entry a slot, by locator. */
export function memoryModules(structures: readonly Structure[]): MemoryModule[] {
  return devices(structures)
    .slice(0, 1024)
    .map((device): MemoryModule => {
      const size = sizeOf(device);
      const [locator, bank] = [stringAt(device, 0x10), stringAt(device, 0x11)];
      // What else stands in an empty slot is a placeholder.
      if (size === 0n) return { locator, bank, fitted: false };
      return {
        locator,
        bank,
        fitted: true,
        sizeBytes: size,
        type: kinds[numberAt(device, 0x12, 1) ?? 0],
        speedMtps: speed(device, 0x15, 0x54),
        configuredMtps: speed(device, 0x20, 0x58),
        vendor: stringAt(device, 0x17),
        serial: stringAt(device, 0x18),
        partNumber: stringAt(device, 0x1a),
      };
    })
    .sort((a, b) => compare(a.locator ?? '~', b.locator ?? '~') || compare(a.bank ?? '~', b.bank ?? '~'));
}

/** Error correction of the system's memory (7.17.3). */
export function errorCorrection(structures: readonly Structure[]): string | undefined {
  const use = (each: Structure): boolean => each.type === 16 && numberAt(each, 5, 1) === 3;
  const array = structures.find(use);
  return array && { 3: 'none', 4: 'parity', 5: 'single', 6: 'multi', 7: 'crc' }[numberAt(array, 6, 1) ?? 0];
}
