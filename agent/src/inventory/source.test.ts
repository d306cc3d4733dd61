// A tree that somebody else made: what lies in it is read only where it is a file of a bearable size, and inside.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { collectInventory } from './collect.ts';
import { laptop } from './fixtures/laptop.ts';
import { layTree } from './lay-tree.ts';
import { recordedSource } from './recorded.ts';
import { folderSource } from './source.ts';

test('a pipe, a file of a gigabyte and a loop of links cost their field and nothing else', async () => {
  const { root, remove } = layTree(laptop);
  const vendor = join(root, 'sys/class/dmi/id/sys_vendor');
  const pipe = join(root, 'sys/class/dmi/id/board_vendor');
  try {
    const before = await collectInventory({ root, depth: 'full' });
    rmSync(vendor);
    symlinkSync('sys_vendor', vendor);
    rmSync(pipe, { force: true });
    execFileSync('mkfifo', [pipe]);
    for (const file of ['proc/meminfo', 'proc/cpuinfo']) truncateSync(join(root, file), 1 << 30);
    const after = await collectInventory({ root, depth: 'full', sectionMs: 30_000 });
    const told = after.errors.map(({ section, path, code }) => `${section} ${path} ${code}`);
    for (const each of [
      'boot /sys/class/dmi/id/sys_vendor ELOOP',
      'system /sys/class/dmi/id/board_vendor no-file',
      'memory /proc/meminfo too-large',
      'cpu /proc/cpuinfo too-large',
    ])
      assert.ok(told.includes(each), `${each}: ${told.join('; ')}`);
    assert.ok(!told.some((each) => each.endsWith('deadline')), told.join('; '));
    assert.equal(after.system?.vendor, undefined);
    assert.equal(after.system?.product, before.system?.product);
    assert.equal(after.memory?.usableBytes, undefined);
    assert.deepEqual(after.memory?.modules, before.memory?.modules);
    assert.equal(after.cpu?.online, before.cpu?.online);
  } finally {
    remove();
  }
});

test('a disk that leads out of the tree is not looked at', async () => {
  const { root, remove } = layTree({ 'sys/block/sda/size': '8\n', 'dev/sda': '→ /dev/zero' });
  try {
    const { disks, errors } = await collectInventory({ root, source: folderSource(root) });
    assert.deepEqual(
      disks.map(({ path, hasData, table }) => ({ path, hasData, table })),
      [{ path: '/dev/sda', hasData: undefined, table: undefined }],
    );
    assert.ok(errors.some(({ path, code }) => path === '/dev/sda' && code === 'outside'));
  } finally {
    remove();
  }
});

test('a record that is none is refused by its name', () => {
  const { root, remove } = layTree({ 'nixie-record.json': 'null\n' });
  try {
    assert.throws(() => recordedSource(root), /^Error: read .*nixie-record\.json: found no object/);
    rmSync(join(root, 'nixie-record.json'));
    execFileSync('mkfifo', [join(root, 'nixie-record.json')]);
    assert.throws(() => recordedSource(root), /^Error: read .*nixie-record\.json: it is no file/);
    rmSync(join(root, 'nixie-record.json'));
    writeFileSync(join(root, 'nixie-record.json'), '{}');
    assert.equal(recordedSource(root).arch(), undefined);
  } finally {
    remove();
  }
});
