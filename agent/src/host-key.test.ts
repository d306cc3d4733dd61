import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Clock } from './host.ts';
import { awaitHostKey, readHostKey } from './host-key.ts';

const blob = `AAAAC3NzaC1lZDI1NTE5AAAAI${'x'.repeat(43)}`;

test('the comment goes, anything that is no key is no key', () => {
  assert.equal(readHostKey(`ssh-ed25519 ${blob} root@installer\n`), `ssh-ed25519 ${blob}`);
  assert.equal(readHostKey(`ssh-ed25519 ${blob}`), `ssh-ed25519 ${blob}`);
  for (const text of ['', 'ssh-ed25519 ', `ssh-ed25519 ${blob.slice(0, 20)}`, `ssh-ed25519 ${blob}\nssh-rsa ${blob}\n`])
    assert.equal(readHostKey(text), undefined, JSON.stringify(text));
});

test('waits until the key is whole, and not for ever', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-hostkey-'));
  const file = join(folder, 'key.pub');
  let ticks = 0;
  const steps = ['', `ssh-ed25519 ${blob.slice(0, 10)}`, `ssh-ed25519 ${blob} me\n`];
  const clock: Clock = {
    now: () => 0,
    ticks: () => ticks,
    random: () => 0,
    sleep: async (ms) => {
      ticks += ms;
      const text = steps.shift();
      if (text !== undefined) writeFileSync(file, text);
    },
  };
  try {
    assert.equal(await awaitHostKey(file, clock, 10_000), `ssh-ed25519 ${blob}`);
    assert.equal(ticks, 600);
    assert.equal(await awaitHostKey(join(folder, 'never'), clock, 10_000), undefined);
    assert.equal(ticks, 10_600);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
