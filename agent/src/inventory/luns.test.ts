import assert from 'node:assert/strict';
import test from 'node:test';
import { collectIdle, never } from './collect-idle.ts';
import { multipath } from './fixtures/others.ts';
import { type Laid, layTree } from './lay-tree.ts';
import { codes, printed } from './printed.ts';
import { recordedSource } from './recorded.ts';
import type { Source } from './source.ts';

test('a disk over several ways: one NVMe namespace, LUNs that are shown once, and disks that only share a name', async () => {
  const told = await printed(multipath);
  const { disks, arrays, nics } = told;
  const [ib0] = nics;
  assert.deepEqual(
    [ib0.name, ib0.mac_kind, ib0.mac, ib0.infiniband_address],
    ['ib0', 'infiniband', undefined, '80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:a1:b2:c3'],
  );
  assert.deepEqual(
    disks.map((disk: { name: string }) => disk.name),
    ['sde', 'sdf', 'nvme0n1', 'dm-0', 'sdc'],
  );
  const [sde, sdf, nvme, mpatha, lone] = disks;
  assert.deepEqual([sde.wwn === sdf.wwn, sde.paths, sdf.paths], [true, [], []]);
  assert.deepEqual(
    [nvme.serial, nvme.transport, nvme.nguid, nvme.wwn, nvme.multipath],
    [
      'S55FNE0R100001',
      'nvme-pcie',
      '3655363052a000010025384500000001',
      'eui.3655363052a000010025384500000001',
      'nvme-subsys0',
    ],
  );
  assert.deepEqual(nvme.paths, [
    { name: 'nvme0c0n1', transport: 'nvme-pcie', pci_address: '0000:41:00.0', state: 'optimized' },
    { name: 'nvme0c1n1', transport: 'nvme-pcie', pci_address: '0000:42:00.0', state: 'non-optimized' },
  ]);
  const { name: _, ...joined } = mpatha;
  assert.deepEqual(joined, {
    path: '/dev/mapper/mpatha',
    size_bytes: 107_374_182_400,
    logical_block_bytes: 512,
    removable: false,
    read_only: false,
    transport: 'fc',
    vendor: 'DGC',
    wwn: '0x60060160a0b1c2d3e4f5060708090a03',
    by_id: ['/dev/disk/by-id/dm-name-mpatha', '/dev/disk/by-id/wwn-0x60060160a0b1c2d3e4f5060708090a03'],
    table: 'gpt',
    partitions: [{ number: 1, fs: 'xfs' }],
    signatures: [],
    has_data: true,
    holders: [],
    mounted_at: ['/srv'],
    zoned: 'none',
    in_use: true,
    multipath: 'mpatha',
    paths: [
      { name: 'sda', transport: 'fc', pci_address: '0000:81:00.0', state: 'running' },
      { name: 'sdb', transport: 'fc', pci_address: '0000:81:00.1', state: 'offline' },
    ],
  });
  assert.deepEqual(
    [lone.path, lone.multipath, lone.has_data, lone.hctl, lone.by_id],
    ['/dev/sdc', undefined, false, undefined, ['/dev/disk/by-id/wwn-0x60060160a0b1c2d3e4f5060708090a04']],
  );
  assert.deepEqual(
    lone.paths.map(({ name, state }: Record<string, string>) => [name, state]),
    [
      ['sdd', 'offline'],
      ['sdc', 'running'],
    ],
  );
  assert.deepEqual(
    arrays.map((each: Record<string, unknown>) => [each.path, each.kind, each.members, each.state, each.mounted_at]),
    [
      ['/dev/mapper/mpatha', 'multipath', ['sda', 'sdb'], 'active', ['/srv']],
      ['/dev/mapper/mpatha-part1', 'dm', [], undefined, ['/srv']],
    ],
  );
  // Nobody looks over a way that a device holds.
  assert.deepEqual(
    codes(told).filter((each) => each.startsWith('disks')),
    ['disks: /dev/sdd EIO'],
  );
});

test('joining the ways does not make it other hardware, losing the LUN does', async () => {
  const word = async (machine: Laid) => (await printed(machine)).hardware_sha256;
  const { 'sys/class/block/dm-0': _, 'sys/block/dm-0': __, ...bare } = multipath;
  const before = await word(multipath);
  assert.equal(await word(bare), before);
  const { 'sys/block/sdc': ___, 'sys/block/sdd': ____, ...less } = multipath;
  assert.notEqual(await word(less), before);
});

test('a device whose ways have all gone hangs, and costs only itself', async () => {
  const { root, remove } = layTree(multipath);
  try {
    const whole = recordedSource(root);
    const source: Source = {
      ...whole,
      lookAt: (path, look) => (/mpatha|sde/.test(path) ? never : whole.lookAt(path, look)),
    };
    const { disks, errors } = await collectIdle({ root, source, diskDeadlineMs: 50 });
    const of = (path: string) => disks.find((disk) => disk.path === path);
    assert.deepEqual([of('/dev/sde')?.hasData, of('/dev/sdf')?.hasData], [undefined, false]);
    // Its partition is there, whatever can be read.
    const mpatha = of('/dev/mapper/mpatha');
    assert.deepEqual([mpatha?.hasData, mpatha?.table, mpatha?.paths.length], [true, undefined, 2]);
    const late = errors.filter(({ code }) => code === 'deadline').map(({ path }) => path);
    assert.deepEqual(late, ['/dev/mapper/mpatha', '/dev/sde']);
  } finally {
    remove();
  }
});

test('a disk of NVMe that multipathd holds all the same is what multipathd made of it', async () => {
  const disk = 'sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1';
  const { disks } = await printed({
    ...multipath,
    [`${disk}/holders/dm-7`]: '→ ../../../../nowhere',
    'sys/class/block/dm-7': '→ ../../devices/virtual/block/dm-7',
    'sys/block/dm-7': '→ ../devices/virtual/block/dm-7',
    'sys/devices/virtual/block/dm-7/dm/uuid': 'mpath-eui.3655\n',
    'sys/devices/virtual/block/dm-7/dm/name': 'odd.name\n',
    'sys/devices/virtual/block/dm-7/size': '7501476528\n',
  });
  const found = disks.filter(({ serial }: { serial?: string }) => serial === 'S55FNE0R100001');
  assert.deepEqual(
    found.map(({ path, multipath: by, paths }: { path: string; multipath: string; paths: { name: string }[] }) => [
      path,
      by,
      paths.map(({ name }) => name),
    ]),
    [['/dev/dm-7', 'odd.name', ['nvme0n1']]],
  );
});
