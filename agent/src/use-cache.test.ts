import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { cacheSettings, mergeSettings, useCache } from './use-cache.ts';

const publicKey = `here-1:${'A'.repeat(43)}=`;
const cache = { port: 7480, path: '/nix', publicKey };

test('the cache is where the session is held with', () => {
  const of = (endpoint: string) => cacheSettings(cache, endpoint)[1];
  assert.equal(of('10.0.0.1:7481'), 'extra-substituters = http://10.0.0.1:7480/nix');
  assert.equal(of('[fd77::1]:7481'), 'extra-substituters = http://[fd77::1]:7480/nix');
  assert.ok(cacheSettings(cache, '10.0.0.1:7481').includes(`extra-trusted-public-keys = ${publicKey}`));
  assert.deepEqual(cacheSettings({ ...cache, publicKey: '' }, '10.0.0.1:7481'), []);
});

test('nothing that would be another setting gets into the file', () => {
  const odd = [
    { ...cache, publicKey: `${publicKey}\nsubstituters = http://x` },
    { ...cache, publicKey: `${publicKey} other-1:${'A'.repeat(43)}=` },
    { ...cache, publicKey: 'here-1' },
    { ...cache, path: '/nix\nrequire-sigs = false' },
    { ...cache, path: '/nix?trusted=1' },
    { ...cache, path: 'nix' },
    { ...cache, port: 0 },
    { ...cache, port: 70_000 },
  ];
  for (const each of odd) assert.throws(() => cacheSettings(each, '10.0.0.1:7481'), /^Error: binary cache: /);
  for (const endpoint of ['', 'host:7481', '10.0.0.1', '10.0.0:1', '[::1', '1.2.3.4:1 http://x'])
    assert.throws(() => cacheSettings(cache, endpoint), /held with/, endpoint);
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat(), (path, key, port) => {
      try {
        const lines = cacheSettings({ path, publicKey: key, port }, '10.0.0.1:7481');
        assert.ok(lines.every((line) => !/[\n\r]/.test(line)));
      } catch (error) {
        assert.match((error as Error).message, /^binary cache: /);
      }
    }),
  );
});

test('lines of others stay as they are, ours are replaced', () => {
  const first = cacheSettings(cache, '10.0.0.1:7481');
  const second = cacheSettings({ ...cache, port: 80 }, '10.0.0.2:7481');
  const others = '# mine\nextra-substituters = http://cache.example\n';
  const once = mergeSettings(others, first);
  assert.equal(once, `${others}${first.join('\n')}\n`);
  assert.equal(mergeSettings(once, first), once);
  assert.equal(mergeSettings(`${once}cores = 2\n`, second), `${others}cores = 2\n${second.join('\n')}\n`);
  assert.equal(mergeSettings(once, []), others);
  assert.equal(mergeSettings(mergeSettings('', first), []), '');
});

test('the file is made with its folder, and replaced in one step', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-use-cache-'));
  try {
    const file = join(folder, 'root/.config/nix/nix.conf');
    useCache(file, cache, '10.0.0.1:7481');
    assert.match(readFileSync(file, 'utf8'), /http:\/\/10\.0\.0\.1:7480\/nix/);
    useCache(file, { ...cache, publicKey: '' }, '10.0.0.1:7481');
    assert.equal(readFileSync(file, 'utf8'), '');
    assert.throws(() => useCache(file, { ...cache, port: 0 }, '10.0.0.1:7481'));
    assert.equal(readFileSync(file, 'utf8'), '', 'nothing was changed');
    mkdirSync(join(folder, 'is-a-folder'));
    assert.throws(() => useCache(join(folder, 'is-a-folder'), cache, '10.0.0.1:7481'), /read .*is-a-folder/);
    writeFileSync(join(folder, 'file'), '');
    assert.throws(() => useCache(join(folder, 'file/nix.conf'), cache, '10.0.0.1:7481'), /(?:read|write) /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
