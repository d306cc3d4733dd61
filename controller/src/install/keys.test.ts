import assert from 'node:assert/strict';
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
import test, { after } from 'node:test';
import { makeRunFolder } from './folders.ts';
import { copyKey, installedHostKey, keygen, makeKey, onlyKey, proofKey, readKey } from './keys.ts';
import { proofCommand, proofLine, stageExtraFiles } from './staging.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-keys-'));
after(() => rmSync(folder, { recursive: true }));
const run = keygen('/usr/bin:/bin');
const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8);

test('a key of a run: ed25519, private, no passphrase', async () => {
  const key = await makeKey(folder, 'run', 'nixie-run', run);
  assert.match(key.publicKey, /^ssh-ed25519 [A-Za-z0-9+/]+$/);
  assert.equal(modeOf(key.privateFile), '600');
  assert.deepEqual(await readKey(key.privateFile, run), key);
});

test('keys that can not be used say why', async () => {
  const locked = join(folder, 'locked');
  await run(['-q', '-t', 'ed25519', '-N', 'secret', '-f', locked]);
  await assert.rejects(readKey(locked, run), /has a passphrase; load it into ssh-agent/);
  await assert.rejects(readKey(join(folder, 'none'), run), /ENOENT/);
  const open = await makeKey(folder, 'open', 'x', run);
  chmodSync(open.privateFile, 0o644);
  await assert.rejects(readKey(open.privateFile, run), /its mode is 644/);
  const junk = join(folder, 'junk');
  writeFileSync(junk, 'hello\n', { mode: 0o600 });
  await assert.rejects(readKey(junk, run), /read key/);
});

test('the host key of an installed system is made once and kept', async () => {
  const state = join(folder, 'state');
  const made = await installedHostKey(state, 'm1', run);
  assert.equal(made.origin, 'made');
  assert.equal(made.privateFile, join(state, 'hostkeys/m1/ssh_host_ed25519_key'));
  const kept = await installedHostKey(state, 'm1', run);
  assert.equal(kept.origin, 'kept');
  assert.equal(kept.publicKey, made.publicKey);
  assert.notEqual((await installedHostKey(state, 'm2', run)).publicKey, made.publicKey);
  assert.equal((await installedHostKey(state, 'm3', run, made.privateFile)).publicKey, made.publicKey);
  assert.deepEqual(readdirSync(join(state, 'hostkeys')).sort(), ['m1', 'm2']);
  assert.equal(modeOf(join(state, 'hostkeys')), '700');
  assert.equal(modeOf(made.privateFile), '600');
  for (const bad of ['..', 'a/b', '']) await assert.rejects(installedHostKey(state, bad, run), /plain host name/);
});

test('public key lines lose comment, and bad ones are refused', () => {
  assert.equal(onlyKey('ssh-ed25519 AAAA root@m1 of mine\n'), 'ssh-ed25519 AAAA');
  for (const bad of ['', 'ssh-ed25519', 'command="x" ssh-ed25519 AAAA'])
    assert.throws(() => onlyKey(bad), /expected a public key line/);
});

test('staged files: every mode is set, whatever the umask', async () => {
  const before = process.umask(0o077);
  try {
    const place = await makeRunFolder(join(folder, 'fallback'));
    const hostKey = await installedHostKey(join(folder, 'state'), 'm9', run);
    const proof = await proofKey(join(folder, 'state'), run);
    const staged = await stageExtraFiles(join(place.path, 'extra'), { hostKey, proofKey: proof.publicKey });
    const modes = [
      '',
      'etc',
      'etc/ssh',
      'etc/ssh/ssh_host_ed25519_key',
      'etc/ssh/ssh_host_ed25519_key.pub',
      'root',
      'root/.ssh',
      'root/.ssh/authorized_keys',
    ];
    assert.deepEqual(
      modes.map((name) => modeOf(join(staged.path, name))),
      ['755', '755', '755', '600', '644', '700', '700', '600'],
    );
    assert.equal(
      readFileSync(join(staged.path, 'root/.ssh/authorized_keys'), 'utf8'),
      `${proofLine(proof.publicKey)}\n`,
    );
    const copy = await copyKey(hostKey, place.keys, 'copy');
    assert.equal(modeOf(copy.privateFile), '600');
    await staged.remove();
    assert.ok(!existsSync(staged.path));
    await place.remove();
    await place.remove();
    assert.ok(!existsSync(place.path));
  } finally {
    process.umask(before);
  }
});

test('the proof key may do one thing', () => {
  assert.equal(proofLine('ssh-ed25519 AAAA'), `command="${proofCommand}",restrict ssh-ed25519 AAAA nixie-proof`);
  assert.doesNotMatch(proofCommand, /"/);
});

test('run folders: in memory where possible, else under the state folder; private', async () => {
  const state = join(folder, 'elsewhere');
  const fallen = await makeRunFolder(state, [folder, '/nowhere']);
  assert.ok(fallen.path.startsWith(state) && !fallen.inMemory);
  for (const path of [fallen.path, fallen.shim, fallen.home, fallen.tmp, fallen.keys])
    assert.equal(modeOf(path), '700');
  await assert.rejects(makeRunFolder('/tmp/a b', []), /without blanks/);
});
