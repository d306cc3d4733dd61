import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { LinkDisk } from '@nixie/proto/agent';
import { Disk } from '@nixie/proto/inventory';
import { linkDisk, refusal } from './link-disk.ts';

const blank = Disk.fromPartial({
  name: 'sda',
  path: '/dev/sda',
  sizeBytes: 500n,
  serial: 'S1',
  wwn: '0x5000',
  byPath: '/dev/disk/by-path/pci-1',
  hasData: false,
  inUse: false,
});
const other = Disk.fromPartial({ ...blank, name: 'sdb', path: '/dev/sdb', serial: 'S2', wwn: '0x6000' });
const wanted = LinkDisk.fromPartial({
  path: '/dev/sda',
  sizeBytes: 500n,
  serial: 'S1',
  wwn: '0x5000',
  byPath: '/dev/disk/by-path/pci-1',
  blank: true,
});

test('the disk that is meant, and no doubt about it', () => {
  const rows: [string, Partial<Disk> | undefined, Partial<LinkDisk>, RegExp | undefined][] = [
    ['as it was judged', {}, {}, undefined],
    ['gone', undefined, {}, /no whole disk \/dev\/sda any more/],
    ['another serial number', { serial: 'S9' }, {}, /another disk by now: its serial number was S1 and is S9/],
    ['no serial number any more', { serial: undefined }, {}, /was S1 and is not known/],
    ['a serial number that nobody asked for', {}, { serial: undefined }, undefined],
    ['another WWN', { wwn: '0x7' }, {}, /WWN/],
    ['another size', { sizeBytes: 501n }, {}, /size was 500 and is 501/],
    ['another place', { byPath: '/dev/disk/by-path/pci-2' }, {}, /place/],
    ['nobody knows by whom it is used', { inUse: undefined }, { blank: false }, /nobody can tell whether it is in use/],
    ['data that appeared', { hasData: true }, {}, /holds data by now/],
    ['not readable any more', { hasData: undefined }, {}, /could not be read this time/],
    ['data that may be lost', { hasData: true }, { blank: false }, undefined],
    ['mounted', { mountedAt: ['/mnt'] }, { blank: false }, /in use at \/mnt/],
    ['read-only', { readOnly: true }, {}, /read-only/],
    ['one of several ways', { paths: [{ name: 'sda' }, { name: 'sdc' }] }, {}, /one of 2 ways to one disk/],
    ['what joins several ways', { paths: [{ name: 'sdc' }, { name: 'sdd' }], multipath: 'mpatha' }, {}, undefined],
  ];
  for (const [name, change, ask, want] of rows) {
    const disks = change === undefined ? [other] : [other, Disk.fromPartial({ ...blank, ...change })];
    const why = refusal({ ...wanted, ...ask }, disks);
    if (want === undefined) assert.equal(why, undefined, name);
    else assert.match(why ?? '', want, name);
  }
});

test('the link is made, made anew, and not made when it is refused', async () => {
  const root = mkdtempSync(join(tmpdir(), 'nixie-link-'));
  const link = join(root, 'dev/nixie/disk');
  try {
    await assert.rejects(linkDisk(root, wanted, [other]), /any more/);
    assert.deepEqual(readdirSync(root), []);
    await linkDisk(root, wanted, [blank, other]);
    assert.equal(readlinkSync(link), '/dev/sda');
    const second = LinkDisk.fromPartial({ path: '/dev/sdb', sizeBytes: 500n, serial: 'S2' });
    await linkDisk(root, second, [blank, other]);
    assert.equal(readlinkSync(link), '/dev/sdb');
    await assert.rejects(linkDisk(root, wanted, [other]), /any more/);
    assert.equal(readlinkSync(link), '/dev/sdb');
    for (const path of ['/etc/passwd', '/dev/../etc/passwd', 'sda', '/dev/', '/dev/sda/..'])
      await assert.rejects(linkDisk(root, { ...wanted, path }, [Disk.fromPartial({ ...blank, path })]), /is no disk/);
    assert.deepEqual(readdirSync(join(root, 'dev/nixie')), ['disk']);
  } finally {
    rmSync(root, { recursive: true });
  }
});
