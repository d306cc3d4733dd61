// Values of single options, the PXE vendor option (43) and the relay option (82) among them: the first octet is the code.
import { optionName, optionShape } from '../../../controller/src/wire/dhcp4/names.ts';
import {
  readAddresses,
  readArchitectures,
  readInteger,
  readIpxeFeatures,
  readMessageType,
  readSubOptions,
  readText,
  readUserClasses,
  readUuid,
  subOptionsBytes,
} from '../../../controller/src/wire/dhcp4/options.ts';
import { parseValue, printValue } from '../../../controller/src/wire/dhcp4/shapes.ts';
import { must, type Target } from '../target.ts';

export const target: Target = {
  name: 'dhcp-options',
  seeds: [
    Uint8Array.of(43, 6, 1, 8, 8, 7, 0x80, 1, 1, 10, 0, 0, 1, 9, 7, 0x80, 0, 4, 78, 105, 120, 101, 10, 2, 3, 78, 255),
    Uint8Array.of(43, 0, 0, 6, 1, 8, 255, 0),
    Uint8Array.of(82, 1, 4, 1, 2, 3, 4, 2, 6, 82, 84, 0, 18, 52, 86, 5, 4, 10, 78, 0, 0, 11, 4, 10, 78, 0, 1),
    Uint8Array.of(175, 177, 5, 1, 0x1a, 0xf4, 0x10, 0, 24, 1, 1, 34, 1, 1, 235, 3, 1, 21, 1),
    Uint8Array.of(97, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
    Uint8Array.of(77, 4, 105, 80, 88, 69),
    Uint8Array.of(77, 105, 80, 88, 69),
    Uint8Array.of(93, 0, 7, 0, 11),
    Uint8Array.of(94, 1, 3, 0),
    Uint8Array.of(61, 1, 82, 84, 0, 18, 52, 86),
    Uint8Array.of(3, 10, 0, 0, 1, 10, 0, 0, 2),
    Uint8Array.of(51, 0, 0, 14, 16),
    Uint8Array.of(53, 1),
    Uint8Array.of(19, 1),
    Uint8Array.of(55, 1, 3, 6, 12),
    Uint8Array.of(12, 110, 105, 120, 0, 255),
  ],
  dictionary: [Uint8Array.of(255), Uint8Array.of(0), Uint8Array.of(6, 1, 8), Uint8Array.of(82), Uint8Array.of(43)],
  maxBytes: 65_507,
  allowed: [],
  run(bytes) {
    const [code = 0] = bytes;
    const value = bytes.subarray(1);
    optionName(code);
    const shape = optionShape(code);
    const back = parseValue(shape, printValue(shape, value));
    must(back !== undefined && Buffer.compare(back, value) === 0, `option ${code} reads back as it was printed`);
    for (const ends of [true, false]) {
      const entries = readSubOptions(value, ends);
      const again = readSubOptions(subOptionsBytes(entries), ends);
      must(
        entries.length === again.length && entries.every(([sub], index) => again[index]![0] === sub),
        'sub-options read back as they were written',
      );
    }
    readMessageType(value);
    readAddresses(value);
    readInteger(value);
    readText(value);
    readArchitectures(value);
    readUuid(value);
    readUserClasses(value);
    readIpxeFeatures(value);
  },
};
