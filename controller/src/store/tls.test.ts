import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { loadTls, makeTls, readTls } from './tls.ts';

test('valid for every clock there is: 1970 to 9999, P-256, self-signed', async () => {
  const tls = await makeTls();
  const certificate = new X509Certificate(tls.certPem);
  assert.equal(Date.parse(certificate.validFrom), 0);
  assert.equal(Date.parse(certificate.validTo), Date.parse('9999-12-31T23:59:59Z'));
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.ok(certificate.verify(certificate.publicKey));
  assert.match(tls.fingerprint, /^[0-9a-f]{64}$/);
  assert.equal(tls.fingerprint, certificate.fingerprint256.replace(/:/g, '').toLowerCase());
  assert.equal(tls.credentialSecret.length, 32);
});

test('made once, then kept for root alone', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'nixie-tls-'));
  const folder = join(parent, 'state');
  try {
    const first = await loadTls(folder);
    assert.equal(first.made, true);
    assert.deepEqual(readdirSync(folder), ['tls.pem']);
    assert.equal(statSync(join(folder, 'tls.pem')).mode & 0o777, 0o600);
    chmodSync(join(folder, 'tls.pem'), 0o644);
    const second = await loadTls(folder);
    assert.deepEqual({ ...second, made: true }, first);
    assert.equal(statSync(join(folder, 'tls.pem')).mode & 0o777, 0o600);
  } finally {
    rmSync(parent, { recursive: true });
  }
});

test('two that make it at the same time have the same one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const both = await Promise.all([loadTls(folder), loadTls(folder)]);
  const kept = await loadTls(folder);
  assert.deepEqual(
    both.map(({ fingerprint }) => fingerprint),
    [kept.fingerprint, kept.fingerprint],
  );
  assert.deepEqual(both.map(({ made }) => made).sort(), [false, true]);
  assert.deepEqual(readdirSync(folder), ['tls.pem']);
});

test('a damaged file is set aside', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-tls-'));
  try {
    const { fingerprint } = await loadTls(folder);
    const whole = readFileSync(join(folder, 'tls.pem'), 'utf8');
    writeFileSync(join(folder, 'tls.pem'), whole.slice(0, -100));
    const next = await loadTls(folder);
    assert.equal(next.made, true);
    assert.notEqual(next.fingerprint, fingerprint);
    assert.ok(existsSync(next.setAside!));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('key and certificate of two different pairs are refused', async () => {
  const [one, two] = [await makeTls(), await makeTls()];
  assert.throws(() => readTls(one.certPem, two.keyPem), /its key is another one/);
});
