import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import {
  fingerprintOf,
  isSigned,
  makeCacheKey,
  readCacheKey,
  readNarInfo,
  readPublicKey,
  writeNarInfo,
} from './narinfo.ts';
import { fromNix32, toNix32 } from './nix32.ts';

const info = {
  path: '/nix/store/1bxvi5ya5kgacf2llzvqbb4gx62m97j1-nixos-system-m1',
  narHash: '129a2d33f5848d73602c72b37efb92e450edac5b62070be365f158340dcd843c',
  narSize: 1648,
  references: [
    '/nix/store/imq5dz6mnh72vhfzwp89vv0349i3f44l-linux-toy',
    '/nix/store/76s91kl84y1ymf6ynddddkm1p51993mp-initrd-toy',
  ],
};
const key = makeCacheKey('here-1');

test('nix32 as nix-hash --to-base32 writes it', () => {
  const text = '0g44rl6k8n7icpihn1v2bfnfsl74jbxpxcvj5ih773c4ylrjv6hj';
  assert.equal(toNix32(Buffer.from(info.narHash, 'hex')), text);
  assert.equal(Buffer.from(fromNix32(text, 32) ?? []).toString('hex'), info.narHash);
  for (const odd of ['', text.slice(1), `e${text.slice(1)}`, `z${text.slice(1)}`])
    assert.equal(fromNix32(odd, 32), undefined, odd);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
      assert.deepEqual(fromNix32(toNix32(bytes), bytes.length), bytes);
    }),
  );
});

test('the description of a path, word for word', () => {
  const said =
    '1;/nix/store/1bxvi5ya5kgacf2llzvqbb4gx62m97j1-nixos-system-m1;sha256:0g44rl6k8n7icpihn1v2bfnfsl74jbxpxcvj5ih773c4ylrjv6hj;1648;';
  const sorted = [...info.references].sort();
  assert.equal(fingerprintOf(info), `${said}${sorted.join(',')}`);
  const lines = writeNarInfo(info, { sign: (text) => `signed ${text.length}` }).split('\n');
  assert.deepEqual(lines, [
    'StorePath: /nix/store/1bxvi5ya5kgacf2llzvqbb4gx62m97j1-nixos-system-m1',
    'URL: nar/1bxvi5ya5kgacf2llzvqbb4gx62m97j1.nar',
    'Compression: none',
    'NarHash: sha256:0g44rl6k8n7icpihn1v2bfnfsl74jbxpxcvj5ih773c4ylrjv6hj',
    'NarSize: 1648',
    'References: 76s91kl84y1ymf6ynddddkm1p51993mp-initrd-toy imq5dz6mnh72vhfzwp89vv0349i3f44l-linux-toy',
    `Sig: signed ${fingerprintOf(info).length}`,
    '',
  ]);
});

test('what is signed is believed, and nothing else', () => {
  const text = writeNarInfo(info, key);
  const read = readNarInfo(text);
  assert.deepEqual(
    { ...read, signatures: undefined },
    { ...info, references: [...info.references].sort(), signatures: undefined },
  );
  assert.ok(isSigned(read, key.publicText));
  assert.ok(!isSigned(read, makeCacheKey('here-1').publicText), 'a key of the same name');
  assert.ok(!isSigned(read, 'nonsense'));
  assert.ok(!isSigned({ ...read, signatures: [] }, key.publicText));
  const changed: [string, string][] = [
    ['NarSize: 1648', 'NarSize: 1649'],
    ['NarHash: sha256:0', 'NarHash: sha256:1'],
    ['-initrd-toy', '-initrd-tox'],
    ['-nixos-system-m1', '-nixos-system-m2'],
  ];
  for (const [from, to] of changed) {
    assert.ok(text.includes(from), from);
    assert.ok(!isSigned(readNarInfo(text.replace(from, to)), key.publicText), to);
  }
});

test('a description that is not of this form names the line', () => {
  const text = writeNarInfo(info, key);
  const odd: [string, string, RegExp][] = [
    ['URL: nar/1', 'URL: ../1', /URL/],
    ['Compression: none', 'Compression: xz', /Compression/],
    ['NarSize: 1648', 'NarSize: -1', /NarSize/],
    ['NarHash: sha256:', 'NarHash: md5:', /NarHash/],
    ['StorePath: /nix/store/1', 'StorePath: 1', /StorePath/],
    ['References: 7', 'References: ../7', /References/],
    ['NarSize: 1648', 'NarSize: 1648\nNarSize: 1', /twice/],
    ['NarSize: 1648', 'NarSize 1648', /NAME: VALUE/],
  ];
  for (const [from, to, why] of odd) assert.throws(() => readNarInfo(text.replace(from, to)), why, to);
  fc.assert(
    fc.property(fc.string(), (any) => {
      assert.throws(() => readNarInfo(any), /^Error: read narinfo: /);
    }),
  );
});

test('keys have the form of nix', () => {
  assert.match(key.publicText, /^here-1:[A-Za-z0-9+/]{43}=$/);
  assert.match(key.secretText, /^here-1:[A-Za-z0-9+/]{86}==$/);
  const again = readCacheKey(`${key.secretText}\n`);
  assert.equal(again.publicText, key.publicText);
  assert.equal(again.sign('x'), key.sign('x'), 'ed25519 has no randomness');
  const open = readPublicKey(key.publicText)!;
  const signature = Buffer.from(key.sign('x').split(':')[1]!, 'base64');
  assert.ok(
    verify(null, Buffer.from('x'), createPublicKey(open.key.export({ type: 'spki', format: 'pem' })), signature),
  );
  const other = Buffer.from(makeCacheKey('a').secretText.split(':')[1]!, 'base64').subarray(32);
  const seed = Buffer.from(key.secretText.split(':')[1]!, 'base64').subarray(0, 32);
  assert.throws(() => readCacheKey(`here-1:${Buffer.concat([seed, other]).toString('base64')}`), /another key/);
  for (const text of ['', 'here-1:AAAA', key.publicText, key.secretText.slice(7)])
    assert.throws(() => readCacheKey(text), /read cache key/);
});
