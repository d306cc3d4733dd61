import assert from 'node:assert/strict';
import test from 'node:test';
import type { RelayState } from '@nixie/proto/operator';
import { relayJson, relayLines } from './relay-lines.ts';

const link = {
  version: '0.1.0',
  peer: '192.0.2.9:4711',
  connections: 3,
  cacheBytes: 1_000_000_000n,
  cacheLimitBytes: 20_000_000_000n,
  cacheFiles: 4,
  cacheHits: 7n,
  fetchedBytes: 1_000_000_000n,
  seenDropped: 0n,
  problems: ['the disk of the cache is full\u001b[2J'],
};
const base: RelayState = {
  name: 'rack7',
  link: undefined,
  why: undefined,
  sinceUnixMs: undefined,
  hasToken: true,
  hosts: 2,
  current: false,
};

test('relays are shown with what is wrong with them', () => {
  assert.deepEqual(relayLines([], 0), []);
  assert.deepEqual(relayLines([base], 0).slice(2), ['  rack7  never connected; 2 hosts']);
  assert.match(relayLines([{ ...base, hasToken: false, hosts: 1 }], 0)[2]!, /nixie relay-token rack7; 1 host$/);
  assert.match(
    relayLines([{ ...base, sinceUnixMs: 1000n, why: 'its token was revoked' }], 66_000)[2]!,
    /not connected for 1:05: its token was revoked; 2 hosts/,
  );
  const [, , line, problem] = relayLines([{ ...base, link, current: true, sinceUnixMs: 0n }], 5000);
  assert.match(
    line!,
    /connected for 0:05 from 192\.0\.2\.9:4711, 0\.1\.0, 2 hosts, 3 connections, cache 1(?:\.0)? GB of 20(?:\.0)? GB, 7 hits/,
  );
  assert.ok(!line!.includes('newest plan'));
  assert.match(problem!, /problem: the disk of the cache is full/);
  assert.ok(!problem!.includes('\u001b'));
});

test('as JSON unknown is absent', () => {
  assert.deepEqual(JSON.parse(relayJson(base)), {
    relay: 'rack7',
    connected: false,
    has_token: true,
    hosts: 2,
    current: false,
  });
  assert.equal(JSON.parse(relayJson({ ...base, link })).cache_bytes, 1_000_000_000);
});
