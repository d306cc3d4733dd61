import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import type { HostLine } from '../machine/host-line.ts';
import { openLogFiles } from '../store/log-files.ts';
import { Account } from './account.ts';
import { type NewLine, RunLog } from './run-log.ts';
import { lineOf } from './told-line.ts';

const line = (text: string, more: Partial<NewLine> = {}): NewLine => ({
  origin: 'journal',
  source: 'sshd.service',
  text,
  ...more,
});
const make = (mask = (text: string) => text) => {
  const clock = { now: 1000 };
  return { clock, log: new RunLog({ mask, now: () => clock.now }) };
};

test('a line is of the stage that the machine was in when it was said', () => {
  const { log } = make();
  assert.equal(log.keep('m1', [line('x')])[0]!.stage, 'planned');
  log.moved('m1', 'loading', 2000);
  log.moved('m1', 'copy', 3000);
  const stages = [1000, 2000, 2999, 3000, 9000].map((at) => log.keep('m1', [line('x', { at })])[0]!.stage);
  assert.deepEqual(stages, ['loading', 'loading', 'loading', 'copy', 'copy']);
});

test('of each who spoke the last words are kept, masked; a new beginning forgets them', () => {
  const { log } = make((text) => text.replaceAll('sesame', '[key]'));
  for (let i = 0; i < 100; i++)
    log.keep('m1', [line(`unit ${i} sesame`), line(`boot ${i}`, { origin: 'kernel', source: 'kernel' })]);
  log.keep('m1', [line('x'.repeat(9000), { origin: 'nixos-anywhere', source: 'disko' })]);
  log.keep('m1', [line('stage copy', { origin: 'core', source: 'stage' })]);
  log.keep('m1', [line('ready', { origin: 'agent', source: 'agent' })]);
  const words = log.lastWords('m1', 2);
  assert.deepEqual(Object.keys(words), ['nixos-anywhere', 'agent', 'kernel']);
  assert.deepEqual(words.agent, ['sshd.service: unit 99 [key]', 'agent: ready']);
  assert.deepEqual(words.kernel, ['kernel: boot 98', 'kernel: boot 99']);
  assert.equal(words['nixos-anywhere']![0]!.length, 'disko: '.length + 2001);
  assert.deepEqual(log.last('m1', 2), ['stage: stage copy', 'agent: ready']);
  log.forget('m1');
  assert.deepEqual([log.lastWords('m1', 2), log.last('m1', 2), log.last('m2', 2)], [{}, [], []]);
});

test('who follows gets each line; one who fails is let go; without files what is in memory is read', async () => {
  const { log } = make();
  const got: string[] = [];
  log.keep('m1', [line('before')]);
  const end = log.follow('m1', (lines) => void got.push(...lines.map(({ text }) => text)));
  log.follow('m1', () => {
    throw new Error('gone');
  });
  log.keep('m1', [line('a'), line('b', { severity: 3 })]);
  log.keep('m2', [line('other')]);
  log.keep('m1', []);
  end();
  log.keep('m1', [line('after')]);
  assert.deepEqual(got, ['a', 'b']);
  const kept: HostLine[] = [];
  for await (const lines of log.until('m1', {})) kept.push(...lines);
  assert.deepEqual(
    kept.map(({ text, severity }) => [text, severity]),
    [
      ['before', undefined],
      ['a', undefined],
      ['b', 3],
      ['after', undefined],
    ],
  );
  for await (const _ of log.until('m1', { since: 5000 })) assert.fail();
});

test('what the disk did not take is read from memory, behind what it took', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-run-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  let free = 1000;
  const files = openLogFiles({
    folder,
    onTrouble: () => {},
    ticks: () => 0,
    lossLine: () => '',
    leaveFreeBytes: 1,
    freeBytes: () => free,
  });
  t.after(() => files.close());
  let now = 0;
  const log = new RunLog({ mask: (text) => text, now: () => ++now, files });
  const read = async () => {
    const found: string[] = [];
    for await (const lines of log.until('m1', {})) found.push(...lines.map(({ text }) => text));
    return found;
  };
  log.keep('m1', [line('a'), line('b')]);
  assert.deepEqual(await read(), ['a', 'b']);
  free = 0;
  log.keep('m1', [line('c'), line('d')]);
  await read();
  assert.deepEqual(await read(), ['a', 'b', 'c', 'd']);
});

test('events that are lines, and of whom', () => {
  const at = '2026-01-01T00:00:00.000Z';
  const said = (event: RunEvent) => {
    const found = lineOf(event);
    return found && [found.host, found.line.origin, found.line.source, found.line.text, found.line.severity];
  };
  assert.deepEqual(said({ event: 'log', at, host: 'm1', source: 'disko', text: 'x' }), [
    'm1',
    'nixos-anywhere',
    'disko',
    'x',
    undefined,
  ]);
  assert.deepEqual(said({ event: 'log', at, host: 'm1', source: 'proof', text: 'x' }), [
    'm1',
    'core',
    'proof',
    'x',
    undefined,
  ]);
  assert.deepEqual(said({ event: 'stage', at, host: 'm1', stage: 'failed', address: '10.0.0.1', reason: 'why' }), [
    'm1',
    'core',
    'stage',
    'failed at 10.0.0.1: why',
    undefined,
  ]);
  assert.deepEqual(said({ event: 'notice', at, level: 'warning', text: 'x' }), [undefined, 'core', 'notice', 'x', 4]);
  assert.deepEqual(said({ event: 'seen', at, host: 'm1', kind: 'discover', detail: 'd' }), [
    'm1',
    'core',
    'seen',
    'discover: d',
    undefined,
  ]);
  assert.equal(said({ event: 'seen', at, mac: 'm', kind: 'discover' }), undefined);
  assert.equal(said({ event: 'progress', at, host: 'm1', stage: 'copy' }), undefined);
});

test('of a flood as much is told as can be followed, and how much is missing', () => {
  let now = 0;
  const shown: RunEvent[] = [];
  const account = new Account({
    hosts: { all: () => [], named: () => undefined },
    life: () => undefined,
    toplevel: () => undefined,
    agentConnected: () => false,
    show: (event) => void shown.push(event),
    proved: () => {},
    now: () => now,
    ticks: () => now,
  });
  const texts = () => shown.splice(0).map((event) => (event.event === 'log' ? event.text : ''));
  account.said(
    'm1',
    Array.from({ length: 9000 }, (_, i) => line(`${i}`)),
  );
  assert.deepEqual(texts().slice(-1), ['4999']);
  now += 1000;
  account.said('m1', [line('a'), line('b')]);
  assert.deepEqual(texts(), ['4,000 lines are not shown here; nixie logs m1 shows them', 'a', 'b']);
  now += 60_000;
  account.said('m1', [line('c')]);
  assert.deepEqual(texts(), ['c']);
});
