import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import {
  joinedRelays,
  keepRelayToken,
  RelayShelf,
  readRelayList,
  readRelayTokens,
  revokeRelayToken,
  secretHashOf,
} from './relays.ts';

const secret = (byte: number) => new Uint8Array(32).fill(byte);
const key = (byte: number) => new Uint8Array(44).fill(byte);
const url = 'https://nixie:7482';

function folder(t: { after(act: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'relays-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('a token lets in one key, until it is revoked or made anew', (t) => {
  const dir = folder(t);
  const shelf = new RelayShelf(dir, assert.fail);
  assert.equal(shelf.admit('rack7', secret(1), key(1)), 'unknown');
  keepRelayToken(dir, { name: 'rack7', url, madeAt: 5 }, secret(1));
  assert.equal(shelf.admit('rack7', secret(2), key(1)), 'wrong-secret');
  assert.deepEqual([...joinedRelays(dir)], []);
  assert.equal(shelf.admit('rack7', secret(1), key(1)), 'ok');
  assert.equal(shelf.admit('rack7', secret(1), key(2)), 'other-key');
  assert.deepEqual([...joinedRelays(dir)], ['rack7']);
  assert.equal(new RelayShelf(dir, assert.fail).admit('rack7', secret(1), key(2)), 'other-key');

  assert.ok(shelf.holds('rack7', secretHashOf(secret(1))));
  keepRelayToken(dir, { name: 'rack7', url, madeAt: 6 }, secret(3));
  assert.equal(shelf.admit('rack7', secret(1), key(1)), 'wrong-secret');
  assert.ok(!shelf.holds('rack7', secretHashOf(secret(1))));
  assert.equal(shelf.admit('rack7', secret(3), key(2)), 'ok');
  assert.ok(revokeRelayToken(dir, 'rack7', 7));
  assert.ok(!revokeRelayToken(dir, 'rack7', 8));
  assert.equal(shelf.admit('rack7', secret(3), key(2)), 'revoked');
  assert.deepEqual(shelf.names(), []);
  assert.deepEqual(
    readRelayTokens(dir).map(({ name, madeAt, revokedAt }) => [name, madeAt, revokedAt]),
    [['rack7', 6, 7]],
  );
});

test('of processes that change the list at the same time none undoes what another did', async (t) => {
  const dir = folder(t);
  const each = 15;
  for (let at = 0; at < each; at++) keepRelayToken(dir, { name: `old-${at}`, url, madeAt: 1 }, secret(at));
  const program = `
    const { keepRelayToken, revokeRelayToken } = await import(${JSON.stringify(import.meta.resolve('./relays.ts'))});
    const until = (act) => { for (;;) try { return act(); } catch (error) { if (error.name !== 'StateTaken') throw error; } };
    const [dir, who] = process.argv.slice(1);
    for (let at = 0; at < ${each}; at++)
      until(() => who === 'c' ? revokeRelayToken(dir, 'old-' + at, 2)
        : keepRelayToken(dir, { name: who + '-' + at, url: '${url}', madeAt: 1 }, new Uint8Array(32)));`;
  const run = promisify(execFile);
  await Promise.all(
    ['a', 'b', 'c'].map((who) =>
      run(process.execPath, ['--input-type=module', '-e', program, dir, who], { timeout: 30_000 }),
    ),
  );
  const found = readRelayTokens(dir);
  assert.equal(found.filter(({ revokedAt }) => revokedAt === 2).length, each);
  for (const who of ['a', 'b']) assert.equal(found.filter(({ name }) => name.startsWith(`${who}-`)).length, each);
  assert.deepEqual(readdirSync(dir), ['relays.json']);
});

test('no secret is written down, and nobody else reads the files', (t) => {
  const dir = folder(t);
  keepRelayToken(dir, { name: 'rack7', url, madeAt: 5 }, secret(0x61));
  new RelayShelf(dir, assert.fail).admit('rack7', secret(0x61), key(1));
  for (const name of ['relays.json', 'relay-keys.json']) {
    const text = readFileSync(join(dir, name), 'utf8');
    for (const form of ['base64', 'base64url', 'hex', 'latin1'] as const)
      assert.ok(!text.includes(Buffer.from(secret(0x61)).toString(form)));
    assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600);
  }
});

test('a damaged list is not taken for an empty one, and what was known stays in force', (t) => {
  const dir = folder(t);
  keepRelayToken(dir, { name: 'rack7', url, madeAt: 5 }, secret(1));
  const warned: string[] = [];
  const shelf = new RelayShelf(dir, (text) => warned.push(text));
  writeFileSync(join(dir, 'relays.json'), '[{"name":"rack7"}]');
  assert.equal(shelf.admit('rack7', secret(1), key(1)), 'ok');
  assert.match(warned.join(), /relays\.json: entry 1 is damaged/);
  assert.throws(() => keepRelayToken(dir, { name: 'rack8', url, madeAt: 5 }, secret(1)), /damaged/);
});

test('any text is a list or one error that names the file', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        readRelayList(text, '/state/relays.json', (entry) => entry);
      } catch (error) {
        assert.match((error as Error).message, /^read \/state\/relays\.json: /);
      }
    }),
  );
});
