// Which disks may be written to, case by case. It is long because each way to lose data by mistake is a row of its table.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Disk, Inventory } from '@nixie/proto/inventory';
import { diskIdentity, judgeDisks } from './disks.ts';
import type { Host } from './host.ts';
import type { Mac } from './mac.ts';

const host: Host = {
  name: 'm1',
  flakeAttr: 'm1',
  macs: ['52:54:00:00:00:01' as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
};
const blank = Disk.fromPartial({
  name: 'vda',
  path: '/dev/vda',
  sizeBytes: 8_000_000_000n,
  serial: 'S1',
  byId: ['/dev/disk/by-id/virtio-S1'],
  hasData: false,
  inUse: false,
  table: 'none',
});
const used = Disk.fromPartial({
  ...blank,
  hasData: true,
  table: 'gpt',
  partitions: [{ number: 1, fs: 'ext4', label: 'nixos' }],
});
const stick = Disk.fromPartial({
  name: 'sda',
  path: '/dev/sda',
  sizeBytes: 1_000_000_000n,
  serial: 'USB',
  removable: true,
  hasData: false,
  inUse: false,
});
const of = (...disks: Disk[]) => Inventory.fromPartial({ disks });
const second = Disk.fromPartial({
  ...blank,
  name: 'vdb',
  path: '/dev/vdb',
  serial: 'S2',
  byId: ['/dev/disk/by-id/virtio-S2'],
});
const nameless = Disk.fromPartial({ ...used, serial: undefined, wwn: undefined });
const byId = ['/dev/disk/by-id/virtio-S1'];

interface Row {
  name: string;
  declared: string[] | undefined;
  registered: Inventory;
  now: Inventory;
  loseData?: boolean;
  begun?: ReadonlySet<string>;
  host?: Partial<Host>;
  want: RegExp | 'ok';
}
const rows: Row[] = [
  {
    name: 'hints, blank',
    host: { disk: { serial: 'S1' } },
    declared: ['/dev/nixie/disk'],
    registered: of(blank, second),
    now: of(blank, second),
    want: 'ok',
  },
  {
    name: 'hints that mean a disk with data',
    host: { disk: { serial: 'S1' } },
    declared: ['/dev/nixie/disk'],
    registered: of(used, second),
    now: of(used, second),
    want: /^\/dev\/vda .* holds data .*--reinstall m1/,
  },
  {
    name: 'hints that mean none',
    host: { disk: { serial: 'S3' } },
    declared: ['/dev/nixie/disk'],
    registered: of(blank, second),
    now: of(blank, second),
    loseData: true,
    want: /^"disk" .* none of its disks fits: \/dev\/vda .*; \/dev\/vdb [^;]*$/,
  },
  {
    name: 'hints that mean a disk which the layout names as well',
    host: { disk: { serial: 'S1' } },
    declared: ['/dev/nixie/disk', '/dev/disk/by-id/virtio-S1'],
    registered: of(blank, second),
    now: of(blank, second),
    want: /names one disk twice/,
  },
  {
    name: 'hints for nothing',
    host: { disk: { serial: 'S1' } },
    declared: byId,
    registered: of(blank),
    now: of(blank),
    want: /its layout names \/dev\/disk\/by-id\/virtio-S1: the disk that is meant is found as \/dev\/nixie\/disk/,
  },
  {
    name: 'a layout by hints, and no hints',
    declared: ['/dev/nixie/disk'],
    registered: of(blank),
    now: of(blank),
    loseData: true,
    want: /^its layout names \/dev\/nixie\/disk, and its entry in the hosts file has no "disk" that says which one that is$/,
  },
  {
    name: 'hints, and a layout that is not told: all disks must be free',
    host: { disk: { serial: 'S1' } },
    declared: undefined,
    registered: of(blank, Disk.fromPartial({ ...second, hasData: true })),
    now: of(blank, Disk.fromPartial({ ...second, hasData: true })),
    want: /^\/dev\/vdb .* holds data/,
  },
  {
    name: 'a stick by hints, with consent for removable ones, which holds data',
    host: { disk: { serial: 'USB' }, allowRemovable: true },
    declared: ['/dev/nixie/disk'],
    registered: of(Disk.fromPartial({ ...stick, hasData: true })),
    now: of(Disk.fromPartial({ ...stick, hasData: true })),
    want: /holds data/,
  },
  { name: 'a blank declared disk', declared: byId, registered: of(blank), now: of(blank), want: 'ok' },
  {
    name: 'a disk with a partition table',
    declared: byId,
    registered: of(used),
    now: of(used),
    want: /holds data \(gpt partition table, ext4 "nixos"\).*--reinstall m1/,
  },
  { name: 'the same with consent', declared: byId, registered: of(used), now: of(used), loseData: true, want: 'ok' },
  {
    name: 'data that appeared since registration',
    declared: byId,
    registered: of(blank),
    now: of(used),
    want: /holds data/,
  },
  {
    name: 'a disk that nobody could read',
    declared: byId,
    registered: of({ ...blank, hasData: undefined }),
    now: of({ ...blank, hasData: undefined }),
    want: /could not be read/,
  },
  {
    name: 'a declared disk that is not there',
    declared: ['/dev/nvme0n1'],
    registered: of(blank),
    now: of(blank),
    want: /no whole disk of this machine; it has \/dev\/vda/,
  },
  { name: 'no disk at all', declared: undefined, registered: of(), now: of(), want: /no fixed disk/ },
  {
    name: 'unknown layout: a stick does not count',
    declared: undefined,
    registered: of(blank, stick),
    now: of(blank, stick),
    want: 'ok',
  },
  {
    name: 'unknown layout: any fixed disk with data stops it',
    declared: undefined,
    registered: of(used, stick),
    now: of(used, stick),
    want: /holds data/,
  },
  {
    name: 'a removable disk declared',
    declared: ['/dev/sda'],
    registered: of(stick),
    now: of(stick),
    loseData: true,
    want: /removable/,
  },
  {
    name: 'another disk than at registration',
    declared: byId,
    registered: of({ ...blank, serial: 'OLD' }),
    now: of(blank),
    want: /not those it registered with/,
  },
  {
    name: 'a disk in use',
    declared: byId,
    registered: of({ ...blank, mountedAt: ['/mnt'] }),
    now: of({ ...blank, mountedAt: ['/mnt'] }),
    want: /in use at \/mnt/,
  },
  {
    name: 'a disk of which nobody can tell whether it is in use, with consent',
    declared: byId,
    registered: of({ ...blank, inUse: undefined }),
    now: of({ ...blank, inUse: undefined }),
    loseData: true,
    want: /^\/dev\/vda .*: nobody can tell whether it is in use$/,
  },
  {
    name: 'the same, and why',
    declared: byId,
    registered: of(blank),
    now: {
      ...of({ ...blank, inUse: undefined }),
      errors: [{ section: 'disks', path: '/proc/self/mountinfo', code: 'EACCES' }],
    },
    want: /in use, for its agent could not read \/proc\/self\/mountinfo \(EACCES\)$/,
  },
  {
    name: 'expected disk met',
    declared: byId,
    registered: of(blank),
    now: of(blank),
    host: { expectDisks: [{ serial: 's1', minSizeBytes: 1 }] },
    want: 'ok',
  },
  {
    name: 'expected disk not met',
    declared: byId,
    registered: of(blank),
    now: of(blank),
    host: { expectDisks: [{ serial: 'other' }] },
    want: /expect_disks\[0\].*met by no disk/,
  },
  {
    name: 'expectation met twice',
    declared: byId,
    registered: of(blank, { ...blank, path: '/dev/vdb', serial: 'S2', byId: [] }),
    now: of(blank, { ...blank, path: '/dev/vdb', serial: 'S2', byId: [] }),
    host: { expectDisks: [{ maxSizeBytes: 9_000_000_000 }] },
    want: /met by \/dev\/vda.*; \/dev\/vdb/,
  },
  {
    name: 'one disk under two names',
    declared: ['/dev/vda', '/dev/disk/by-id/virtio-S1'],
    registered: of(blank),
    now: of(blank),
    want: /names one disk twice: \/dev\/vda and \/dev\/disk\/by-id\/virtio-S1 are both/,
  },
  {
    name: 'one name given twice',
    declared: ['/dev/vda', '/dev/vda'],
    registered: of(blank),
    now: of(blank),
    want: /names one disk twice/,
  },
  {
    name: 'a partition by its kernel name',
    declared: ['/dev/vda1'],
    registered: of(blank),
    now: of(blank),
    loseData: true,
    want: /no whole disk of this machine, but looks like a partition of \/dev\/vda/,
  },
  {
    name: 'a partition by its id',
    declared: ['/dev/disk/by-id/virtio-S1-part1'],
    registered: of(blank),
    now: of(blank),
    loseData: true,
    want: /looks like a partition/,
  },
  {
    name: 'two disks that answer to one id',
    declared: byId,
    registered: of(blank, { ...second, byId }),
    now: of(blank, { ...second, byId }),
    want: /more than one disk/,
  },
  {
    name: 'an empty layout is an unknown one: no disk is free by it',
    declared: [],
    registered: of(used),
    now: of(used),
    want: /holds data/,
  },
  { name: 'an empty layout and no disk', declared: [], registered: of(), now: of(), want: /no fixed disk/ },
  {
    name: 'disks whose names changed hands',
    declared: ['/dev/vda'],
    registered: of(blank, second),
    now: of({ ...blank, path: '/dev/vdb' }, { ...second, path: '/dev/vda' }),
    want: /not those it registered with/,
  },
  {
    name: 'consent, a name by order, and another disk that holds data',
    declared: ['/dev/vda'],
    registered: of(blank, { ...second, hasData: true }),
    now: of(blank, { ...second, hasData: true }),
    loseData: true,
    want: /may be another disk at each start.*name it by \/dev\/disk\/by-id\/virtio-S1/,
  },
  {
    name: 'the same, with the disk told by its serial number',
    declared: ['/dev/vda'],
    registered: of(blank, { ...second, hasData: true }),
    now: of(blank, { ...second, hasData: true }),
    loseData: true,
    host: { expectDisks: [{ serial: 'S1' }] },
    want: 'ok',
  },
  {
    name: 'consent, a stable name, and another disk that holds data',
    declared: byId,
    registered: of(used, { ...second, hasData: true }),
    now: of(used, { ...second, hasData: true }),
    loseData: true,
    want: 'ok',
  },
  {
    name: 'data that this run wrote to a disk that was blank',
    declared: byId,
    registered: of(used),
    now: of(used),
    begun: new Set([diskIdentity(blank)!]),
    want: 'ok',
  },
  {
    name: 'another disk than the one this run wrote to',
    declared: ['/dev/disk/by-id/virtio-S2'],
    registered: of({ ...second, hasData: true }),
    now: of({ ...second, hasData: true }),
    begun: new Set([diskIdentity(blank)!]),
    want: /holds data/,
  },
  {
    name: 'a disk without a number of its own is never known again',
    declared: ['/dev/vda'],
    registered: of(nameless),
    now: of(nameless),
    begun: new Set([`/dev/vda/${nameless.sizeBytes}`, `undefined/${nameless.sizeBytes}`]),
    want: /holds data/,
  },
  {
    name: 'another host’s NixOS is named',
    declared: byId,
    registered: of(used),
    now: of({ ...used, nixosHost: 'web2' }),
    want: /S1\) holds the NixOS of "web2", another host \(gpt partition table.*--reinstall m1/,
  },
  {
    name: 'this very host’s NixOS is, too',
    declared: byId,
    registered: of(used),
    now: of({ ...used, nixosHost: 'm1' }),
    want: /holds the NixOS of "m1", this very host/,
  },
  {
    name: 'a NixOS without a name',
    declared: byId,
    registered: of(used),
    now: of({ ...used, nixosHost: '' }),
    want: /holds a NixOS that does not say whose/,
  },
  {
    name: 'a removable disk declared and allowed',
    declared: ['/dev/sda'],
    registered: of(stick),
    now: of(stick),
    host: { allowRemovable: true },
    want: 'ok',
  },
  {
    name: 'unknown layout: an allowed removable disk counts as a target',
    declared: undefined,
    registered: of(blank, { ...stick, hasData: true }),
    now: of(blank, { ...stick, hasData: true }),
    host: { allowRemovable: true },
    want: /\/dev\/sda.* holds data/,
  },
  {
    name: 'an expectation of two disks, met by two',
    declared: byId,
    registered: of(blank, second),
    now: of(blank, second),
    host: { expectDisks: [{ count: 2, maxSizeBytes: 9_000_000_000 }] },
    want: 'ok',
  },
  {
    name: 'an expectation of two disks, met by one',
    declared: byId,
    registered: of(blank),
    now: of(blank),
    host: { expectDisks: [{ count: 2, maxSizeBytes: 9_000_000_000 }] },
    want: /"count":2.*met by 1: \/dev\/vda/,
  },
  {
    name: 'consent, a name by order, and an expectation that the other disk meets, too',
    declared: ['/dev/vda'],
    registered: of(blank, { ...second, hasData: true }),
    now: of(blank, { ...second, hasData: true }),
    loseData: true,
    host: { expectDisks: [{ count: 2, maxSizeBytes: 9_000_000_000 }] },
    want: /may be another disk at each start/,
  },
];

for (const row of rows)
  test(`disks: ${row.name}`, () => {
    const verdict = judgeDisks({ ...host, ...row.host }, row.declared, row.registered, row.now, {
      loseData: row.loseData ?? false,
      ...(row.begun === undefined ? {} : { begun: row.begun }),
    });
    if (row.want === 'ok') assert.deepEqual(verdict.ok ? [] : verdict.reasons, []);
    else {
      assert.equal(verdict.ok, false);
      assert.match(verdict.ok ? '' : verdict.reasons.join('\n'), row.want);
    }
  });
