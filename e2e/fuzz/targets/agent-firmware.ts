// Binary tables of firmware and disks: SMBIOS, UEFI's boot entries, and the vital product data pages 0x80 and 0x89.

import { fillOf } from '../../../agent/src/inventory/blank.ts';
import { readAtaIdentity, readUnitSerial } from '../../../agent/src/inventory/disk-identity.ts';
import { readLoadOption, readOrder } from '../../../agent/src/inventory/efi.ts';
import { errorCorrection, memoryModules, moduleBytes } from '../../../agent/src/inventory/memory-modules.ts';
import { redfishInterfaces } from '../../../agent/src/inventory/redfish.ts';
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

const short = (text: string): boolean => text.length > 0 && text.length <= 256 && !/[\x00-\x1f]/.test(text);

export const target: Target = {
  name: 'agent-firmware',
  seeds: [
    Uint8Array.from([...module, ...bytesOf('DIMM 0\0Bank\0\0'), 127, 4, 0, 2, 0, 0]),
    Uint8Array.from([0, 0x80, 0, 8, ...bytesOf('S3RIAL01')]),
    // A host interface: network, USB, one record of Redfish over IP.
    Uint8Array.from([42, 107, 0, 0, 0x40, 1, 2, 1, 4, 98, ...new Uint8Array(90), 7, ...bytesOf('idrac-9'), 0, 0]),
    // A boot entry: active, "PXE", a MAC, the end.
    Uint8Array.from([
      1,
      0,
      0,
      0,
      41,
      0,
      ...bytesOf('P\0X\0E\0\0\0'),
      3,
      11,
      37,
      0,
      ...new Uint8Array(33),
      0x7f,
      0xff,
      4,
      0,
    ]),
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
    Uint8Array.of(42, 107),
    Uint8Array.of(0x7f, 0xff, 4, 0),
    Uint8Array.of(16, 0x17),
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
    const modules = memoryModules(structures);
    must(modules.length <= 1024, 'modules are bounded');
    for (const { fitted, sizeBytes, locator, vendor } of modules) {
      must(fitted === true || sizeBytes === undefined, 'an empty slot has no size');
      must(
        [locator, vendor].every((each) => each === undefined || short(each)),
        'texts are short lines',
      );
    }
    errorCorrection(structures);
    for (const { servicePort, serviceHost } of redfishInterfaces(structures))
      must((servicePort ?? 1) > 0 && short(serviceHost ?? 'x'), 'a service has a port and a short name');
    const { description, mac } = readLoadOption(bytes);
    must(short(description ?? 'x') && (mac ?? '00:00:00:00:00:00').length === 17, 'a boot entry is a short line');
    must(readOrder(bytes).length <= 256, 'the order is bounded');
    const serial = readUnitSerial(bytes);
    must(
      serial === undefined || (serial.length <= 256 && !/[\x00-\x1f]/.test(serial)),
      'a serial number is a short line',
    );
    readAtaIdentity(bytes);
    fillOf(bytes);
  },
};
