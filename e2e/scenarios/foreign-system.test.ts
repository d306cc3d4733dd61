// Whose NixOS is on a disk is found on real file systems, and not one byte of them changes: not even where the journal has something to replay.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { nixosOn } from '../../agent/src/inventory/foreign-system.ts';
import { run } from '../lab/child.ts';
import { needPrograms, needRoot, skipUnless } from '../lab/need.ts';

const needLoop = () => {
  try {
    execFileSync('losetup', ['--find'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'needs loop devices';
  }
};
const skip = skipUnless(
  needRoot,
  needPrograms(['unshare', 'mount', 'losetup', 'mkfs.ext4', 'debugfs', 'dumpe2fs']),
  needLoop,
);
const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

test('the NixOS on a disk is named without a write to it', { skip, timeout: 300_000 }, async () => {
  const box = mkdtempSync(join(tmpdir(), 'nixie-foreign-'));
  try {
    const image = join(box, 'disk');
    const tree = join(box, 'tree');
    mkdirSync(join(tree, 'etc'), { recursive: true });
    writeFileSync(join(tree, 'etc/NIXOS'), '');
    writeFileSync(join(tree, 'etc/hostname'), 'web2\n');
    writeFileSync(image, '');
    truncateSync(image, 32 << 20);
    execFileSync('mkfs.ext4', ['-q', '-d', tree, image]);
    const clean = hashOf(image);
    assert.equal(await nixosOn(image, 'ext4'), 'web2');
    assert.equal(hashOf(image), clean);

    // A transaction that was committed to the journal and never written to its place: what a power cut leaves.
    const block = join(box, 'block');
    writeFileSync(block, Buffer.alloc(4096, 0x42));
    const size = /Block size:\s+(\d+)/.exec((await run(['dumpe2fs', '-h', image])).stdout)?.[1];
    const free = Math.floor((24 << 20) / Number(size));
    writeFileSync(join(box, 'orders'), `journal_open\njournal_write -b ${free} ${block}\njournal_close\n`);
    await run(['debugfs', '-w', '-f', join(box, 'orders'), image]);
    assert.match((await run(['dumpe2fs', '-h', image])).stdout, /needs_recovery/);
    const dirty = hashOf(image);
    assert.equal(await nixosOn(image, 'ext4'), 'web2');
    assert.equal(hashOf(image), dirty, 'the journal was replayed');

    // A file system that is none, and a name that nothing knows.
    assert.equal(await nixosOn(image, 'xfs'), undefined);
    assert.equal(await nixosOn(image, 'zfs_member'), undefined);
    assert.equal(hashOf(image), dirty);
    const loops = (await run(['losetup', '--list', '--noheadings', '--output', 'BACK-FILE'])).stdout;
    assert.ok(!loops.includes(image), 'a loop device stayed');
  } finally {
    rmSync(box, { recursive: true, force: true });
  }
});
