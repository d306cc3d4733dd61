import assert from 'node:assert/strict';
import test from 'node:test';
import type { Surroundings } from '../config/flags.ts';
import { joinTokenText } from '../machine/relay.ts';
import { type RelayOptions, readRelay } from './relay-request.ts';

const token = { name: 'rack7', url: 'https://192.0.2.7', fingerprint: 'a'.repeat(64), secret: Buffer.alloc(32, 7) };
const files: Readonly<Record<string, { text: string; mode: number }>> = {
  '/etc/rack7.token': { text: `${joinTokenText(token)}\n`, mode: 0o600 },
  '/etc/open.token': { text: joinTokenText(token), mode: 0o644 },
  '/etc/torn.token': { text: joinTokenText(token).slice(0, -20), mode: 0o600 },
};
const around: Surroundings = {
  cwd: '/etc',
  uid: 0,
  env: { HOME: '/root', XDG_STATE_HOME: '/root/state' },
  readFile: (path) => Buffer.from(files[path]!.text),
  look: (path) => {
    const file = files[path];
    return file === undefined ? undefined : { kind: 'file', mode: file.mode, uid: 0 };
  },
};
const usual: RelayOptions = { token: 'rack7.token', interface: ['eth1', 'eth1'] };

test('what is not given is taken from the token, and usual', () => {
  const read = readRelay(usual, around);
  assert.ok(read.ok);
  const { request } = read;
  assert.deepEqual(
    { ...request, token: request.token.name },
    {
      endpoint: { host: '192.0.2.7', port: 7482 },
      token: 'rack7',
      interfaces: ['eth1'],
      stateDir: '/var/lib/nixie-relay',
      cacheDir: '/var/lib/nixie-relay',
      cacheBytes: 20e9,
      planLifeMs: 3_600_000,
      json: false,
    },
  );
  const other = readRelay(
    { ...usual, controller: 'boot.example:99', cacheSize: '50GiB', planLife: '90s', state: 'here', json: true },
    { ...around, uid: 1000 },
  );
  assert.ok(other.ok);
  assert.deepEqual(other.request.endpoint, { host: 'boot.example', port: 99 });
  assert.equal(other.request.cacheBytes, 50 * 2 ** 30);
  assert.deepEqual([other.request.stateDir, other.request.cacheDir], ['/etc/here', '/etc/here']);
  const apart = readRelay({ ...usual, cacheDir: '/var/cache/x' }, around);
  assert.ok(apart.ok);
  assert.deepEqual([apart.request.stateDir, apart.request.cacheDir], ['/var/lib/nixie-relay', '/var/cache/x']);
  const mine = readRelay(usual, { ...around, uid: 1000 });
  assert.ok(mine.ok && mine.request.stateDir === '/root/state/nixie-relay');
});

const wrong: readonly (readonly [string, RelayOptions, RegExp])[] = [
  ['nothing', {}, /^--token not given.*--interface not given/s],
  ['no such token file', { ...usual, token: 'none' }, /--token found nothing at \/etc\/none/],
  ['a token for all to read', { ...usual, token: 'open.token' }, /--token .*mode 644.*chmod 600/],
  ['half a token', { ...usual, token: 'torn.token' }, /--token \/etc\/torn\.token: read join token: /],
  ['a URL', { ...usual, controller: 'https://x' }, /--controller found "https:\/\/x", accepted: HOST or HOST:PORT/],
  ['an odd interface', { ...usual, interface: ['../x'] }, /--interface found "\.\.\/x"/],
  ['a cache for nothing', { ...usual, cacheSize: '1M' }, /--cache-size found "1M", accepted: 1G or more/],
  ['a file for a state folder', { ...usual, state: 'rack7.token' }, /--state found no folder at \/etc\/rack7\.token/],
  ['a file for a cache', { ...usual, cacheDir: 'rack7.token' }, /--cache-dir found no folder at \/etc\/rack7\.token/],
  ['no duration', { ...usual, planLife: '5' }, /--plan-life found "5"/],
  ['longer than its tokens are known', { ...usual, planLife: '4h' }, /--plan-life found "4h", .* up to 1h30m/],
];
for (const [name, options, want] of wrong)
  test(`${name}: refused`, () => {
    const read = readRelay(options, around);
    assert.ok(!read.ok);
    const text = read.problems.map((each) => `${each.where} ${each.text}`).join('\n');
    assert.match(text, want);
    assert.ok(!text.includes(token.secret.toString('base64url')));
  });
