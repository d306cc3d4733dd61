import assert from 'node:assert/strict';
import test from 'node:test';
import { knownAs, withKnownHost } from './known-hosts.ts';

const key = 'ssh-ed25519 AAAANEW';
const merged = (text: string) => withKnownHost(text, ['10.0.0.7', 'machine1'], key);

test('an earlier key of the same type gives way, however the line is spaced', () => {
  for (const line of [
    'machine1 ssh-ed25519 AAAAOLD',
    'machine1\tssh-ed25519\tAAAAOLD',
    '  10.0.0.7   ssh-ed25519 AAAAOLD x\r',
  ])
    assert.equal(merged(`${line}\n`), `10.0.0.7,machine1 ${key}\n`);
});

test('other lines stay as they are', () => {
  const others = [
    '# machine1 ssh-ed25519 A',
    '@revoked machine1 ssh-ed25519 A',
    '|1|a|b ssh-ed25519 A',
    'x\tssh-ed25519  A',
    '\rmachine1 ssh-ed25519 A',
    'machine1 ssh-rsa B',
  ];
  assert.equal(merged(`${others.join('\n')}\n`), `${[...others, `10.0.0.7,machine1 ${key}`].join('\n')}\n`);
});

test('a line of several names loses only ours, and adding again changes nothing', () => {
  const once = merged('other,machine1,10.0.0.7 ssh-ed25519 AAAAOLD note\n');
  assert.equal(once, `other ssh-ed25519 AAAAOLD note\n10.0.0.7,machine1 ${key}\n`);
  assert.equal(merged(once), once);
});

test('the key of a machine behind a relay takes no address from a machine here', () => {
  assert.deepEqual(knownAs('machine1', '10.0.0.7', undefined), ['machine1', '10.0.0.7']);
  assert.deepEqual(knownAs('machine1', '10.0.0.7', 'rack7'), ['machine1']);
  assert.deepEqual(knownAs('machine1', undefined, undefined), ['machine1']);
});
