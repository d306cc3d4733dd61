import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type RelaySeen, SeenOne } from '@nixie/proto/relay';
import type { Mac } from '../machine/mac.ts';
import { relayKey } from './key.ts';
import { logJson, logText } from './log-line.ts';
import { Problems } from './problems.ts';
import { SeenBatches, seenOne } from './seen-words.ts';

test('log lines: one line, values quoted where they must be, nothing of an escape', () => {
  const event = {
    name: 'uplink',
    level: 'warning' as const,
    state: 'down',
    why: 'no "answer"\u001b[31m\nx',
    port: 7482,
    none: undefined,
  };
  assert.equal(logText(event), 'warning: uplink state=down why="no \\"answer\\" [31m x" port=7482');
  assert.deepEqual(JSON.parse(logJson({ ...event, version: 7n }, '2026-01-01T00:00:00Z')), {
    event: 'uplink',
    at: '2026-01-01T00:00:00Z',
    level: 'warning',
    state: 'down',
    why: event.why,
    port: 7482,
    version: 7,
  });
});

test('what was seen goes out in batches, each with its time; strangers have a small share', () => {
  const said: RelaySeen[] = [];
  let now = 1000;
  let due: (() => void) | undefined;
  const batches = new SeenBatches({
    ticks: () => 0,
    now: () => now++,
    after: (_ms, call) => {
      due = call;
      return () => {
        due = undefined;
      };
    },
    say: (batch) => void said.push(batch),
  });
  for (let i = 0; i < 500; i++) batches.push({ kind: 'dhcp-silent' });
  batches.push({ kind: 'tftp-sent', machine: 'm1', mac: '52:54:00:00:00:01' as Mac, done: 3, total: 3 });
  assert.equal(said.length, 0);
  due!();
  assert.equal(said.length, 1);
  const { seen } = said[0]!;
  assert.equal(seen.length, 101);
  assert.equal(seen.at(-1)!.unixMs, 1100n);
  assert.equal(seen.at(-1)!.machine, 'm1');
  assert.equal(batches.dropped, 400);
  batches.flush();
  assert.equal(said.length, 1);
});

test('every field of what was seen crosses', () => {
  const one = seenOne(
    {
      kind: 'dhcp-answered',
      mac: '52:54:00:00:00:01' as Mac,
      interface: 'lan0',
      why: 'proxy offer',
      detail: 'snponly.efi',
      asked: 'DISCOVER',
      client: 'pxe',
      port: 67,
      giaddr: '10.1.0.1',
      stranger: { uuid: 'u' },
      done: 0,
    },
    5.4,
  );
  const again = SeenOne.decode(SeenOne.encode(one).finish());
  assert.deepEqual(again, one);
  assert.equal(again.unixMs, 5n);
  assert.equal(again.done, 0);
  assert.equal(again.total, undefined);
});

test('problems are said once, listed while they last, bounded', () => {
  const said: string[] = [];
  let ticks = 0;
  const problems = new Problems(
    (text) => said.push(text),
    () => ticks,
  );
  problems.set('disk', 'full');
  problems.set('disk', 'still full');
  assert.deepEqual(said, ['full']);
  assert.deepEqual(problems.list(), ['still full']);
  problems.clear('disk');
  assert.deepEqual(problems.list(), []);
  for (let i = 0; i < 100; i++) problems.set(`file ${i}`, String(i));
  assert.equal(problems.list().length, 16);
  ticks += 600_000;
  assert.deepEqual(problems.list(), []);
});

test('the key is made once, for its owner alone; another file in its place is not overwritten', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-relay-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const first = relayKey(folder).export({ type: 'pkcs8', format: 'pem' });
  const file = join(folder, 'relay-key.pem');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(relayKey(folder).export({ type: 'pkcs8', format: 'pem' }), first);
  writeFileSync(file, 'something else');
  assert.throws(() => relayKey(folder), /relay-key\.pem: it is no Ed25519 private key; .*nixie relay-token/);
  assert.equal(readFileSync(file, 'utf8'), 'something else');
});
