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
const byId = ['/dev/disk/by-id/wwn-0x6006'];
/** A blank LUN with two ways, joined or not. */
const lun = (multipath?: string) =>
  Inventory.fromPartial({
    disks: [
      {
        path: multipath === undefined ? '/dev/sda' : `/dev/mapper/${multipath}`,
        sizeBytes: 100_000_000_000n,
        wwn: '0x6006',
        byId,
        hasData: false,
        inUse: false,
        paths: [{ name: 'sda' }, { name: 'sdb' }],
        multipath,
      },
    ],
  });
const bare = lun();
const joined = lun('mpatha');

test('a way to a disk is never written to', () => {
  const rows: [string, declared: string[] | undefined, registered: Inventory, now: Inventory, want: RegExp | 'ok'][] = [
    ['by what joins them, which came after the agent', ['/dev/mapper/mpatha'], bare, joined, 'ok'],
    ['by its worldwide name', byId, joined, joined, 'ok'],
    [
      'a way, where something joins them',
      ['/dev/sdb'],
      joined,
      joined,
      /^its layout names \/dev\/sdb, which is one of the ways to \/dev\/mapper\/mpatha \(.*\): name that$/,
    ],
    [
      'nothing joins them',
      byId,
      bare,
      bare,
      /^\/dev\/sda \(.*\): it is reached over 2 ways \(sda, sdb\), and no multipath device joins them: services\.multipath/,
    ],
    [
      'the other way, where nothing joins them',
      ['/dev/sdb'],
      bare,
      bare,
      /to \/dev\/sda \(.*\): it is reached over 2 ways/,
    ],
    ['a layout that names nothing', undefined, bare, bare, /no multipath device joins them/],
  ];
  // Whatever may be lost.
  for (const [name, declared, registered, now, want] of rows)
    for (const loseData of [false, true]) {
      const verdict = judgeDisks(host, declared, registered, now, { loseData });
      if (want === 'ok') assert.deepEqual(verdict, { ok: true, targets: now.disks }, name);
      else assert.match(verdict.ok ? 'ok' : verdict.reasons.join('; '), want, name);
    }
});

test('one of two disks that is lost is still noticed', () => {
  const other = Disk.fromPartial({ ...joined.disks[0], wwn: '0x6007', path: '/dev/mapper/mpathb', byId: [] });
  const both = Inventory.fromPartial({ disks: [...joined.disks, other] });
  const verdict = judgeDisks(host, byId, both, joined, { loseData: false });
  assert.match(verdict.ok ? 'ok' : verdict.reasons.join(), /its disks are not those it registered with/);
});
