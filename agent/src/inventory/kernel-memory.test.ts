import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { looksAtOnce, readNow, readsAtOnce } from './kernel-memory.ts';

test('what asks a driver, a device or the firmware is never read at once', () => {
  const slow = [
    '/sys/class/net/eth0/speed',
    '/sys/class/net/eth0/carrier',
    '/sys/class/net/eth0/duplex',
    '/sys/class/net/eth0/phys_port_name',
    '/sys/block/vda/serial',
    '/sys/block/sda/device/vpd_pg80',
    '/sys/block/sda/device/wwid',
    '/sys/block/nvme0n1/wwid',
    '/sys/firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c',
    '/sys/class/hwmon/hwmon0/temp1_input',
    '/sys/bus/pci/devices/0000:00:01.0/vpd',
    '/sys/bus/pci/devices/0000:00:01.0/config',
    '/dev/sda',
    '/dev/kmsg',
    '/proc/net/bonding/bond0',
    '/proc/cmdline/../kmsg',
    '/etc/passwd',
  ];
  assert.deepEqual(slow.filter(readsAtOnce), []);
  const now = ['/proc/cpuinfo', '/sys/class/dmi/id/sys_vendor', '/sys/block/sda/size', '/sys/class/net/eth0/address'];
  assert.deepEqual(now.filter(readsAtOnce), now);
  assert.deepEqual(['/sys', '/sys/block', '/dev/disk/by-id', '/mnt', '/systems', '/run/udev'].filter(looksAtOnce), [
    '/sys',
    '/sys/block',
    '/dev/disk/by-id',
  ]);
});

test('a file is read whole, however long; one that is not there throws as the system says', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-memory-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const length of [0, 1, 65_535, 65_536, 200_000]) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255));
    writeFileSync(join(folder, 'file'), bytes);
    assert.ok(readNow(join(folder, 'file')).equals(bytes), `${length} bytes`);
  }
  assert.deepEqual(readNow('/proc/cmdline'), readFileSync('/proc/cmdline'));
  assert.throws(() => readNow(join(folder, 'none')), { code: 'ENOENT' });
});
