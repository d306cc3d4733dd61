import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Mac } from './mac.ts';
import { makeCredential, readCredential, TokenBook, tokenLifeMs } from './token.ts';

const a = '52:54:00:00:00:01' as Mac;
const b = '52:54:00:00:00:02' as Mac;

function book(options?: ConstructorParameters<typeof TokenBook>[1]): TokenBook {
  let counter = 0;
  return new TokenBook((bytes) => {
    counter += 1;
    return new Uint8Array(bytes)
      .fill(0)
      .with(0, counter & 0xff)
      .with(1, counter >> 8);
  }, options);
}

test('a token is 32 hex digits and good once, for its MAC, for one key, for 15 minutes', () => {
  const tokens = book();
  const token = tokens.issue(a, 'm1', 0);
  assert.match(token, /^[0-9a-f]{32}$/);
  assert.deepEqual(tokens.take('f'.repeat(32), a, 'k1', 1), { verdict: 'unknown' });
  assert.deepEqual(tokens.take(token, b, 'k1', 1), { verdict: 'other-mac', host: 'm1' });
  assert.deepEqual(tokens.take(token, a, 'k1', tokenLifeMs), { verdict: 'ok', host: 'm1' });
  assert.deepEqual(tokens.take(token, a, 'k1', tokenLifeMs), { verdict: 'again', host: 'm1' });
  assert.deepEqual(tokens.take(token, a, 'k2', tokenLifeMs), { verdict: 'used', host: 'm1', newest: true });
  assert.deepEqual(tokens.take(token, a, 'k1', tokenLifeMs + 1), { verdict: 'expired', host: 'm1' });
});

test('an attempt with another MAC does not use the token up', () => {
  const tokens = book();
  const token = tokens.issue(a, 'm1', 0);
  tokens.take(token, b, 'k2', 1);
  assert.equal(tokens.take(token, a, 'k1', 2).verdict, 'ok');
});

test('the book is bounded, in all and per MAC, and forgets what is long over', () => {
  const tokens = book({ most: 20, mostPerMac: 3 });
  const mine = Array.from({ length: 5 }, (_, index) => tokens.issue(a, 'm1', index));
  assert.deepEqual(
    mine.map((token) => tokens.take(token, a, 'k', 9).verdict),
    ['unknown', 'unknown', 'ok', 'ok', 'ok'],
  );
  for (let index = 0; index < 100; index += 1)
    tokens.issue(`52:54:00:00:01:${index.toString(16).padStart(2, '0')}` as Mac, `h${index}`, 10);
  assert.equal(tokens.size, 20);
  tokens.issue(b, 'm2', 10 + 2 * tokenLifeMs + 1);
  assert.equal(tokens.size, 1);
});

test('which used token is that of the boot of now; of one that is used nobody is expected any more', () => {
  const tokens = book();
  const [first, second] = [tokens.issue(a, 'm1', 0), tokens.issue(a, 'm1', 0)];
  assert.deepEqual([tokens.expects('m1', tokenLifeMs), tokens.expects('m2', 0)], [true, false]);
  tokens.take(second, a, 'k2', 5);
  assert.deepEqual(tokens.take(second, a, 'k3', 6), { verdict: 'used', host: 'm1', newest: true });
  tokens.take(first, a, 'k1', 7);
  assert.deepEqual(tokens.take(second, a, 'k3', 8), { verdict: 'used', host: 'm1', newest: false });
  const later = book();
  later.restore(JSON.parse(JSON.stringify(tokens.list())), 9);
  assert.deepEqual(later.take(first, a, 'k3', 9), { verdict: 'used', host: 'm1', newest: true });
  assert.deepEqual(later.take(second, a, 'k3', 9), { verdict: 'used', host: 'm1', newest: false });
  assert.equal(tokens.expects('m1', 9), false);
  tokens.issue(a, 'm1', 10);
  assert.deepEqual([tokens.expects('m1', 10 + tokenLifeMs), tokens.expects('m1', 11 + tokenLifeMs)], [true, false]);
});

test('over a restart the age of a token counts, on whatever clock; a clock set back makes it young, not younger', () => {
  const year = 365 * 86_400_000;
  for (const [passed, verdict] of [
    [tokenLifeMs, 'ok'],
    [tokenLifeMs + 1, 'expired'],
    [-year, 'ok'],
    [year, 'unknown'],
  ] as const) {
    const tokens = book();
    const token = tokens.issue(a, 'm1', 5000);
    const kept = tokens.list(year);
    assert.equal(kept[0]?.issuedAt, year + 5000);
    const later = book();
    later.restore(kept, 70, year + 5000 + passed);
    assert.equal(later.take(token, a, 'k1', 70).verdict, verdict, `${passed}`);
    if (passed === -year) assert.equal(later.take(token, a, 'k1', 70 + tokenLifeMs + 1).verdict, 'expired');
  }
});

test('kept over a restart, and taken back', () => {
  const tokens = book();
  const [used, fresh] = [tokens.issue(a, 'm1', 0), tokens.issue(b, 'm2', 0)];
  tokens.take(used, a, 'k1', 1);
  const later = book();
  later.restore(JSON.parse(JSON.stringify(tokens.list())), 5);
  assert.equal(later.take(used, a, 'k2', 6).verdict, 'used');
  assert.equal(later.take(fresh, b, 'k2', 6).verdict, 'ok');
  later.revoke('m2');
  assert.equal(later.take(fresh, b, 'k2', 6).verdict, 'unknown');
});

const secret = new Uint8Array(32).fill(7);
const credential = { host: 'm1', mac: a, bootId: 'b-1', agentKey: Uint8Array.from([1, 2, 3]) };

test('a credential says what was sealed, the same each time, and nothing under another secret', () => {
  const text = makeCredential(secret, credential);
  assert.equal(makeCredential(secret, credential), text);
  const { agentKey, ...rest } = readCredential(secret, text)!;
  assert.deepEqual({ ...rest, agentKey: [...agentKey] }, { ...credential, agentKey: [1, 2, 3] });
  assert.equal(readCredential(new Uint8Array(32).fill(8), text), undefined);
});

test('a changed or invented credential is none', () => {
  const text = makeCredential(secret, credential);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(...'AZaz09-_.=+ '), (at, char) => {
      const changed = text.slice(0, at) + char + text.slice(at + 1);
      const read = readCredential(secret, changed);
      // The last digit of 32 bytes in base64url carries two bits that say nothing.
      if (changed !== text && at !== text.length - 1) assert.equal(read, undefined);
    }),
  );
  fc.assert(fc.property(fc.string(), (noise) => assert.equal(readCredential(secret, noise), undefined)));
  assert.equal(readCredential(secret, 'x'.repeat(10_000)), undefined);
});

test('what lies in stock for long is forgotten, though nobody else is given a token', () => {
  const hour = 3600_000;
  const tokens = book();
  for (let i = 0; i < 50; i++) tokens.stock(a, 'm1', i, hour);
  assert.equal(tokens.size, 50);
  tokens.stock(a, 'm1', 3 * hour, hour);
  assert.equal(tokens.size, 1);
});
