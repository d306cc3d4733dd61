import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { readKeyFile } from './ssh-key.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

test('keys of ssh-keygen in every format: kind, public half and passphrase are seen', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const kinds: readonly [name: string, passphrase: string, args: readonly string[]][] = [
    ['ed25519', '', ['-t', 'ed25519']],
    ['ed25519-locked', 'secret', ['-t', 'ed25519', '-a', '1']],
    ['ecdsa', '', ['-t', 'ecdsa', '-b', '384']],
    ['ecdsa-pem', '', ['-t', 'ecdsa', '-m', 'PEM']],
    ['rsa-pem', '', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
    ['rsa-pem-locked', 'secret', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
    ['rsa-pkcs8', '', ['-t', 'rsa', '-b', '2048', '-m', 'PKCS8']],
    ['rsa-pkcs8-locked', 'secret', ['-t', 'rsa', '-b', '2048', '-m', 'PKCS8']],
  ];
  for (const [name, passphrase, args] of kinds) {
    const file = join(folder, name);
    execFileSync('ssh-keygen', ['-q', '-N', passphrase, '-C', 'me@here', '-f', file, ...args]);
    const line = readFileSync(`${file}.pub`, 'utf8');
    const publicKey = line.split(' ').slice(0, 2).join(' ');
    assert.deepEqual(readKeyFile(bytesOf(line)), { ok: true, kind: 'public', publicKey }, `${name}.pub`);
    const key = readKeyFile(readFileSync(file));
    if (passphrase === '') assert.deepEqual(key, { ok: true, kind: 'private', publicKey }, name);
    else assert.ok(!key.ok && /with a passphrase/.test(key.found) && /ssh-agent/.test(key.accepted), name);
  }
});

test('an Ed25519 key in PKCS8', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const read = readKeyFile(bytesOf(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string));
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  assert.ok(read.ok);
  assert.ok(Buffer.from(read.publicKey.split(' ')[1]!, 'base64').subarray(-32).equals(raw));
});

test('what is no key is named', () => {
  const table: readonly [given: string, found: RegExp][] = [
    ['', /empty file/],
    ['hello', /something that is no key/],
    ['ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==', /something that is no key/], // says RSA, holds Ed25519
    ['PuTTY-User-Key-File-3: ssh-ed25519\n', /key of PuTTY/],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /kind CERTIFICATE/],
    ['-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----', /damaged/],
    ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----', /damaged/],
  ];
  for (const [given, found] of table) {
    const key = readKeyFile(bytesOf(given));
    assert.ok(!key.ok, given);
    assert.match(key.found, found);
  }
});

test('never throws, whatever stands inside the armour', () => {
  const label = fc.constantFrom('OPENSSH PRIVATE KEY', 'PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY');
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.uint8Array({ maxLength: 60 }).map((rest) => Uint8Array.from([...bytesOf('openssh-key-v1\0'), ...rest])),
  );
  fc.assert(
    fc.property(label, body, (name, bytes) => {
      const text = `-----BEGIN ${name}-----\n${Buffer.from(bytes).toString('base64')}\n-----END ${name}-----\n`;
      assert.equal(typeof readKeyFile(bytesOf(text)).ok, 'boolean');
    }),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readKeyFile(bytes)));
});
