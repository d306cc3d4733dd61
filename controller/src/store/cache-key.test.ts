import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { loadCacheKey } from './cache-key.ts';

test('one key for the life of a state folder, for its owner alone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-cache-key-'));
  try {
    const file = join(folder, 'cache-key');
    const first = loadCacheKey(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(first.name, /^nixie-[0-9a-f]{8}-1$/);
    assert.equal(loadCacheKey(file).publicText, first.publicText);
    writeFileSync(file, 'half of a k');
    const next = loadCacheKey(file);
    assert.notEqual(next.publicText, first.publicText);
    assert.equal(next.setAside, `${file}.damaged`);
    assert.ok(existsSync(`${file}.damaged`));
    assert.equal(loadCacheKey(file).publicText, next.publicText);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
