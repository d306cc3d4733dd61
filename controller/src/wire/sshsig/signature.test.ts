import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { decodeSshsig, SshsigError, signedBytes } from './signature.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-sshsig-'));
test.after(() => rmSync(folder, { recursive: true }));
const sign = (type: string, ...more: string[]) => {
  const file = join(folder, `${type}-${more.length}`);
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', file]);
  const text = execFileSync('ssh-keygen', ['-Y', 'sign', '-q', '-n', 'ns', ...more, '-f', file], {
    input: 'hello\n',
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return { text, publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
};
const good = sign('ed25519');

test('what ssh-keygen signs is read, and verifies', () => {
  for (const { text, publicKey } of [good, sign('ed25519', '-O', 'hashalg=sha256')]) {
    const read = decodeSshsig(text);
    assert.equal(read.publicKey, publicKey);
    assert.equal(read.namespace, 'ns');
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(read.key).toString('base64url') },
      format: 'jwk',
    });
    const signed = (text: string) => signedBytes(read, createHash(read.hash).update(text).digest());
    assert.equal(verify(null, signed('hello\n'), key, read.signature), true);
    assert.equal(verify(null, signed('hallo\n'), key, read.signature), false);
  }
});

test('other keys, damage and other text are refused', () => {
  assert.throws(() => decodeSshsig(sign('rsa').text), SshsigError);
  for (const text of ['', 'x'.repeat(5000), good.text.slice(10), good.text.replace('U1NI', 'U1NJ'), `${good.text}x`])
    assert.throws(() => decodeSshsig(text), SshsigError);
});

test('any bytes give a signature or the one error', () => {
  const wrapped = (bytes: Uint8Array) =>
    `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(bytes).toString('base64')}\n-----END SSH SIGNATURE-----\n`;
  const whole = Buffer.from(good.text.split('\n').slice(1, -2).join(''), 'base64');
  const damaged = fc.tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length)).map(([at, value, end]) => {
    const copy = Buffer.from(whole);
    copy[at] = value;
    return wrapped(copy.subarray(0, Math.max(1, end)));
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.uint8Array({ minLength: 1 }).map(wrapped), damaged), (text) => {
      try {
        assert.equal(decodeSshsig(text).signature.length, 64);
      } catch (error) {
        assert.ok(error instanceof SshsigError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
