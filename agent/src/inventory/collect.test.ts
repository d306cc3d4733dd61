import assert from 'node:assert/strict';
import test from 'node:test';
import type { ReadError } from '@nixie/proto/inventory';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { collectIdle } from './collect-idle.ts';
import { readAtaIdentity, readUnitSerial, readWwn } from './disk-identity.ts';
import { collectDisks } from './disks.ts';
import { recordedDisk } from './image.ts';
import { type Laid, layTree } from './lay-tree.ts';
import { readPermanent } from './nics.ts';

import { folderSource } from './source.ts';
import { Tree } from './tree.ts';

const virtioDisk = 'sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda';
const nvme = 'sys/devices/pci0000:00/0000:00:06.0/nvme/nvme0';
const sata = 'sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0';
const virtioNic = 'sys/devices/pci0000:00/0000:00:02.0/virtio0/net/eth0';
const e1000 = 'sys/devices/pci0000:00/0000:00:03.0/net/eth1';

const identify = Buffer.alloc(60 + 512);
identify[1] = 0x89;
Buffer.from('QM00042             ')
  .swap16()
  .copy(identify, 60 + 20);
Buffer.from('QEMU HARDDISK WITH A LONG NAME          ')
  .swap16()
  .copy(identify, 60 + 54);

const machine: Laid = {
  'proc/cmdline': `nixie.token=${'ab'.repeat(16)} BOOTIF=01-52-54-00-00-00-01 quiet initrd=initrd\n`,
  'proc/uptime': '8.25 3.00\n',
  'proc/meminfo': 'MemTotal:         982216 kB\nMemFree: 1 kB\n',
  'proc/cpuinfo':
    'processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: QEMU Virtual CPU version 2.5+\nflags\t\t: fpu sse2 hypervisor lm\n\nprocessor\t: 1\n',
  'proc/sys/kernel/random/boot_id': '11111111-2222-3333-4444-555555555555\n',
  'proc/sys/kernel/osrelease': '6.1.0-18-amd64\n',
  'proc/self/mountinfo':
    '21 1 0:20 / / rw - tmpfs tmpfs rw\n22 21 8:2 / /mnt rw,relatime shared:1 - ext4 /dev/sda2 rw\n23 21 0:31 / /data\\040x rw - btrfs /dev/disk/by-id/ata-QEMU_x rw\n',
  'proc/swaps': 'Filename Type Size Used Priority\n/dev/sda3 partition 1 0 -2\n',
  'sys/firmware/efi/fw_platform_size': '64\n',
  'sys/class/dmi/id/sys_vendor': 'QEMU\n',
  'sys/class/dmi/id/product_name': 'Standard PC (Q35 + ICH9, 2009)\n',
  'sys/class/dmi/id/product_serial': 'Not Specified\n',
  'sys/class/dmi/id/product_uuid': '3b9a1c5e-6c1f-4b8e-9d52-0a1b2c3d4e5f\n',
  'sys/class/dmi/id/chassis_type': '1\n',
  'sys/class/dmi/id/bios_date': '04/01/2014\n',
  'sys/devices/system/cpu/online': '0-3\n',
  'sys/devices/system/memory/block_size_bytes': '8000000\n',
  'sys/devices/system/memory/memory0/online': '1\n',
  'sys/devices/system/memory/memory1/online': '1\n',

  'sys/block/vda': `→ ../../${virtioDisk}`,
  [`${virtioDisk}/device`]: '→ ../../../virtio2',
  [`${virtioDisk}/size`]: '131072\n',
  [`${virtioDisk}/serial`]: 'DISK-0001',
  [`${virtioDisk}/ro`]: '0\n',
  [`${virtioDisk}/removable`]: '0\n',
  [`${virtioDisk}/dev`]: '254:0\n',
  [`${virtioDisk}/queue/rotational`]: '1\n',
  [`${virtioDisk}/queue/logical_block_size`]: '512\n',
  'sys/devices/pci0000:00/0000:00:05.0/virtio2/vendor': '0x1af4\n',
  'dev/vda': Buffer.alloc(131072 * 512),
  'dev/disk/by-id/virtio-DISK-0001': '→ ../../vda',
  'dev/disk/by-path/pci-0000:00:05.0': '→ ../../vda',

  'sys/block/nvme0n1': `→ ../../${nvme}/nvme0n1`,
  [`${nvme}/nvme0n1/device`]: '→ ../../nvme0',
  [`${nvme}/nvme0n1/size`]: '131072\n',
  [`${nvme}/nvme0n1/wwid`]: 'nvme.1b36-4e564d45-51454d55-00000001\n',
  [`${nvme}/nvme0n1/queue/rotational`]: '0\n',
  [`${nvme}/transport`]: 'pcie\n',
  [`${nvme}/model`]: 'QEMU NVMe Ctrl                          \n',
  [`${nvme}/serial`]: 'NVME-7              \n',
  'dev/nvme0n1': recordedDisk('gpt'),

  'sys/block/sda': `→ ../../${sata}/block/sda`,
  [`${sata}/block/sda/device`]: '→ ../../../0:0:0:0',
  [`${sata}/block/sda/size`]: '131072\n',
  [`${sata}/block/sda/dev`]: '8:0\n',
  [`${sata}/block/sda/sda2/partition`]: '2\n',
  [`${sata}/block/sda/sda2/dev`]: '8:2\n',
  [`${sata}/block/sda/sda2/holders`]: null,
  [`${sata}/block/sda/sda3/partition`]: '3\n',
  [`${sata}/block/sda/sda3/dev`]: '8:3\n',
  [`${sata}/block/sda/sda3/holders/dm-0`]: '→ ../../../../nowhere',
  [`${sata}/vendor`]: 'ATA     \n',
  [`${sata}/model`]: 'QEMU HARDDISK WI\n',
  [`${sata}/wwid`]: 'naa.5000c500a1b2c3d4\n',
  [`${sata}/vpd_pg89`]: identify,
  'dev/disk/by-id/ata-QEMU_x': '→ ../../sda',
  // No /dev/sda: it can't be read.

  'sys/block/loop0/size': '2048\n',
  'sys/block/sr0/size': '2048\n',
  'sys/block/sdz/size': '0\n',

  'sys/class/net/eth0': `→ ../../../${virtioNic}`,
  [`${virtioNic}/address`]: '52:54:00:00:00:01\n',
  [`${virtioNic}/addr_assign_type`]: '0\n',
  [`${virtioNic}/speed`]: '-1\n',
  [`${virtioNic}/carrier`]: '1\n',
  [`${virtioNic}/mtu`]: '1500\n',
  [`${virtioNic}/device`]: '→ ../../../virtio0',
  'sys/devices/pci0000:00/0000:00:02.0/virtio0/driver': '→ ../../../../bus/virtio/drivers/virtio_net',
  'sys/class/net/eth1': `→ ../../../${e1000}`,
  [`${e1000}/address`]: '52:54:00:00:00:02\n',
  [`${e1000}/addr_assign_type`]: '3\n',
  [`${e1000}/speed`]: '1000\n',
  [`${e1000}/device`]: '→ ../../../0000:00:03.0',
  'sys/class/net/lo/address': '00:00:00:00:00:00\n',
};

test('a recorded machine', async () => {
  const { root, remove } = layTree(machine);
  try {
    const printed = JSON.parse(writeInventoryJson(await collectIdle({ root })));
    assert.equal(printed.schema_version, 1);
    assert.deepEqual(printed.boot, {
      boot_id: '11111111-2222-3333-4444-555555555555',
      uptime_ms: 8250,
      kernel: '6.1.0-18-amd64',
      mode: 'uefi',
      boot_mac: '52:54:00:00:00:01',
      cmdline: 'nixie.token=… BOOTIF=01-52-54-00-00-00-01 quiet initrd=initrd',
      virtualisation: 'qemu',
      firmware_bits: 64,
      entry_order: [],
      entries: [],
    });
    assert.deepEqual(printed.system, {
      vendor: 'QEMU',
      product: 'Standard PC (Q35 + ICH9, 2009)',
      uuid: '3b9a1c5e-6c1f-4b8e-9d52-0a1b2c3d4e5f',
      chassis_type: 1,
      bios_date: '2014-04-01',
      compatible: [],
    });
    assert.deepEqual(printed.cpu, {
      vendor: 'GenuineIntel',
      model: 'QEMU Virtual CPU version 2.5+',
      threads: 4,
      online: '0-3',
      flags: ['fpu', 'sse2', 'hypervisor', 'lm'],
      caches: [],
      vulnerabilities: [],
    });
    assert.deepEqual(printed.memory, { usable_bytes: 982_216 * 1024, physical_bytes: 2 * 0x8000000, modules: [] });

    const [vda, nvme0n1, sda] = printed.disks;
    assert.equal(printed.disks.length, 3);
    assert.deepEqual(vda, {
      name: 'vda',
      path: '/dev/vda',
      size_bytes: 67_108_864,
      logical_block_bytes: 512,
      rotational: true,
      removable: false,
      read_only: false,
      transport: 'virtio',
      serial: 'DISK-0001',
      pci_address: '0000:00:05.0',
      by_path: '/dev/disk/by-path/pci-0000:00:05.0',
      by_id: ['/dev/disk/by-id/virtio-DISK-0001'],
      table: 'none',
      partitions: [],
      signatures: [],
      has_data: false,
      in_use: false,
      holders: [],
      mounted_at: [],
      paths: [],
    });
    assert.deepEqual(
      [nvme0n1.transport, nvme0n1.model, nvme0n1.serial, nvme0n1.pci_address, nvme0n1.rotational, nvme0n1.wwn],
      ['nvme-pcie', 'QEMU NVMe Ctrl', 'NVME-7', '0000:00:06.0', false, undefined],
    );
    assert.deepEqual([nvme0n1.table, nvme0n1.has_data, nvme0n1.partitions.length], ['gpt', true, 2]);
    assert.deepEqual(
      [sda.transport, sda.model, sda.serial, sda.wwn, sda.vendor],
      ['sata', 'QEMU HARDDISK WITH A LONG NAME', 'QM00042', '0x5000c500a1b2c3d4', undefined],
    );
    assert.deepEqual(sda.mounted_at, ['/data x', '/mnt', 'swap']);
    assert.deepEqual(sda.holders, ['dm-0']);
    assert.deepEqual([sda.has_data, sda.table], [true, undefined]);
    assert.deepEqual(printed.errors, [
      { section: 'disks', path: '/dev/sda', code: 'no-device-file' },
      { section: 'nics', path: 'ip', code: 'not-recorded' },
    ]);

    assert.deepEqual(printed.nics, [
      {
        name: 'eth0',
        mac: '52:54:00:00:00:01',
        permanent_mac: '52:54:00:00:00:01',
        driver: 'virtio_net',
        pci_address: '0000:00:02.0',
        carrier: true,
        mtu: 1500,
        addresses: [],
        lldp: [],
        booted: true,
      },
      {
        name: 'eth1',
        mac: '52:54:00:00:00:02',
        pci_address: '0000:00:03.0',
        speed_mbps: 1000,
        addresses: [],
        lldp: [],
        booted: false,
      },
    ]);
  } finally {
    remove();
  }
});

test('which card booted is told once it is known', async () => {
  const { root, remove } = layTree(machine);
  try {
    const { nics } = await collectIdle({ root, bootMac: '52:54:00:00:00:02' });
    assert.deepEqual(
      nics.map(({ name, booted }) => [name, booted]),
      [
        ['eth0', false],
        ['eth1', true],
      ],
    );
  } finally {
    remove();
  }
});

test('twice the same machine gives twice the same inventory, and an empty one gives an empty one', async () => {
  const { root, remove } = layTree(machine);
  const nothing = layTree({ 'proc/uptime': 'x' });
  try {
    const timeless = async (at: string) =>
      writeInventoryJson({ ...(await collectIdle({ root: at })), collectedInMs: 0 });
    assert.equal(await timeless(root), await timeless(root));
    const empty = JSON.parse(await timeless(nothing.root));
    assert.deepEqual(
      [empty.disks, empty.nics, empty.errors, empty.system, empty.memory],
      [[], [], [], { compatible: [] }, { modules: [] }],
    );
  } finally {
    remove();
    nothing.remove();
  }
});

test('a disk that hangs costs only what would have been read from it', async () => {
  const { root, remove } = layTree(machine);
  try {
    const errors: ReadError[] = [];
    const began = performance.now();
    const disks = await collectDisks(new Tree(folderSource(root), 'disks', errors), 50, () => new Promise(() => {}));
    assert.ok(performance.now() - began < 30_000);
    assert.deepEqual(
      disks.map(({ name, serial, hasData, table }) => [name, serial, hasData, table]),
      [
        ['vda', 'DISK-0001', undefined, undefined],
        ['nvme0n1', 'NVME-7', undefined, undefined],
        // Its partitions are mounted: that is known without reading it.
        ['sda', 'QM00042', true, undefined],
      ],
    );
    assert.deepEqual([...new Set(errors.map(({ code }) => code))], ['deadline']);
  } finally {
    remove();
  }
});

test('a disk that is shorter than it says is not called blank', async () => {
  const { root, remove } = layTree({ ...machine, 'dev/vda': Buffer.alloc(1 << 20) });
  try {
    const { disks, errors } = await collectIdle({ root });
    assert.equal(disks[0]!.hasData, undefined);
    assert.deepEqual(errors[1], { section: 'disks', path: '/dev/vda', code: 'short-read' });
  } finally {
    remove();
  }
});

test('identities: what is made up or malformed is absent', () => {
  assert.equal(readWwn('naa.5000C500A1B2C3D4'), '0x5000c500a1b2c3d4');
  assert.equal(readWwn('eui.0025385b71b01234'), 'eui.0025385b71b01234');
  assert.equal(readWwn('nvme.1b36-41-42-00000001'), undefined);
  assert.equal(readWwn('t10.ATA QEMU'), undefined);
  assert.equal(readWwn('naa.0000000000000000'), undefined);
  assert.equal(readUnitSerial(Buffer.from([0, 0x80, 0, 4, 0x41, 0x42, 0x43, 0x20, 0x58])), 'ABC');
  assert.equal(readUnitSerial(Buffer.from([0, 0x83, 0, 4, 0x41])), undefined);
  assert.equal(readAtaIdentity(Buffer.alloc(20)), undefined);
});

test("permanent addresses from ip's JSON", () => {
  const json = JSON.stringify([
    { ifname: 'eth0', address: '02:00:00:00:00:01', permaddr: '52:54:00:00:00:09' },
    { ifname: 'eth1', address: '02:00:00:00:00:01' },
    { ifname: 'bad', permaddr: 7 },
    null,
  ]);
  assert.deepEqual([...readPermanent(json)], [['eth0', '52:54:00:00:00:09']]);
  assert.deepEqual([...readPermanent('[{')], []);
  assert.deepEqual([...readPermanent('{"a":1}')], []);
});

test('whose NixOS is on a disk is asked of its file systems only, and not of a disk in use', async () => {
  const partitions: Laid = {};
  for (const number of [1, 2, 3]) partitions[`${nvme}/nvme0n1/nvme0n1p${number}/partition`] = `${number}\n`;
  const { root, remove } = layTree({ ...machine, ...partitions });
  try {
    const asked: string[] = [];
    const findSystem = async (device: string, fs: string) => {
      asked.push(`${device.slice(root.length)} ${fs}`);
      return fs === 'ext4' ? 'web2' : undefined;
    };
    const { disks } = await collectIdle({ root, findSystem });
    assert.deepEqual(
      disks.flatMap(({ name, nixosHost }) => (nixosHost === undefined ? [] : [[name, nixosHost]])),
      [['nvme0n1', 'web2']],
    );
    assert.ok(
      asked.every((each) => /^\/dev\/nvme0n1p\d (vfat|ext4)$/.test(each)),
      asked.join(),
    );
    assert.ok((await collectIdle({ root })).disks.every(({ nixosHost }) => nixosHost === undefined));
  } finally {
    remove();
  }
});
