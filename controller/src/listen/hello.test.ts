import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { makeCredential, readCredential } from '../machine/token.ts';
import { checkHello, helloText, KnownCredentials } from './hello.ts';

const secret = new Uint8Array(32).fill(7);
const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const pair = (namedCurve = 'P-256') => generateKeyPairSync('ec', { namedCurve });
const credentialOf = (host: string, agentKey: Uint8Array): string =>
  makeCredential(secret, { host, mac: '52:54:00:77:00:01' as Mac, bootId: 'b', agentKey });
const book = (most: number) => {
  const read: string[] = [];
  const credentials = new KnownCredentials((text) => {
    read.push(text);
    return readCredential(secret, text);
  }, most);
  return { credentials, read };
};

test('a credential is read once, and its hellos are judged each time', () => {
  const { publicKey, privateKey } = pair();
  const text = credentialOf('m1', spki(publicKey));
  const { credentials, read } = book(4);
  const hello = (unixMs: bigint, key = privateKey, bootId = 'b') => ({
    bootId,
    unixMs,
    address: '',
    signature: sign('sha256', helloText(text, bootId, unixMs), key),
  });
  for (const unixMs of [1n, 2n, 3n]) assert.ok(checkHello(credentials.find(text)!, text, hello(unixMs)));
  const known = credentials.find(text)!;
  assert.equal(known.credential.host, 'm1');
  assert.equal(checkHello(known, text, hello(4n, pair().privateKey)), false, 'a stranger signed');
  assert.equal(checkHello(known, text, hello(5n, privateKey, 'c')), false, 'of another boot');
  assert.equal(checkHello(known, text, { ...hello(6n), unixMs: 7n }), false, 'another time');
  assert.equal(checkHello(known, text, { ...hello(8n), signature: Buffer.from('x') }), false, 'no signature');
  assert.deepEqual(read, [text]);
});

test('what we did not seal is asked about each time and never kept', () => {
  const { credentials, read } = book(4);
  const forged = `${credentialOf('m1', spki(pair().publicKey)).split('.')[0]}.${'A'.repeat(43)}`;
  for (const text of [forged, forged, '', 'a.b']) assert.equal(credentials.find(text), undefined);
  assert.deepEqual(read, [forged, forged, '', 'a.b']);
  assert.equal(credentials.size, 0);
});

test('of too many the one that was asked for longest ago is forgotten', () => {
  const { credentials, read } = book(2);
  const key = spki(pair().publicKey);
  const [a, b, c] = ['a', 'b', 'c'].map((host) => credentialOf(host, key)) as [string, string, string];
  for (const text of [a, b, a, c, a, b]) assert.ok(credentials.find(text));
  assert.deepEqual(read, [a, b, c, b]);
  assert.equal(credentials.size, 2);
});

test('a key of another curve, or none, makes no hello right', () => {
  const { credentials } = book(4);
  const { publicKey, privateKey } = pair('P-384');
  for (const agentKey of [spki(publicKey), Buffer.from('key')]) {
    const text = credentialOf('m1', agentKey);
    const signature = sign('sha256', helloText(text, 'b', 1n), privateKey);
    const known = credentials.find(text)!;
    assert.equal(known.key, undefined);
    assert.equal(checkHello(known, text, { bootId: 'b', unixMs: 1n, address: '', signature }), false);
  }
});
