// Binary tables of firmware and disks: SMBIOS, and the vital product data pages 0x80 and 0x89.

import { fillOf } from '../../../agent/src/inventory/blank.ts';
import { readAtaIdentity, readUnitSerial } from '../../../agent/src/inventory/disk-identity.ts';
import { moduleBytes } from '../../../agent/src/inventory/memory-modules.ts';
import { readStructures } from '../../../agent/src/inventory/smbios.ts';
import { bytesOf, must, type Target } from '../target.ts';

const module = Uint8Array.of(
  17,
  0x22,
  0,
  1,
  0,
  0,
  0,
  0,
  64,
  0,
  64,
  0,
  0,
  8,
  9,
  0,
  1,
  2,
  0x1a,
  0,
  0,
  0,
  0,
  3,
  4,
  5,
  6,
  2,
  0,
  0,
  0,
  0,
  0,
  0,
);

export const target: Target = {
  name: 'agent-firmware',
  seeds: [
    Uint8Array.from([...module, ...bytesOf('DIMM 0\0Bank\0\0'), 127, 4, 0, 2, 0, 0]),
    Uint8Array.from([0, 0x80, 0, 8, ...bytesOf('S3RIAL01')]),
    Uint8Array.from([
      0,
      0x89,
      2,
      56,
      ...new Uint8Array(56),
      ...bytesOf('x').fill(0),
      ...new Uint8Array(19).fill(0x41),
      ...new Uint8Array(200).fill(0x42),
    ]),
  ],
  dictionary: [
    Uint8Array.of(17, 0x22),
    Uint8Array.of(0, 0),
    Uint8Array.of(127, 4),
    Uint8Array.of(0xff, 0x7f),
    Uint8Array.of(0, 0x80),
    Uint8Array.of(0, 0x89),
  ],
  allowed: [],
  run(bytes) {
    const structures = readStructures(bytes);
    must(
      structures.every(({ bytes: each }) => each.length >= 4),
      'structures have a header',
    );
    const sum = moduleBytes(structures);
    must(sum === undefined || sum >= 0n, 'memory is not negative');
    const serial = readUnitSerial(bytes);
    must(
      serial === undefined || (serial.length <= 256 && !/[\x00-\x1f]/.test(serial)),
      'a serial number is a short line',
    );
    readAtaIdentity(bytes);
    fillOf(bytes);
  },
};
