import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { lookAtDisk } from './disk-look.ts';
import { reader, recordedDisk, sparseReader } from './image.ts';

const MiB = 1 << 20;
const look = (disk: Uint8Array, sector = 512) => lookAtDisk(disk.length, sector, reader(disk));

test('GPT with an EFI partition and ext4, as sfdisk, mkfs.vfat and mke2fs make them', async () => {
  const { error, ...found } = await look(recordedDisk('gpt'));
  assert.equal(error, undefined);
  assert.deepEqual(found, {
    table: 'gpt',
    hasData: true,
    signatures: [],
    partitions: [
      { number: 1, sizeBytes: 8n << 20n, type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', fs: 'vfat', label: 'BOOTY' },
      { number: 2, sizeBytes: 54n << 20n, type: '0fc63daf-8483-4772-8e79-3d69d8477de4', fs: 'ext4', label: 'nixos' },
    ],
  });
});

test('GPT whose beginning was zeroed is found by its copy at the end', async () => {
  const disk = recordedDisk('gpt').fill(0, 0, MiB);
  const found = await look(disk);
  assert.equal(found.table, 'gpt');
  assert.equal(found.hasData, true);
  assert.deepEqual(
    found.partitions.map(({ fs }) => fs),
    ['vfat', 'ext4'],
  );
});

test('GPT with a wrong checksum is still one', async () => {
  const disk = recordedDisk('gpt');
  disk[512 + 16]! ^= 0xff;
  assert.equal((await look(disk)).partitions.length, 2);
});

test('the name of a GPT partition is text that somebody wrote: control bytes are dropped', async () => {
  const disk = recordedDisk('gpt');
  // The second entry; its file system's own label goes before the name, so that goes.
  disk.write('\x1b[31mr\noot\x07 ', 1024 + 128 + 56, 'utf16le');
  disk.fill(0, 9 * MiB, 11 * MiB);
  const { partitions } = await look(disk);
  assert.deepEqual([partitions[1]?.fs, partitions[1]?.label], [undefined, '[31mr oot']);
});

test('GPT on 4096 byte sectors, also when the disk says 512', async () => {
  const disk = Buffer.alloc(64 * MiB);
  disk.write('EFI PART', 4096, 'latin1');
  disk.writeBigUInt64LE(2n, 4096 + 72);
  disk.writeUInt32LE(4, 4096 + 80);
  disk.writeUInt32LE(128, 4096 + 84);
  Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex').copy(disk, 8192);
  disk.writeBigUInt64LE(256n, 8192 + 32);
  disk.writeBigUInt64LE(511n, 8192 + 40);
  for (const sector of [512, 4096]) {
    const found = await look(disk, sector);
    assert.deepEqual(found.partitions, [
      {
        number: 1,
        sizeBytes: 1n << 20n,
        type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
        fs: undefined,
        label: undefined,
      },
    ]);
  }
});

test('DOS table with logical partitions', async () => {
  const found = await look(recordedDisk('dos'));
  assert.equal(found.table, 'dos');
  assert.deepEqual(
    found.partitions.map(({ number, sizeBytes, type, fs, label }) => [
      number,
      Number(sizeBytes) / 512,
      type,
      fs,
      label,
    ]),
    [
      [1, 20_480, '0x83', undefined, undefined],
      [2, 40_960, '0x05', undefined, undefined],
      [5, 8192, '0x82', 'swap', 'swappy'],
      [6, 8192, '0x83', undefined, undefined],
    ],
  );
});

for (const [name, fs] of [
  ['ext3', 'ext3'],
  ['vfat', 'vfat'],
  ['swap', 'swap'],
] as const)
  test(`${name} on the whole disk`, async () => {
    const found = await look(recordedDisk(name));
    assert.deepEqual(found.signatures, [fs]);
    assert.equal(found.table, 'none');
    assert.equal(found.hasData, true);
  });

const text = (word: string): Uint8Array => Buffer.from(word, 'latin1');
const size = 200 * 1024 * MiB + 512 * 7;
for (const [name, at, bytes] of [
  ['luks', 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 2]],
  ['luks', 0x4000, [0x53, 0x4b, 0x55, 0x4c, 0xba, 0xbe, 0, 2]],
  ['lvm', 512, text('LABELONE')],
  ['xfs', 0, text('XFSB')],
  ['btrfs', 0x10040, text('_BHRfS_M')],
  ['ntfs', 3, text('NTFS    ')],
  ['squashfs', 0, text('hsqs')],
  ['iso9660', 0x8001, text('CD001')],
  ['md', 4096, [0xfc, 0x4e, 0x2b, 0xa9]],
  ['md', size - (size % 65_536) - 65_536, [0xfc, 0x4e, 0x2b, 0xa9]],
  ['md', (Math.floor(size / 512) - 16 - ((Math.floor(size / 512) - 16) % 8)) * 512, [0xfc, 0x4e, 0x2b, 0xa9]],
  ['zfs', 128 * 1024 + 4096, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]],
  ['zfs', size - (size % 262_144) - 262_144 + 128 * 1024, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]],
  ['imsm', size - 1024, text('Intel Raid ISM Cfg Sig. 1.3')],
  ['ddf', size - 512, [0xde, 0x11, 0xde, 0x11]],
] as const)
  test(`${name} at ${at} is named`, async () => {
    const found = await lookAtDisk(size, 512, sparseReader([[at, Uint8Array.from(bytes)]]));
    assert.deepEqual([found.signatures, found.hasData], [[name], true]);
  });

test('zeroed and erased disks are blank, of any size', async () => {
  for (const bytes of [0, 512, 4096, MiB, 33 * MiB, size, 20 * 10 ** 12])
    for (const fill of [0, 0xff]) {
      const found = await lookAtDisk(bytes, 512, sparseReader([], fill));
      assert.deepEqual([found.hasData, found.table, found.error], [false, 'none', undefined], `${bytes} of ${fill}`);
    }
});

test('a disk whose first 100 MiB were zeroed by hand is still in use', async () => {
  const old = Buffer.alloc(64 * 1024, 0x5a);
  // Its second partition began behind an EFI one of 512 MiB; nothing else of it is left.
  const found = await lookAtDisk(size, 512, sparseReader([[513 * MiB, old]]));
  assert.deepEqual([found.table, found.signatures, found.hasData], ['none', [], true]);
});

test('one byte anywhere in the first or last 16 MiB is data', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 16 * MiB - 1 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 255 }),
      async (offset, atEnd, byte) => {
        const at = atEnd ? size - 1 - offset : offset;
        assert.equal((await lookAtDisk(size, 512, sparseReader([[at, Uint8Array.of(byte)]]))).hasData, true);
      },
    ),
    { numRuns: 25 },
  );
});

test('a place that cannot be read proves nothing, unless data was found elsewhere', async () => {
  for (const badFrom of [0, 5 * MiB, 63 * MiB]) {
    const bad = (at: number, length: number) => at <= badFrom && badFrom < at + length;
    const blank = Buffer.alloc(64 * MiB);
    const found = await lookAtDisk(blank.length, 512, reader(blank, bad));
    assert.equal(found.hasData, undefined, `bad at ${badFrom}`);
    assert.equal((found.error as { code: string }).code, 'EIO');
  }
  const used = Buffer.alloc(64 * MiB, 0);
  used.write('XFSB');
  assert.equal(
    (
      await lookAtDisk(
        used.length,
        512,
        reader(used, (at) => at > 60 * MiB),
      )
    ).hasData,
    true,
  );
});

test('whatever is on a disk, looking at it ends, reads only inside, and never calls it blank', async () => {
  const seeds = ['gpt', 'dos', 'ext3', 'vfat', 'swap'].map((name) => recordedDisk(name).subarray(0, 3 * MiB));
  const change = fc.record({
    // Where headers, entries and chains are.
    at: fc.oneof(fc.nat(4096), fc.integer({ min: 440, max: 1200 }), fc.nat(3 * MiB - 9)),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...seeds),
      fc.array(change, { maxLength: 12 }),
      fc.constantFrom(512, 4096, 520, 1),
      async (seed, changes, sector) => {
        const disk = Buffer.from(seed);
        for (const { at, bytes } of changes) disk.set(bytes, at);
        let reads = 0;
        const inside = reader(disk);
        const found = await lookAtDisk(disk.length, sector, async (at, length) => {
          reads += 1;
          return inside(at, length);
        });
        assert.ok(reads < 500);
        assert.equal(found.error, undefined);
        assert.equal(found.hasData, true);
        for (const { sizeBytes } of found.partitions) assert.ok(sizeBytes! >= 0n && sizeBytes! <= BigInt(disk.length));
      },
    ),
    { numRuns: 150 },
  );
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
      const { hasData, error } = await lookAtDisk(bytes.length, 512, reader(bytes));
      assert.equal(error, undefined);
      assert.equal(hasData, !(bytes.every((byte) => byte === 0) || bytes.every((byte) => byte === 0xff)));
    }),
  );
});
