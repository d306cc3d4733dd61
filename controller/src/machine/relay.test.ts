import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  endpointText,
  isRelayName,
  joinTokenText,
  parseEndpoint,
  parseJoinToken,
  parseRelayUrl,
  placeOf,
  placeText,
  relayHelloText,
  TokenUnreadable,
} from './relay.ts';

const token = {
  name: 'rack7',
  url: 'https://nixie.example.org:7482',
  fingerprint: 'ab'.repeat(32),
  secret: new Uint8Array(32).fill(7),
};

test('a join token is one line, and says what it was made of', () => {
  const text = joinTokenText(token);
  assert.match(text, /^nixie-relay-v1\.[A-Za-z0-9_-]+$/);
  const read = parseJoinToken(`${text}\n`);
  assert.deepEqual({ ...read, secret: [...read.secret] }, { ...token, secret: [...token.secret] });
});

test('of a token that is none the secret is not told', () => {
  const secret = Buffer.from(token.secret).toString('base64url');
  const sealed = (fields: object) => `nixie-relay-v1.${Buffer.from(JSON.stringify(fields)).toString('base64url')}`;
  const right = { ...token, secret };
  for (const text of [
    '',
    'nixie-relay-v1.',
    'nixie-relay-v2.abc',
    joinTokenText(token).slice(0, -3),
    `${joinTokenText(token)}*`,
    `nixie-relay-v1.${'A'.repeat(5000)}`,
    sealed([]),
    sealed({ ...right, name: '../rack7' }),
    sealed({ ...right, url: 'http://nixie:7482' }),
    sealed({ ...right, url: 'https://nixie:0' }),
    sealed({ ...right, fingerprint: 'AB'.repeat(32) }),
    sealed({ ...right, secret: secret.slice(1) }),
    `nixie-relay-v1.${Buffer.from('null').toString('base64url')}`,
  ])
    assert.throws(
      () => parseJoinToken(text),
      (error: Error) => error instanceof TokenUnreadable && !error.message.includes(secret),
      text,
    );
});

test('any text is a token or TokenUnreadable', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.boolean(), (text, dressed) => {
      try {
        parseJoinToken(dressed ? `nixie-relay-v1.${Buffer.from(text).toString('base64url')}` : text);
      } catch (error) {
        assert.ok(error instanceof TokenUnreadable);
      }
    }),
  );
});

test('a controller is named by host and port', () => {
  for (const [text, host, port] of [
    ['nixie', 'nixie', 7482],
    ['10.0.0.1:7000', '10.0.0.1', 7000],
    ['[fd00::1]:7482', 'fd00::1', 7482],
  ] as const) {
    const read = parseEndpoint(text);
    assert.deepEqual(read, { host, port });
    assert.deepEqual(parseEndpoint(endpointText(read!)), read);
    assert.deepEqual(parseRelayUrl(`https://${text}`), read);
  }
  for (const text of ['', 'a b', 'nixie:', 'nixie:0', 'nixie:65536', '-x', 'x/y', 'u@h', 'fd00::1'])
    assert.equal(parseEndpoint(text), undefined, text);
});

test('names of relays are of the form of names of machines', () => {
  for (const name of ['a', 'rack7', 'site-b', 'Rack.7_b']) assert.ok(isRelayName(name));
  for (const name of ['', '-a', '.', 'a b', 'a/b', 'a\n', 'a'.repeat(64)]) assert.ok(!isRelayName(name));
});

test('what a relay signs names it, the controller and the challenge', () => {
  assert.equal(Buffer.from(relayHelloText('a', 'ff', Uint8Array.of(0x41, 0x42))).toString(), 'nixie-relay\na\nff\nAB');
});

test('places are read from what gRPC says of peers', () => {
  assert.deepEqual(placeOf('10.0.0.7:4711'), { address: '10.0.0.7', port: 4711 });
  assert.deepEqual(placeOf('[::ffff:10.0.0.7]:4711'), { address: '10.0.0.7', port: 4711 });
  for (const odd of ['', 'unknown', '[fd00::1]:2', '999.0.0.1:2']) assert.deepEqual(placeOf(odd), { address: '' });
  assert.equal(placeText({ relay: 'rack7', address: '10.0.0.7', port: 4711 }), '10.0.0.7:4711 behind rack7');
});
