import assert from 'node:assert/strict';
import test from 'node:test';
import { Disk } from '@nixie/proto/inventory';
import fc from 'fast-check';
import type { DiskHints, Host } from './host.ts';
import { hintedDevice, hintsUnused, resolveRootDisk } from './root-disk.ts';

const system = Disk.fromPartial({
  name: 'nvme0n1',
  path: '/dev/nvme0n1',
  sizeBytes: 500_107_862_016n,
  rotational: false,
  transport: 'nvme-pcie',
  model: 'Samsung SSD 980 PRO 500GB',
  serial: 'S5GYNX0R',
  wwn: 'eui.002538b411b1c2d3',
  byPath: '/dev/disk/by-path/pci-0000:01:00.0-nvme-1',
});
const store = Disk.fromPartial({
  name: 'sda',
  path: '/dev/sda',
  sizeBytes: 4_000_787_030_016n,
  rotational: true,
  transport: 'sata',
  model: 'ST4000NM0035',
  serial: 'ZC1',
  wwn: '0x5000c500a1b2c3d4',
  byPath: '/dev/disk/by-path/pci-0000:00:17.0-ata-1',
});
const twin = Disk.fromPartial({ ...store, name: 'sdb', path: '/dev/sdb', serial: 'ZC2', wwn: '0x5000c500a1b2c3d5' });
const stick = Disk.fromPartial({
  name: 'sdc',
  path: '/dev/sdc',
  sizeBytes: 500_000_000_000n,
  rotational: false,
  removable: false,
  transport: 'usb',
  serial: 'STICK',
});
const all = [system, store, twin, stick];

type Row = [name: string, hints: DiskHints, want: string | RegExp, more?: { allowRemovable?: true; disks?: Disk[] }];
const rows: Row[] = [
  ['serial', { serial: 'ZC1' }, '/dev/sda'],
  ['in either case, blanks at the ends apart', { serial: ' zc1 ' }, '/dev/sda'],
  ['WWN', { wwn: '0X5000C500A1B2C3D5' }, '/dev/sdb'],
  ['by_path with its folder', { byPath: '/dev/disk/by-path/pci-0000:01:00.0-nvme-1' }, '/dev/nvme0n1'],
  ['by_path without', { byPath: 'pci-0000:00:17.0-ata-1' }, /2 of its disks fit/],
  ['a model with any text', { model: 'samsung*' }, '/dev/nvme0n1'],
  ['any text in the middle', { model: 'S*PRO*' }, '/dev/nvme0n1'],
  ['part of a model is not the model', { model: 'Samsung' }, /none of its disks fits/],
  ['the star does not count a letter twice', { serial: 'ZC1*1' }, /none/],
  ['largest', { maxSizeBytes: 1_000_000_000_000 }, '/dev/nvme0n1'],
  ['a size at its edge', { minSizeBytes: 500_107_862_016, maxSizeBytes: 500_107_862_016 }, '/dev/nvme0n1'],
  [
    'all must hold',
    { serial: 'ZC1', rotational: false },
    /none of its disks fits.*ZC1\) does not fit: it is rotational/,
  ],
  [
    'a tie names all, and how they differ',
    { rotational: true },
    /"disk" \({"rotational":true}\) must mean one disk, and 2 of its disks fit: \/dev\/nvme0n1 .* does not fit: it is not rotational; \/dev\/sda \(.*ZC1\) fits; \/dev\/sdb \(.*ZC2\) fits; .*say more, such as "serial": "ZC1"/,
  ],
  [
    'what is not known does not match',
    { model: 'x*' },
    /\/dev\/sdc \(.*\) does not fit: it is on USB, it has no model/,
  ],
  ['a stick', { serial: 'STICK' }, /it is on USB; "allow_removable": true would let it count/],
  ['a stick that may be', { serial: 'STICK' }, '/dev/sdc', { allowRemovable: true }],
  [
    'a removable one',
    { serial: 'ZC1' },
    /it is removable/,
    { disks: [Disk.fromPartial({ ...store, removable: true })] },
  ],
  ['read-only', { serial: 'ZC1' }, /it is read-only/, { disks: [Disk.fromPartial({ ...store, readOnly: true })] }],
  [
    'one of several ways, which nothing joins',
    { serial: 'ZC1' },
    /none.*ZC1\) does not fit: it is reached over 2 ways \(sda, sdb\), and no multipath device joins them/,
    { disks: [Disk.fromPartial({ ...store, paths: [{ name: 'sda' }, { name: 'sdb' }] })] },
  ],
  [
    'what joins them',
    { serial: 'ZC1' },
    '/dev/mapper/mpatha',
    {
      disks: [
        Disk.fromPartial({
          ...store,
          path: '/dev/mapper/mpatha',
          multipath: 'mpatha',
          paths: [{ name: 'sda' }, { name: 'sdb' }],
        }),
      ],
    },
  ],
  ['no disk at all', { serial: 'ZC1' }, /none of its disks fits: it has no disk/, { disks: [] }],
  [
    'two legs of one disk are a tie',
    { wwn: store.wwn! },
    /2 of its disks fit/,
    { disks: [store, { ...store, path: '/dev/sdd' }] },
  ],
];
for (const [name, disk, want, more] of rows)
  test(`root disk: ${name}`, () => {
    const allowed = more?.allowRemovable === undefined ? {} : { allowRemovable: true };
    const found = resolveRootDisk({ disk, ...allowed }, more?.disks ?? all);
    if (typeof want === 'string') assert.equal(found.ok ? found.disk.path : found.reason, want);
    else assert.match(found.ok ? `found ${found.disk.path}` : found.reason, want);
  });

const text = fc.constantFrom('a', 'B', 'ab', 'aB1', '', 'a b');
const someDisk = fc.record(
  {
    path: fc.constantFrom('/dev/sda', '/dev/sdb', '/dev/sdc'),
    sizeBytes: fc.constantFrom(1n, 2n, 3n),
    rotational: fc.constantFrom(true, false, undefined),
    removable: fc.constantFrom(true, false, undefined),
    readOnly: fc.constantFrom(true, false, undefined),
    transport: fc.constantFrom('usb', 'sata', undefined),
    model: fc.option(text, { nil: undefined }),
    serial: fc.option(text, { nil: undefined }),
    wwn: fc.option(text, { nil: undefined }),
    byPath: fc.option(
      text.map((name) => `/dev/disk/by-path/${name}`),
      { nil: undefined },
    ),
  },
  { requiredKeys: ['path', 'sizeBytes'] },
);
const wanted = fc.constantFrom('a', 'b', 'a*', '*', '*b', 'AB1', 'a*1', '**');
const someHints = fc.record(
  {
    minSizeBytes: fc.constantFrom(1, 2, 3),
    maxSizeBytes: fc.constantFrom(1, 2, 3),
    rotational: fc.boolean(),
    model: wanted,
    serial: wanted,
    wwn: wanted,
    byPath: wanted,
  },
  { requiredKeys: [] },
);

/** The rules once more, in other words. */
function fits(disk: Disk, hints: DiskHints, removableToo: boolean): boolean {
  const like = (want: string | undefined, has: string | undefined) => {
    if (want === undefined) return true;
    if (has === undefined) return false;
    const pattern = want
      .toLowerCase()
      .split('*')
      .map((part) => part.replace(/[^a-z0-9]/g, '\\$&'));
    return new RegExp(`^${pattern.join('.*')}$`).test(has.toLowerCase());
  };
  if (!removableToo && (disk.removable === true || disk.transport === 'usb')) return false;
  if (disk.readOnly === true) return false;
  return (
    Number(disk.sizeBytes) >= (hints.minSizeBytes ?? 0) &&
    Number(disk.sizeBytes) <= (hints.maxSizeBytes ?? Number.MAX_SAFE_INTEGER) &&
    (hints.rotational === undefined || disk.rotational === hints.rotational) &&
    like(hints.model, disk.model) &&
    like(hints.serial, disk.serial) &&
    like(hints.wwn, disk.wwn) &&
    like(hints.byPath, disk.byPath?.slice('/dev/disk/by-path/'.length))
  );
}

test('exactly one disk is chosen, or a refusal speaks of every disk; the order of disks changes nothing', () => {
  fc.assert(
    fc.property(fc.array(someDisk, { maxLength: 5 }), someHints, fc.boolean(), (given, disk, allowRemovable) => {
      const disks = given.map((each) => Disk.fromPartial(each));
      const host = allowRemovable ? { disk, allowRemovable } : { disk };
      const found = resolveRootDisk(host, disks);
      const right = disks.filter((each) => fits(each, disk, allowRemovable));
      assert.equal(found.ok, right.length === 1);
      if (found.ok) assert.equal(found.disk, right[0]);
      else
        for (const each of disks) {
          assert.ok(found.reason.includes(each.path));
          assert.ok(found.reason.includes(fits(each, disk, allowRemovable) ? ') fits' : 'does not fit: '));
        }
      const turned = resolveRootDisk(host, disks.toReversed());
      assert.equal(turned.ok && turned.disk, found.ok && found.disk);
    }),
    { numRuns: 2000 },
  );
});

test('hints and layout belong together', () => {
  const host: Pick<Host, 'disk'> = { disk: { serial: 'S1' } };
  assert.equal(hintsUnused(host, [hintedDevice]), undefined);
  assert.equal(hintsUnused(host, [hintedDevice, '/dev/disk/by-id/b']), undefined);
  assert.equal(hintsUnused(host, undefined), undefined);
  assert.equal(hintsUnused({}, ['/dev/sda']), undefined);
  assert.match(hintsUnused(host, ['/dev/sda']) ?? '', /names \/dev\/sda: .*found as \/dev\/nixie\/disk/);
  assert.match(hintsUnused({}, [hintedDevice]) ?? '', /has no "disk"/);
});
