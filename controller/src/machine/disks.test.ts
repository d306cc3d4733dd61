import assert from 'node:assert/strict';
import test from 'node:test';
import { Disk, Inventory } from '@nixie/proto/inventory';
import { judgeDisks } from './disks.ts';
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
});
const of = (...disks: Disk[]) => Inventory.fromPartial({ disks });
const byId = ['/dev/disk/by-id/virtio-S1'];

interface Row {
  name: string;
  declared: string[] | undefined;
  registered: Inventory;
  now: Inventory;
  loseData?: boolean;
  host?: Partial<Host>;
  want: RegExp | 'ok';
}
const rows: Row[] = [
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
];

for (const row of rows)
  test(`disks: ${row.name}`, () => {
    const verdict = judgeDisks({ ...host, ...row.host }, row.declared, row.registered, row.now, {
      loseData: row.loseData ?? false,
    });
    if (row.want === 'ok') assert.deepEqual(verdict.ok ? [] : verdict.reasons, []);
    else {
      assert.equal(verdict.ok, false);
      assert.match(verdict.ok ? '' : verdict.reasons.join('\n'), row.want);
    }
  });
