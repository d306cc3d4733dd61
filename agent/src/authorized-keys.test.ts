import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { installKeys, isKeyLine, mergeKeys } from './authorized-keys.ts';

const key = (letter: string): string => `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${letter.repeat(43)} key-${letter}`;

test('key lines are recognised, with options too; nothing else gets in', () => {
  for (const line of [
    key('a'),
    `command="/run/proof \\"x\\"",restrict ${key('b')}`,
    'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA= x',
    'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB',
  ])
    assert.ok(isKeyLine(line), line);
  for (const line of [
    '',
    '# comment',
    'root::0:0',
    `${key('a')}\nssh-rsa x`,
    'ssh-ed25519 short',
    `\x1b[31m${key('a')}`,
  ])
    assert.ok(!isKeyLine(line), line);
});

test("the image's keys stay, those of an earlier registration go, and doing it again changes nothing", () => {
  const first = mergeKeys(`${key('i')}\n`, [key('a'), key('b'), 'nonsense']);
  assert.deepEqual(first.trimEnd().split('\n'), [
    key('i'),
    '# handed over by the controller at registration',
    key('a'),
    key('b'),
  ]);
  assert.equal(mergeKeys(first, [key('a'), key('b')]), first);
  const second = mergeKeys(first, [key('c'), key('i')]);
  assert.deepEqual(second.trimEnd().split('\n'), [
    key('i'),
    '# handed over by the controller at registration',
    key('c'),
  ]);
});

test('file and folder are for root alone, also when they were not before', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-keys-'));
  try {
    const file = join(folder, '.ssh/authorized_keys');
    assert.deepEqual(installKeys(file, [key('a'), 'odd']), ['odd']);
    mkdirSync(join(folder, 'wide'), { mode: 0o755 });
    const wide = join(folder, 'wide/authorized_keys');
    writeFileSync(wide, `${key('i')}\n`, { mode: 0o644 });
    chmodSync(wide, 0o644);
    installKeys(wide, [key('a')]);
    for (const made of [file, wide]) {
      assert.equal(statSync(made).mode & 0o777, 0o600);
      assert.equal(statSync(join(made, '..')).mode & 0o777, 0o700);
      assert.ok(readFileSync(made, 'utf8').includes(key('a')));
    }
    assert.ok(readFileSync(wide, 'utf8').startsWith(key('i')));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('many keys are merged in linear time', () => {
  const key = (index: number): string => `ssh-ed25519 ${'A'.repeat(60)}${String(index).padStart(8, '0')}`;
  const before = Array.from({ length: 30_000 }, (_, index) => key(index)).join('\n');
  const lines = Array.from({ length: 30_000 }, (_, index) => key(index + 15_000));
  const began = process.cpuUsage();
  assert.equal(mergeKeys(before, lines).split('\n').length, 30_000 + 1 + 15_000 + 1);
  // Of the processor's time: others may be at work as well.
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 5_000_000, `${user + system} µs`);
});
