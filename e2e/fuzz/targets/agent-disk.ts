// A disk whose beginning is the input, or whose end is: the first octet says how long it is and which.

import { lookAtDisk } from '../../../agent/src/inventory/disk-look.ts';
import { recordedDisk } from '../../../agent/src/inventory/image.ts';
import { isDosTable, isGptHeader, readDos, readGpt } from '../../../agent/src/inventory/partition-table.ts';
import { headSignatures, tailSignatures } from '../../../agent/src/inventory/signatures.ts';
import { must, type Target } from '../target.ts';

const seed = (name: string, from: number, length: number): Uint8Array =>
  Uint8Array.from([1, ...recordedDisk(name).subarray(from, from + length)]);
const end = (name: string, length: number): Uint8Array =>
  Uint8Array.from([0x82, ...recordedDisk(name).subarray(-length)]);

export const target: Target = {
  name: 'agent-disk',
  seeds: [
    seed('gpt', 0, 2048),
    end('gpt', 1024),
    seed('dos', 0, 2048),
    seed('ext3', 0, 2048),
    seed('vfat', 0, 1024),
    seed('swap', 0, 4096),
    Uint8Array.of(1, 0, 0),
  ],
  dictionary: [
    'EFI PART',
    Uint8Array.of(0x55, 0xaa),
    'LUKS\xba\xbe',
    'XFSB',
    'SWAPSPACE2',
    Uint8Array.of(0x80, 0, 0, 0, 0),
    Uint8Array.of(5),
    Uint8Array.of(0xfc, 0x4e, 0x2b, 0xa9),
    'LABELONE',
    Uint8Array.of(0x53, 0xef),
  ],
  maxBytes: 128 * 1024,
  allowed: [],
  async run(bytes) {
    const [how = 0] = bytes;
    const data = bytes.subarray(1);
    const size = Math.max(512, Math.ceil(data.length / 512) * 512 * (1 + (how & 3)));
    const disk = new Uint8Array(size);
    disk.set(data, how & 0x80 ? size - data.length : 0);
    let reads = 0;
    const read = async (at: number, length: number): Promise<Uint8Array> => {
      reads++;
      must(at >= 0 && length >= 0 && at + length <= size, `reads stay on the disk: ${length} at ${at} of ${size}`);
      return disk.subarray(at, at + length);
    };
    const look = await lookAtDisk(size, how & 0x40 ? 4096 : 512, read);
    must(reads < 400, 'a disk is looked at in a few reads');
    must(look.error === undefined, `no read fails: ${look.error}`);
    must(
      look.partitions.every((each) => (each.sizeBytes ?? 0n) >= 0n),
      'partitions have a size',
    );
    if (disk.every((octet) => octet === 0)) must(look.hasData === false, 'a blank disk is blank');
    else must(look.hasData === true || disk.every((octet) => octet === 255), 'what is not blank has data');
    headSignatures(data);
    tailSignatures(data, data.length);
    if (isGptHeader(data)) await readGpt(data, 512, size, read);
    if (isDosTable(data)) await readDos(data, 512, size, read);
  },
};
