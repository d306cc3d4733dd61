import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { installRunning, landedBytes, readMounts } from './mounts.ts';

function tree(): { root: string; mounts(text: string): void; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'nixie-mounts-'));
  mkdirSync(join(root, 'proc/1'), { recursive: true });
  mkdirSync(join(root, 'mnt/nix'), { recursive: true });
  writeFileSync(join(root, 'proc/1/comm'), 'systemd\n');
  return {
    root,
    mounts: (text) => writeFileSync(join(root, 'proc/mounts'), text),
    remove: () => rmSync(root, { recursive: true }),
  };
}

test('names with blanks', () => {
  assert.deepEqual(readMounts('/dev/sda1 /mnt/a\\040b\\134 ext4 rw 0 0\n\nbroken'), [
    { device: '/dev/sda1', at: '/mnt/a b\\', type: 'ext4' },
  ]);
});

test('an install is running while something is mounted below /mnt or one of its programs runs', () => {
  const { root, mounts, remove } = tree();
  try {
    assert.equal(installRunning(root), false);
    mounts('tmpfs / tmpfs rw 0 0\n/dev/vda1 /mntx ext4 rw 0 0\n');
    assert.equal(installRunning(root), false);
    mkdirSync(join(root, 'proc/77'));
    writeFileSync(join(root, 'proc/77/comm'), 'nixos-install\n');
    assert.equal(installRunning(root), true);
    rmSync(join(root, 'proc/77'), { recursive: true });
    mounts('/dev/vda1 /mnt/boot vfat rw 0 0\n');
    assert.equal(installRunning(root), true);
  } finally {
    remove();
  }
});

test('bytes are asked of each device once, and of none when nothing is mounted', async () => {
  const { root, mounts, remove } = tree();
  const asked: string[] = [];
  const ask = async (path: string) => {
    asked.push(path.slice(root.length));
    return { blocks: 10, bfree: 4, bsize: 512 };
  };
  const landed = () => landedBytes(root, 60_000, ask);
  try {
    mounts('proc /mnt/proc proc rw 0 0\n');
    assert.equal(await landed(), undefined);
    mounts('/dev/vda2 /mnt ext4 rw 0 0\n/dev/vda2 /mnt/nix ext4 rw 0 0\n');
    assert.equal(await landed(), 3072);
    mounts('/dev/vda2 /mnt ext4 rw 0 0\n/dev/vda3 /mnt/nix ext4 rw 0 0\n');
    assert.equal(await landed(), 2 * 3072);
    assert.deepEqual(asked, ['/mnt/nix', '/mnt', '/mnt/nix']);
    // As the kernel answers.
    assert.ok((await landedBytes(root, 60_000))! > 0);
  } finally {
    remove();
  }
});

test('a file system that does not answer is asked once, however often it is looked at', async () => {
  const { root, mounts, remove } = tree();
  try {
    mounts('/dev/vda2 /mnt ext4 rw 0 0\n');
    let asked = 0;
    let answer = (_: { blocks: number; bfree: number; bsize: number }): void => {};
    const ask = () => {
      asked += 1;
      return new Promise<{ blocks: number; bfree: number; bsize: number }>((resolve) => {
        answer = resolve;
      });
    };
    for (let look = 0; look < 5; look += 1) assert.equal(await landedBytes(root, 1, ask), undefined);
    assert.equal(asked, 1);
    answer({ blocks: 10, bfree: 4, bsize: 512 });
    const late = landedBytes(root, 60_000, ask);
    assert.equal(await late, 3072);
    const next = landedBytes(root, 60_000, ask);
    assert.equal(asked, 2);
    answer({ blocks: 10, bfree: 3, bsize: 512 });
    assert.equal(await next, 3584);
  } finally {
    remove();
  }
});
