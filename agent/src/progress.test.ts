import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import type { Progress } from '@nixie/proto/agent';
import type { Clock } from './host.ts';
import { type Landed, readPartitions, watchInstall } from './progress.ts';

/** A clock at each of whose waits the next of them happens; after the last one it is over. */
function happening(happens: (() => void)[], stop: AbortController): Clock {
  return {
    now: () => 0,
    ticks: () => 0,
    random: () => 0,
    sleep: async () => {
      const next = happens.shift();
      if (next === undefined) stop.abort();
      else next();
    },
  };
}

test('partitions of disks that an install writes to, with their sizes; whole disks and memory are none', () => {
  const table = `major minor  #blocks  name

   8        0  488386584 sda
   8        1     524288 sda1
 259        0  500107608 nvme0n1
 259        1    1048576 nvme0n1p1
   7        0     123456 loop0
 253        0     123456 dm-0
 254        2       1000 vda2
   9      127       1000 md127p1
`;
  assert.deepEqual([...readPartitions(table)], ['sda1 524288', 'nvme0n1p1 1048576', 'vda2 1000', 'md127p1 1000']);
  assert.deepEqual([...readPartitions('nonsense\n\u0000')], []);
});

test('what happens to the target is told step by step, once each, and what was there before is not', async () => {
  const root = mkdtempSync(join(tmpdir(), 'nixie-progress-'));
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const head = 'major minor  #blocks  name\n\n';
  put('proc/partitions', `${head} 8 0 100 sda\n 8 1 50 sda1\n`);
  put('run/udev/data/b8:1', 'E:ID_FS_TYPE=ext4\nE:ID_FS_UUID=old\n');
  put('proc/mounts', '');
  mkdirSync(join(root, 'mnt'));
  const happens: (() => void)[] = [
    () => {},
    () => put('proc/partitions', `${head} 8 0 100 sda\n 8 1 20 sda1\n 8 2 80 sda2\n`),
    () => put('run/udev/data/b8:1', 'E:ID_FS_TYPE=vfat\nE:ID_FS_UUID=new\n'),
    () => put('proc/mounts', '/dev/sda2 /mnt ext4 rw 0 0\n'),
    () => put('mnt/boot/EFI/systemd/systemd-bootx64.efi', 'of an earlier system'),
    () => {
      mkdirSync(join(root, 'mnt/nix/var/nix/profiles'), { recursive: true });
      symlinkSync('system-1-link', join(root, 'mnt/nix/var/nix/profiles/system'));
    },
    () => {},
    () => put('proc/mounts', ''),
  ];
  const stop = new AbortController();
  const clock = happening(happens, stop);
  const seen: Progress[] = [];
  try {
    await watchInstall(root, (progress) => seen.push(progress), clock, stop.signal, undefined, 60_000);
  } finally {
    rmSync(root, { recursive: true });
  }
  assert.deepEqual(
    seen.filter(({ step }) => step !== '').map(({ stage, step, note }) => [stage, step, note]),
    [
      ['disko', 'partitioned', 'sda1, sda2'],
      ['disko', 'formatted', 'vfat'],
      ['disko', 'mounted', 'mounted at /mnt: /dev/sda2'],
      ['install', 'profile', 'system-1-link'],
      ['install', 'boot-loader', '/mnt/boot/EFI/systemd'],
      ['install', 'unmounted', '/mnt was unmounted'],
    ],
  );
  const bytes = seen.filter(({ step }) => step === '');
  assert.equal(bytes[0]?.doneBytes, 0n);
  assert.ok(bytes.every(({ stage, totalBytes }) => stage === 'copy' && totalBytes === undefined));
});

test('a target that hangs is looked at once, and all else is told on', async () => {
  const root = mkdtempSync(join(tmpdir(), 'nixie-progress-'));
  mkdirSync(join(root, 'proc'));
  mkdirSync(join(root, 'mnt'));
  const mounts = (text: string) => writeFileSync(join(root, 'proc/mounts'), text);
  mounts('/dev/sda2 /mnt ext4 rw 0 0\n');
  const stop = new AbortController();
  let looks = 0;
  let answer = (_: Landed): void => {};
  const happens: (() => void)[] = [
    () => {},
    () => {},
    () => mounts(''),
    () => mounts('/dev/sda2 /mnt ext4 rw 0 0\n'),
    // Of the mount before.
    () => answer({ profile: 'system-1-link' }),
  ];
  const clock = happening(happens, stop);
  const seen: Progress[] = [];
  const hangs = () => {
    looks += 1;
    return new Promise<Landed>((resolve) => {
      answer = resolve;
    });
  };
  try {
    await watchInstall(root, (progress) => seen.push(progress), clock, stop.signal, hangs, 20);
  } finally {
    rmSync(root, { recursive: true });
  }
  assert.deepEqual(
    seen.flatMap(({ step }) => (step === '' ? [] : [step])),
    ['mounted', 'unmounted', 'mounted'],
  );
  assert.equal(looks, 2);
});
