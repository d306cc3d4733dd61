import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { loadIdentity } from './identity.ts';

test('signs for one session; key and credential outlive the process but neither the boot nor the controller', () => {
  const parent = mkdtempSync(join(tmpdir(), 'nixie-identity-'));
  const folder = join(parent, 'run');
  try {
    const first = loadIdentity(folder, 'boot-1', 'f1');
    const key = createPublicKey({ key: first.publicKey, format: 'der', type: 'spki' });
    assert.equal(key.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    assert.ok(verify('sha256', Buffer.from('nixie-session\ncred\nboot-1\n5'), key, first.sign('cred', 5)));
    first.keep({ credential: 'cred', host: 'h', heartbeatMs: 1 });
    assert.equal(statSync(join(folder, 'agent.json')).mode & 0o777, 0o600);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(folder), ['agent.json']);

    const again = loadIdentity(folder, 'boot-1', 'f1');
    assert.deepEqual(again.publicKey, first.publicKey);
    assert.equal(again.credential?.credential, 'cred');
    for (const [boot, fingerprint] of [
      ['boot-2', 'f1'],
      ['boot-2', 'f2'],
    ] as const) {
      const other = loadIdentity(folder, boot, fingerprint);
      assert.notDeepEqual(other.publicKey, first.publicKey);
      assert.equal(other.credential, undefined);
    }
    writeFileSync(join(folder, 'agent.json'), '{"half');
    assert.equal(loadIdentity(folder, 'boot-2', 'f2').credential, undefined);
  } finally {
    rmSync(parent, { recursive: true });
  }
});
