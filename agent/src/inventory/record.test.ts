import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { collectIdle } from './collect-idle.ts';
import { type Laid, layTree } from './lay-tree.ts';
import { recordMachine } from './record-machine.ts';
import { recordedSource } from './recorded.ts';
import { folderSource, type Source } from './source.ts';

const nic = 'sys/devices/pci0000:00/0000:00:02.0/net/eth0';
const machine: Laid = {
  'proc/cmdline': `nixie.token=${'ab'.repeat(16)} quiet\n`,
  'proc/uptime': '8.25 3.00\n',
  'proc/self': '→ 77',
  'proc/77/mountinfo': '21 1 0:20 / / rw - tmpfs tmpfs rw\n',
  'proc/device-tree': '→ sys-of-another-name',
  'proc/sys-of-another-name/model': 'Board\0',
  'sys/class/net/eth0': `→ ../../../${nic}`,
  [`${nic}/address`]: '52:54:00:00:00:01\n',
  [`${nic}/speed`]: '1000\n',
  [`${nic}/device`]: '→ ../../../0000:00:02.0',
  'sys/devices/pci0000:00/0000:00:02.0/vendor': '0x8086\n',
  'sys/bus/pci/devices/0000:00:02.0': '→ ../../../devices/pci0000:00/0000:00:02.0',
  'sys/block/sda/size': '4096\n',
  'sys/block/sda/device/vendor': 'ACME\n',
  'dev/sda': Buffer.alloc(4096 * 512, 1),
  'etc/shadow': 'root:secret',
};

/** A machine with programs and broken files, so far as a test can have them. */
function live(root: string): Source {
  const folder = folderSource(root);
  return {
    ...folder,
    arch: () => 'x86_64',
    now: () => 1_700_000_000_000,
    addresses: () => new Map([['eth0', ['10.0.0.1/24']]]),
    run: async (argv) =>
      argv[0] === 'ip'
        ? { code: 0, stdout: '[{"ifname":"eth0","permaddr":"52:54:00:00:00:09"}]', stderr: '' }
        : argv[0] === 'ethtool'
          ? { code: undefined, stdout: '', stderr: '', why: 'deadline' }
          : { code: undefined, stdout: '', stderr: '', why: 'ENOENT' },
    read: async (path) => {
      if (path === '/sys/block/sda/ro') throw Object.assign(new Error(path), { code: 'EIO' });
      return folder.read(path);
    },
  };
}

test('a recorded machine says the same again, and holds no more than what was read', async () => {
  const { root, remove } = layTree(machine);
  const folder = mkdtempSync(join(tmpdir(), 'nixie-record-'));
  try {
    const into = join(folder, 'new');
    const said = await recordMachine(live(root), into, Buffer.from('{"version":1}'));
    assert.match(said.join('\n'), /recorded 1 disks, 1 network cards and 1 PCI/);
    assert.match(said.join('\n'), /serial numbers/);
    const timeless = (text: string) => text.replace(/"collected_in_ms": \d+/, '');
    const told = readFileSync(join(into, 'inventory.json'), 'utf8').trimEnd();
    const again = writeInventoryJson(await collectIdle({ root: into, depth: 'full' }));
    assert.equal(timeless(again), timeless(told));

    const inventory = JSON.parse(told);
    assert.deepEqual(
      [inventory.nics[0].permanent_mac, inventory.nics[0].addresses, inventory.nics[0].vendor_id],
      ['52:54:00:00:00:09', ['10.0.0.1/24'], '8086'],
    );
    assert.deepEqual([inventory.disks[0].has_data, inventory.disks[0].vendor], [true, 'ACME']);
    assert.deepEqual(
      inventory.errors.map(({ path, code }: { path: string; code: string }) => `${path} ${code}`),
      ['/sys/block/sda/ro EIO', 'smartctl not-installed', 'ethtool -i eth0 deadline', 'lldpcli not-installed'],
    );
    // Not the disk's bytes, nothing that wasn't asked for, and no token.
    assert.ok(!existsSync(join(into, 'dev/sda')) && !existsSync(join(into, 'etc')));
    assert.match(readFileSync(join(into, 'proc/cmdline'), 'utf8'), /^nixie\.token=… quiet/);
    assert.equal(readFileSync(join(into, 'facter.json'), 'utf8'), '{"version":1}');
    assert.ok(lstatSync(join(into, 'sys/class/net/eth0')).isSymbolicLink());
    assert.match(readFileSync(join(into, 'nixie-record.json'), 'utf8'), /"note": "The serial numbers/);
    await assert.rejects(recordMachine(live(root), into), /not empty/);
  } finally {
    remove();
    rmSync(folder, { recursive: true });
  }
});

test('a folder that can not be made is told, and tried once', async () => {
  const { root, remove } = layTree(machine);
  try {
    // Node's own way to make folders begins anew there, for ever.
    await assert.rejects(recordMachine(live(root), '/proc/nixie-test/below'), /--record .*: .*\/proc\/nixie-test/);
    await assert.rejects(recordMachine(live(root), join(root, 'proc/cmdline')), /--record .*cmdline/);
    await assert.rejects(recordMachine(live(root), join(root, 'proc/cmdline/below')), /--record .*below/);
  } finally {
    remove();
  }
});

test('no link of a tree leads out of it, and what is no tree is refused', async () => {
  const { root, remove } = layTree({ 'sys/class/dmi/id/sys_vendor': '→ /etc/hostname', 'nixie-record.json': '{' });
  try {
    const errors = (await collectIdle({ root, source: folderSource(root) })).errors;
    assert.deepEqual(
      errors.find(({ section }) => section === 'system'),
      { section: 'system', path: '/sys/class/dmi/id/sys_vendor', code: 'outside' },
    );
    assert.throws(() => recordedSource(root), /nixie-record.json/);
    assert.throws(() => recordedSource(join(root, 'nothing')), /--root .*: found no folder/);
  } finally {
    remove();
  }
});
