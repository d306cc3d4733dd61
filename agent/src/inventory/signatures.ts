// What a file system, a volume manager or a RAID leaves at fixed places. The list is for telling people what is there; whether a disk
// counts as blank does not depend on it (blank.ts).

export interface Found {
  readonly name: string;
  readonly label?: string;
}

type Check = (bytes: Uint8Array) => boolean;
type Magic = readonly [name: string, at: number, magic: string | readonly number[], check?: Check];

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
const u32 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

function matches(bytes: Uint8Array, at: number, magic: string | readonly number[]): boolean {
  if (at < 0 || at + magic.length > bytes.length) return false;
  for (let i = 0; i < magic.length; i += 1) {
    const want = typeof magic === 'string' ? magic.charCodeAt(i) : magic[i];
    if (bytes[at + i] !== want) return false;
  }
  return true;
}

const mdMagic = [0xfc, 0x4e, 0x2b, 0xa9];
const bcacheMagic = [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81];
const bcachefsMagic = [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef];
const bootSector: Check = (bytes) => bytes[510] === 0x55 && bytes[511] === 0xaa;

/** Offsets from the beginning of the disk or partition. */
const heads: readonly Magic[] = [
  ['xfs', 0, 'XFSB'],
  ['luks', 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]],
  // LUKS 2 keeps a second header at one of these places.
  ...[0x4000, 0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000].map(
    (at): Magic => ['luks', at, [0x53, 0x4b, 0x55, 0x4c, 0xba, 0xbe]],
  ),
  ['btrfs', 0x10040, '_BHRfS_M'],
  ['vfat', 82, 'FAT32   ', bootSector],
  ['vfat', 54, 'FAT16   ', bootSector],
  ['vfat', 54, 'FAT12   ', bootSector],
  ['exfat', 3, 'EXFAT   '],
  ['ntfs', 3, 'NTFS    '],
  ['refs', 3, 'ReFS'],
  ['bitlocker', 3, '-FVE-FS-'],
  ...[0, 512, 1024, 1536].map((at): Magic => ['lvm', at, 'LABELONE']),
  ['md', 0, mdMagic],
  ['md', 4096, mdMagic],
  ...[4096, 8192, 16_384, 65_536].flatMap((page): Magic[] => [
    ['swap', page - 10, 'SWAPSPACE2'],
    ['swap', page - 10, 'SWAP-SPACE'],
    ['hibernation', page - 10, 'S1SUSPEND'],
    ['hibernation', page - 10, 'S2SUSPEND'],
    ['hibernation', page - 10, 'LINHIB0001'],
  ]),
  ['squashfs', 0, 'hsqs'],
  ['iso9660', 0x8001, 'CD001'],
  ['udf', 0x8801, 'NSR0'],
  ['udf', 0x9001, 'NSR0'],
  ['erofs', 1024, [0xe2, 0xe1, 0xf5, 0xe0]],
  ['f2fs', 1024, [0x10, 0x20, 0xf5, 0xf2]],
  ['bcache', 4096 + 24, bcacheMagic],
  ['bcachefs', 4096 + 24, bcachefsMagic],
  ['apfs', 32, 'NXSB'],
  ['hfsplus', 1024, 'H+'],
  ['hfsplus', 1024, 'HX'],
  ['reiserfs', 0x10034, 'ReIsEr'],
  ['jfs', 0x8000, 'JFS1'],
  ['nilfs2', 1030, [0x34, 0x34]],
  ['vmfs', 0x100000, [0x0d, 0xd0, 0x01, 0xc0]],
  ['ceph', 0, 'bluestore block device'],
];

/** How much of the beginning the list looks at. */
export const headBytes = 0x100000 + 4096;
/** How much of the end `tailSignatures` looks at: md 0.90 and the last two zfs labels. */
export const tailBytes = 1 << 20;

function text(bytes: Uint8Array, at: number, length: number): string | undefined {
  const raw = bytes.subarray(at, at + length);
  const end = raw.indexOf(0);
  const label = Buffer.from(end < 0 ? raw : raw.subarray(0, end))
    .toString('utf8')
    .replace(/[\x00-\x1f\x7f-\x9f\ufffd]/g, '')
    .trim();
  return label === '' ? undefined : label;
}

function ext(bytes: Uint8Array): Found | undefined {
  if (bytes.length < 0x488 || u16(bytes, 0x438) !== 0xef53) return undefined;
  const journal = (u32(bytes, 0x45c) & 0x4) !== 0;
  // extents, 64bit, flex_bg: only ext4 has them.
  const name = (u32(bytes, 0x460) & 0x2c0) !== 0 ? 'ext4' : journal ? 'ext3' : 'ext2';
  const label = text(bytes, 0x478, 16);
  return label === undefined ? { name } : { name, label };
}

function zfs(bytes: Uint8Array): boolean {
  // Uberblocks fill the second half of a label, at every KiB or more; written in the pool's byte order.
  for (let at = 128 * 1024; at + 8 <= Math.min(bytes.length, 256 * 1024); at += 1024)
    if (matches(bytes, at, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]) || matches(bytes, at, [0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c]))
      return true;
  return false;
}

const labels: Record<string, (bytes: Uint8Array) => string | undefined> = {
  xfs: (bytes) => text(bytes, 108, 12),
  btrfs: (bytes) => text(bytes, 0x1012b, 256),
  vfat: (bytes) => {
    const label = text(bytes, matches(bytes, 82, 'FAT32   ') ? 71 : 43, 11);
    return label === 'NO NAME' ? undefined : label;
  },
  luks: (bytes) => (u16(bytes, 6) === 0x0200 ? text(bytes, 24, 48) : undefined), // version 2, big endian
  swap: (bytes) => text(bytes, 1052, 16),
};

/** What begins here. @param bytes the first `headBytes`, or fewer */
export function headSignatures(bytes: Uint8Array): Found[] {
  const found: Found[] = [];
  const add = (entry: Found): void => {
    if (!found.some(({ name }) => name === entry.name)) found.push(entry);
  };
  for (const [name, at, magic, check] of heads) {
    if (!matches(bytes, at, magic) || (check && !check(bytes))) continue;
    const label = labels[name]?.(bytes);
    add(label === undefined ? { name } : { name, label });
  }
  const extended = ext(bytes);
  if (extended) add(extended);
  if (zfs(bytes)) add({ name: 'zfs' });
  return found;
}

/**
 * What ends here.
 * @param bytes the last bytes of the disk
 * @param size of the whole disk
 */
export function tailSignatures(bytes: Uint8Array, size: number): string[] {
  const start = size - bytes.length;
  const found = new Set<string>();
  // md 0.90: in the last whole 64 KiB block but one; md 1.0: at least 8 KiB from the end, on 4 KiB.
  if (matches(bytes, size - (size % 65_536) - 65_536 - start, mdMagic)) found.add('md');
  const sectors = Math.floor(size / 512) - 16;
  if (matches(bytes, (sectors - (sectors % 8)) * 512 - start, mdMagic)) found.add('md');
  if (matches(bytes, size - 1024 - start, 'Intel Raid ISM Cfg Sig. ')) found.add('imsm');
  for (const at of [size - 512, size - 257 * 512])
    if (matches(bytes, at - start, [0xde, 0x11, 0xde, 0x11])) found.add('ddf');
  const labelsEnd = size - (size % (256 * 1024)) - start;
  for (const at of [labelsEnd - 512 * 1024, labelsEnd - 256 * 1024])
    if (at >= 0 && zfs(bytes.subarray(at, at + 256 * 1024))) found.add('zfs');
  return [...found];
}
