import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { exitCodeOfError } from '../cli/exit-codes.ts';
import { readRelayToken } from '../cli/relay-token-request.ts';
import { ConfigError } from '../config/problem.ts';
import { parseJoinToken } from '../machine/relay.ts';
import { realProcesses, takeLock } from '../store/lock.ts';
import { RelayShelf, readRelayTokens } from '../store/relays.ts';
import { loadTls } from '../store/tls.ts';
import { relayToken } from './relay-token.ts';

const around = { cwd: '/w', uid: 0, env: {} };
const ask = async (state: string, name: string | undefined, options: object, sleep = async () => {}) => {
  const [out, err]: [string[], string[]] = [[], []];
  const request = readRelayToken(name, { state, ...options }, around);
  const code = await relayToken(request, {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    now: () => 1000,
    sleep,
  });
  return { code, out: out.join(''), err: err.join('') };
};

test('a token is made, let in, listed and revoked', async (t) => {
  const state = join(mkdtempSync(join(tmpdir(), 'relay-token-')), 'state');
  t.after(() => rmSync(join(state, '..'), { recursive: true, force: true }));
  const file = join(state, '../file');
  writeFileSync(file, '');
  await assert.rejects(
    ask(file, 'rack7', { url: 'https://192.0.2.7' }),
    /^Error: make state folder .*file: .*file is no folder; change that, or name another with --state: a folder/,
  );
  const made = await ask(state, 'rack7', { url: 'https://192.0.2.7' });
  assert.equal(made.code, 0);
  const token = parseJoinToken(made.out);
  const tls = await loadTls(state);
  assert.equal(tls.made, false, 'the certificate that the controller will show');
  assert.deepEqual([token.url, token.fingerprint, token.name], ['https://192.0.2.7:7482', tls.fingerprint, 'rack7']);
  const shelf = new RelayShelf(state, assert.fail);
  assert.equal(shelf.admit('rack7', token.secret, new Uint8Array(44)), 'ok');
  assert.match((await ask(state, undefined, { list: true })).out, /^rack7 {2}joined/m);

  const out = join(state, 'rack7.token');
  const again = await ask(state, 'rack7', { url: 'https://192.0.2.7', out, json: true });
  assert.match(again.err, /good no more/);
  assert.equal(statSync(out).mode & 0o777, 0o600);
  assert.ok(!again.out.includes('nixie-relay-v1'));
  const second = parseJoinToken(readFileSync(out, 'utf8'));
  assert.equal(shelf.admit('rack7', token.secret, new Uint8Array(44)), 'wrong-secret');
  assert.equal(shelf.admit('rack7', second.secret, new Uint8Array(44).fill(1)), 'ok');

  assert.equal((await ask(state, 'rack7', { revoke: true })).code, 0);
  assert.equal(shelf.admit('rack7', second.secret, new Uint8Array(44).fill(1)), 'revoked');
  assert.notEqual((await ask(state, 'rack7', { revoke: true })).code, 0);
  assert.equal(JSON.parse((await ask(state, undefined, { list: true, json: true })).out).state, 'revoked');
});

test('a command waits while another changes the list, and undoes nothing of it', async (t) => {
  const state = mkdtempSync(join(tmpdir(), 'relay-token-'));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const url = 'https://192.0.2.7';
  await ask(state, 'rack6', { url });
  const file = join(state, 'relays.json');
  for (const options of [{ url }, { url: undefined, revoke: true }]) {
    const release = takeLock(state, realProcesses, undefined, { name: 'relays.lock' });
    let turns = 0;
    const other = async () => {
      if (++turns < 3) return;
      const name = options.url === undefined ? 'rack9' : 'rack8';
      const [first, ...more] = JSON.parse(readFileSync(file, 'utf8'));
      writeFileSync(file, JSON.stringify([first, ...more, { ...first, name }]));
      release();
    };
    assert.equal((await ask(state, 'rack7', options, other)).code, 0);
    assert.equal(turns, 3);
  }
  assert.deepEqual(
    readRelayTokens(state).map(({ name, revokedAt }) => [name, revokedAt]),
    [
      ['rack6', undefined],
      ['rack8', undefined],
      ['rack7', 1000],
      ['rack9', undefined],
    ],
  );
});

test('a command that never ends is named, and nothing was changed', async (t) => {
  const state = mkdtempSync(join(tmpdir(), 'relay-token-'));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const release = takeLock(state, realProcesses, undefined, { name: 'relays.lock' });
  const [url, out] = ['https://192.0.2.7', join(state, 'rack7.token')];
  await assert.rejects(ask(state, 'rack7', { url, out }), (error: Error) => {
    assert.match(error.message, /^change the relays: .*relays\.lock, which names its process, for 10 s; nothing was/);
    assert.equal(exitCodeOfError(error), 3);
    return true;
  });
  assert.ok(!existsSync(out));
  assert.deepEqual(readRelayTokens(state), []);
  release();
});

const wrong: readonly [string | undefined, object, readonly RegExp[]][] = [
  [undefined, {}, [/^NAME: not given/, /^--url: not given/]],
  ['a/b', { url: 'http://x' }, [/^NAME: found "a\/b"/, /^--url: found "http:\/\/x"; accepted: .*https:/]],
  ['a', { list: true, revoke: true }, [/^--revoke: has no meaning with --list/, /^NAME: /]],
  ['a', { revoke: true, url: 'https://x', out: 'y' }, [/^--url: has no meaning/, /^--out: has no meaning/]],
];
for (const [name, options, want] of wrong)
  test(`relay-token ${name ?? ''} ${Object.keys(options).join(' ')} is refused with all that is wrong`, () => {
    assert.throws(
      () => readRelayToken(name, options, around),
      (error) => {
        assert.ok(error instanceof ConfigError);
        const found = error.problems.map(({ where, text }) => `${where}: ${text}`);
        assert.equal(found.length, want.length, found.join('\n'));
        for (const [index, each] of want.entries()) assert.match(found[index]!, each);
        return true;
      },
    );
  });
