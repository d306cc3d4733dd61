import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { NarTooLarge, narOf } from './nar.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-nar-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const words = (bytes: Buffer): string[] => {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    found.push(bytes.toString('latin1', at + 8, at + 8 + length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return found;
};

test('a file, a program, a link and a folder, in the order of their bytes', async () => {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'b'), { recursive: true });
  writeFileSync(join(tree, 'B'), 'text');
  writeFileSync(join(tree, 'é'), '');
  writeFileSync(join(tree, 'b/run'), '#!/bin/sh\n');
  chmodSync(join(tree, 'b/run'), 0o755);
  symlinkSync('/etc/shadow', join(tree, 'a'));
  const made = await narOf(tree, 10_000);
  const entry = (name: string, ...node: string[]) => [
    'entry',
    '(',
    'name',
    name,
    'node',
    '(',
    'type',
    ...node,
    ')',
    ')',
  ];
  assert.deepEqual(words(made), [
    ...['nix-archive-1', '(', 'type', 'directory'],
    ...entry('B', 'regular', 'contents', 'text'),
    ...entry('a', 'symlink', 'target', '/etc/shadow'),
    ...entry('b', 'directory', ...entry('run', 'regular', 'executable', '', 'contents', '#!/bin/sh\n')),
    ...entry(Buffer.from('é').toString('latin1'), 'regular', 'contents', ''),
    ')',
  ]);
  // What nix-store --dump makes of the same tree.
  assert.equal(
    createHash('sha256').update(made).digest('hex'),
    '09aa41022551059454a584ee469f34935ddb9b6c81c1b9a3d82ea10f82e3be92',
  );
  assert.equal(made.length % 8, 0);
});

test('more than was agreed is an error, before it is read', async () => {
  const file = join(folder, 'large');
  writeFileSync(file, Buffer.alloc(5000));
  await assert.rejects(narOf(file, 4000), NarTooLarge);
  await assert.rejects(narOf(join(folder, 'none'), 4000), /ENOENT/);
});
