import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { readManifest } from '@nixie/proto/fleet';
import { kernelPlatform, readInstallerFiles, type StoreReader } from './installer.ts';
import { storeReader } from './store-reader.ts';
import type { InstallerParts } from './types.ts';

type Entry = string | { bytes: number } | { link: string };

function fakeStore(files: Record<string, Entry>): StoreReader & { hashed: string[] } {
  const hashed: string[] = [];
  const follow = (path: string): string => {
    const entry = files[path];
    return typeof entry === 'object' && 'link' in entry ? follow(entry.link) : path;
  };
  const find = (path: string): string | { bytes: number } => {
    const entry = files[follow(path)];
    if (entry === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
    return entry as string | { bytes: number };
  };
  return {
    hashed,
    realPath: async (path) => {
      find(path);
      return follow(path);
    },
    linkTarget: async (path) => {
      const entry = files[path];
      return typeof entry === 'object' && 'link' in entry ? entry.link : undefined;
    },
    stat: async (path) => {
      const entry = find(path);
      return { bytes: typeof entry === 'string' ? entry.length : entry.bytes, isFile: true };
    },
    head: async (path, length) => {
      const entry = find(path);
      return typeof entry === 'string' ? new TextEncoder().encode(entry).subarray(0, length) : new Uint8Array(length);
    },
    sha256: async (path) => {
      hashed.push(path);
      return 'ab'.repeat(32);
    },
    chunkHashes: async (path, chunkBytes) => {
      const { bytes } = find(path) as { bytes: number };
      return { sha256: 'cd'.repeat(32), chunks: Array(Math.ceil(bytes / chunkBytes)).fill('ef'.repeat(32)) };
    },
  };
}

const at = (out: string) => ({ drv: `${out}.drv`, out });
const parts: InstallerParts = {
  form: 'parts',
  kernel: at('/k'),
  kernelFile: 'bzImage',
  ramdisk: at('/r'),
  toplevel: at('/t'),
};
const good: Record<string, Entry> = {
  '/k/bzImage': { bytes: 9_000_000 },
  '/r/initrd': { link: '/real/initrd' },
  '/real/initrd': { bytes: 80_000_000 },
  '/t/kernel-params': 'loglevel=4 console=ttyS0,115200\n',
};
const read = (files: Record<string, Entry>, given: InstallerParts = parts, hashes?: Map<string, string>) =>
  readInstallerFiles('x86_64-linux', given, fakeStore(files), hashes);

test('the parts of a configuration', async () => {
  assert.deepEqual(await read(good), {
    system: 'x86_64-linux',
    kernel: { path: '/k/bzImage', bytes: 9_000_000, sha256: 'ab'.repeat(32) },
    initrd: { path: '/real/initrd', bytes: 80_000_000, sha256: 'ab'.repeat(32) },
    commandLine: ['init=/t/init', 'loglevel=4', 'console=ttyS0,115200'],
    warnings: [],
  });
});

const bundle: InstallerParts = { form: 'bundle', bundle: at('/b') };
const bundled: Record<string, Entry> = {
  '/b/kernel': { bytes: 1 },
  '/b/initrd': { bytes: 1 },
  '/b/kernel-params': 'quiet',
  '/b/init': { link: '/t/init' },
  // Only one link is followed: the system is found by the folder of its init.
  '/t/init': { link: '/deeper/init' },
};

test('a bundle, whose init is a link or holds the path', async () => {
  const first = await read(bundled, bundle);
  assert.deepEqual(first.commandLine, ['init=/t/init', 'quiet']);
  assert.match(first.warnings.join(), /only 1 bytes/);
  assert.deepEqual(
    (await read({ ...bundled, '/b/init': '/nix/store/x/init\n' }, bundle)).commandLine[0],
    'init=/nix/store/x/init',
  );
  await assert.rejects(
    read({ ...bundled, '/b/init': '#!/bin/sh' }, bundle),
    /neither a link to a system's init nor holds its path/,
  );
});

test('a bundle with an image: its manifest says all that is to be fetched', async () => {
  const files = { ...bundled, '/b/image': { link: '/real/image' }, '/real/image': { bytes: 3_000_000 } };
  const { image } = await read(files, bundle);
  assert.deepEqual(image?.file, { path: '/real/image', bytes: 3_000_000, sha256: 'cd'.repeat(32) });
  const manifest = readManifest(image.manifest.text);
  assert.deepEqual(manifest, { sha256: 'cd'.repeat(32), bytes: 3_000_000, chunks: Array(3).fill('ef'.repeat(32)) });
  assert.equal(createHash('sha256').update(image.manifest.text).digest('hex'), image.manifest.sha256);
  assert.equal((await read(bundled, bundle)).image, undefined);
  await assert.rejects(read({ ...files, '/real/image': '' }, bundle), /image: \/b\/image is empty/);
});

const refused: [string, Record<string, Entry>, RegExp][] = [
  [
    'an initrd of 2 GiB',
    { '/real/initrd': { bytes: 2 ** 31 } },
    /initrd \/real\/initrd has 2\.15 GB: iPXE cannot load 2 GiB/,
  ],
  ['an empty kernel', { '/k/bzImage': '' }, /kernel: \/k\/bzImage is empty/],
  ['an empty initrd', { '/real/initrd': '' }, /initrd: .* is empty/],
  ['an initrd that leads nowhere', { '/r/initrd': { link: '/gone' } }, /initrd: cannot read \/r\/initrd/],
  [
    'an arm kernel',
    { '/k/bzImage': `${'\0'.repeat(0x38)}ARMd` },
    /kernel \/k\/bzImage is for aarch64-linux, the installer is for x86_64/,
  ],
  [
    'a command line without room',
    { '/t/kernel-params': 'x'.repeat(1_700) },
    /command line has 1713 bytes: at most 1647/,
  ],
];
for (const [name, files, want] of refused) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(read({ ...good, ...files }), want);
  });
}

test('one byte less than 2 GiB is served', async () => {
  assert.equal((await read({ ...good, '/real/initrd': { bytes: 2 ** 31 - 1 } })).initrd.bytes, 2 ** 31 - 1);
});

test('a file is hashed once', async () => {
  const store = fakeStore(good);
  const hashes = new Map<string, string>();
  await readInstallerFiles('x86_64-linux', parts, store, hashes);
  await readInstallerFiles('x86_64-linux', parts, store, hashes);
  assert.deepEqual(store.hashed, ['/k/bzImage', '/real/initrd']);
});

test('a kernel tells its platform by its header', () => {
  const head = new Uint8Array(0x210);
  assert.equal(kernelPlatform(head), undefined);
  head.set(new TextEncoder().encode('HdrS'), 0x202);
  assert.equal(kernelPlatform(head), 'x86_64-linux');
  assert.equal(kernelPlatform(new Uint8Array(4)), undefined);
});

test('files on the disk', async () => {
  const box = mkdtempSync(join(tmpdir(), 'nixie-installer-'));
  try {
    writeFileSync(join(box, 'a'), 'abc');
    symlinkSync('a', join(box, 'link'));
    const store = storeReader();
    assert.equal(await store.linkTarget(join(box, 'link')), 'a');
    assert.equal(await store.linkTarget(join(box, 'a')), undefined);
    assert.match(await store.realPath(join(box, 'link')), /\/a$/);
    assert.deepEqual(await store.stat(join(box, 'link')), { bytes: 3, isFile: true });
    assert.deepEqual([...(await store.head(join(box, 'a'), 2))], [97, 98]);
    assert.equal((await store.head(join(box, 'a'), 99)).length, 3);
    assert.equal(
      await store.sha256(join(box, 'a')),
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    await assert.rejects(store.linkTarget(join(box, 'none')), /ENOENT/);
  } finally {
    rmSync(box, { recursive: true });
  }
});
