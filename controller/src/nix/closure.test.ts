import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { NixAnswerError } from './answer-error.ts';
import { closureOf, readPathInfo } from './closure.ts';
import { NixError } from './failure.ts';
import { toNix32 } from './nix32.ts';

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');

test('both forms of path-info tell the same sizes', async () => {
  const [old, young] = [readPathInfo(fixture('path-info-2.8.json')), readPathInfo(fixture('path-info-2.26.json'))];
  assert.equal(old.size, 3);
  assert.deepEqual([...old].sort(), [...young].sort());
  const run = async () => ({ ended: 'exited', code: 0, stdout: fixture('path-info-2.8.json'), stderr: '' }) as const;
  assert.equal((await closureOf('/nix/store/x', { run })).bytes, 5_033_616);
});

test('the versioned form names paths without the folder', () => {
  const paths = readPathInfo(
    '{"version":2,"storeDir":"/nix/store","info":{"abc-x":{"narSize":5,"references":["abc-x"]}}}',
  );
  assert.deepEqual([...paths], [['/nix/store/abc-x', { narSize: 5, references: ['/nix/store/abc-x'] }]]);
});

test('each form in which a hash is told gives the same digits', () => {
  const hex = '129a2d33f5848d73602c72b37efb92e450edac5b62070be365f158340dcd843c';
  const base64 = Buffer.from(hex, 'hex').toString('base64');
  const forms = [
    `sha256-${base64}`,
    `sha256:${hex}`,
    `sha256:${toNix32(Buffer.from(hex, 'hex'))}`,
    { algorithm: 'sha256', format: 'base64', hash: base64 },
    { algorithm: 'sha256', format: 'base16', hash: hex },
  ];
  for (const narHash of forms) {
    const read = readPathInfo(JSON.stringify({ '/nix/store/a-x': { narSize: 1, narHash, references: [] } }));
    assert.equal(read.get('/nix/store/a-x')?.narHash, hex, JSON.stringify(narHash));
  }
  for (const narHash of ['sha512-AAAA', 'sha256:short', '', 7, null, { algorithm: 'md5', hash: 'x' }]) {
    const read = readPathInfo(JSON.stringify({ '/nix/store/a-x': { narSize: 1, narHash } }));
    assert.deepEqual(read.get('/nix/store/a-x'), { narSize: 1 }, 'the size is known all the same');
  }
});

test('a path that is not there is an error in both forms', async () => {
  for (const version of ['2.8', '2.26']) {
    const stdout = fixture(`path-info-invalid-${version}.json`);
    assert.throws(() => readPathInfo(stdout), /aaaa-none is not in the store/);
    const run = async () => ({ ended: 'exited', code: 0, stdout, stderr: '' }) as const;
    await assert.rejects(closureOf('/nix/store/x', { run }), NixError);
  }
});

test('what is not JSON is an error of the same type', () => {
  assert.throws(() => readPathInfo(''), new NixAnswerError('nix path-info', 'it printed nothing'));
  assert.throws(() => readPathInfo('warning: x'), new NixAnswerError('nix path-info', 'what it printed is not JSON'));
});

test('any JSON gives sizes that are whole numbers, or an error', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        for (const { narSize } of readPathInfo(text).values()) assert.ok(Number.isSafeInteger(narSize) && narSize >= 0);
      } catch (error) {
        assert.ok(error instanceof NixAnswerError);
        assert.match(error.message, /^nix path-info: /);
      }
    }),
  );
});
