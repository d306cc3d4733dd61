import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { RunEvent } from '../machine/event.ts';
import { ends, type Stage, waySteps } from '../machine/stage.ts';
import { coloured, plain } from './colour.ts';
import { plainLines } from './plain-lines.ts';
import { render } from './render.ts';
import { table } from './table.ts';
import { width } from './text.ts';
import { newView, see, type ViewState } from './view-state.ts';

const began = Date.parse('2026-01-01T12:00:00.000Z');
/** So many seconds after the start. */
const at = (seconds: number) => new Date(began + seconds * 1000).toISOString();
const stage = (
  seconds: number,
  host: string,
  name: Stage,
  more: { reason?: string; address?: string } = {},
): RunEvent => ({
  event: 'stage',
  at: at(seconds),
  host,
  stage: name,
  ...more,
});
const run = (hosts: readonly string[], events: readonly RunEvent[]): ViewState =>
  events.reduce(see, newView(hosts, began));
const copying = (seconds: number, host: string, done: number, total?: number, rate?: number): RunEvent => ({
  event: 'progress',
  at: at(seconds),
  host,
  stage: 'copy',
  done_bytes: done,
  ...(total !== undefined && { total_bytes: total }),
  ...(rate !== undefined && { bytes_per_second: rate }),
  ...(total !== undefined && { percent: Math.floor((100 * done) / total), overall_percent: 50, eta_seconds: 65 }),
});

const story: readonly RunEvent[] = [
  { event: 'prepare', at: at(0), text: 'building linux-6.12.30', done: 3, total: 120 },
  stage(1, 'web1', 'probing'),
  stage(2, 'web1', 'waking'),
  stage(4, 'web1', 'firmware'),
  { event: 'seen', at: at(5), host: 'web1', kind: 'dhcp-discover', detail: 'UEFI x64' },
  stage(8, 'web1', 'registered', { address: '10.0.0.5' }),
  stage(10, 'web1', 'copy'),
  copying(20, 'web1', 470e6, 1e9, 112e6),
  stage(2, 'web2', 'waking'),
  stage(3, 'web2', 'firmware'),
  { event: 'seen', at: at(5), host: 'web2', kind: 'dhcp-discover', detail: 'UEFI x64' },
  stage(2, 'database-of-the-rack', 'waking'),
  stage(15, 'database-of-the-rack', 'failed', { reason: 'disko ended with 4:\u001b[31m Problem opening /dev/sda' }),
];
const built: RunEvent = { event: 'prepare', at: at(24), text: 'the build is over', over: true };
const hosts = ['web1', 'web2', 'database-of-the-rack', 'later'];

test('golden: at work while another is built, 80 columns', () => {
  const waits: RunEvent = { event: 'notice', at: at(9), host: 'later', level: 'info', text: 'it waits for its build' };
  const events = [...story, stage(8, 'later', 'registered'), waits];
  assert.deepEqual(render(run(hosts, events), 80, 24, began + 25_000, plain), [
    'prepare building linux-6.12.30                                       3/120  0:25',
    'web1                 copy       [=====>      ]  47%  112 MB/s  1:05 left    0:15',
    'web2                 firmware   dhcp-discover: UEFI x64                     0:22',
    'database-of-the-rack failed     disko ended with 4: Problem opening /de…    0:13',
    'later                registered it waits for its build                      0:17',
    '4 hosts: 1 failed, 3 in work, 0:25, 1:05 left',
  ]);
});

test('golden: at work, 80 columns', () => {
  assert.deepEqual(render(run(hosts, [...story, built]), 80, 24, began + 25_000, plain), [
    'web1                 copy       [=====>      ]  47%  112 MB/s  1:05 left    0:15',
    'web2                 firmware   dhcp-discover: UEFI x64                     0:22',
    'database-of-the-rack failed     disko ended with 4: Problem opening /de…    0:13',
    'later                planned',
    '4 hosts: 1 failed, 3 in work, 0:25, 1:05 left',
  ]);
});

test('golden: while preparing, 60 columns', () => {
  assert.deepEqual(render(run(['a'], story.slice(0, 1)), 60, 24, began + 65_000, plain), [
    'prepare building linux-6.12.30                   3/120  1:05',
    'a    planned',
    '1 host: 1 in work, 1:05',
  ]);
});

test('golden: narrow', () => {
  assert.deepEqual(render(run(hosts, [...story, built]), 30, 24, began + 25_000, plain), [
    'web1                 copy',
    'web2                 firmware',
    'database-of-the-rack failed',
    'later                planned',
    '4 hosts: 1 failed, 3 in work,…',
  ]);
});

test('golden: more hosts than rows', () => {
  const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
  const events = [
    stage(1, 'n5', 'waking'),
    stage(1, 'n7', 'waking'),
    stage(9, 'n7', 'disko'),
    ...names.slice(10).flatMap((name) => [stage(1, name, 'waking'), stage(3, name, 'skipped')]),
    stage(4, 'n39', 'failed', { reason: 'no answer' }),
  ];
  assert.deepEqual(render(run(names, events), 80, 5, began + 10_000, plain), [
    'n7   disko                                                                  0:01',
    'n5   waking                                                                 0:09',
    'n0   planned',
    'n1   planned',
    '40 hosts: 29 skipped, 1 failed, 10 in work (not shown: 36, 6 of them in work), …',
  ]);
});

test('golden: progress without a total, and a finished machine', () => {
  const events = [stage(0, 'a', 'copy'), copying(1, 'a', 1.5e9), stage(0, 'b', 'copy'), copying(1, 'b', 5, 5, 0)];
  assert.deepEqual(render(run(['a', 'b'], events), 60, 9, began + 5_000, plain).slice(0, 2), [
    'a    copy       1.5 GB                                  0:05',
    'b    copy       [============] 100%  0 B/s              0:05',
  ]);
});

test('no line is wider than the terminal, and there are never more than fit', () => {
  const name = fc.constantFrom('a', 'machine-with-a-long-name-that-goes-on', '機械', '\u001b[2J');
  const anyStage = fc.constantFrom(...waySteps, ...ends);
  const number = fc.double({ min: 0, max: 1e18, noNaN: true });
  const event = fc.oneof(
    fc.record({
      event: fc.constant('stage' as const),
      host: name,
      stage: anyStage,
      reason: fc.string({ unit: 'binary' }),
    }),
    fc.record({
      event: fc.constant('progress' as const),
      host: name,
      stage: anyStage,
      done_bytes: number,
      total_bytes: number,
      bytes_per_second: number,
      percent: fc.integer({ min: 0, max: 100 }),
      overall_percent: fc.integer({ min: 0, max: 100 }),
      eta_seconds: fc.option(fc.nat(), { nil: undefined }),
      stalled_seconds: fc.option(fc.nat(), { nil: undefined }),
      stalled_why: fc.string({ unit: 'binary' }),
    }),
    fc.record({
      event: fc.constant('log' as const),
      host: name,
      source: fc.string(),
      text: fc.string({ unit: 'binary' }),
    }),
    fc.record({
      event: fc.constant('prepare' as const),
      text: fc.string({ unit: 'binary' }),
      done: number,
      total: number,
    }),
    fc.record({
      event: fc.constant('result' as const),
      host: name,
      result: fc.constantFrom(...ends),
      seconds: fc.constant({ copy: 3 }),
      log: fc.array(fc.string({ unit: 'binary' })),
    }),
  );
  const timed = fc
    .tuple(event, fc.integer({ min: 0, max: 5000 }))
    .map(([one, seconds]) => ({ ...one, at: at(seconds) }) as RunEvent);
  fc.assert(
    fc.property(
      fc.array(timed, { maxLength: 30 }),
      fc.integer({ min: 10, max: 120 }),
      fc.integer({ min: 1, max: 8 }),
      fc.boolean(),
      (events, columns, rows, colours) => {
        const paint = colours ? coloured : plain;
        const state = run(['a'], events);
        const lines = render(state, columns, rows, began + 6000_000, paint);
        assert.ok(lines.length <= rows);
        for (const line of lines) {
          assert.ok(width(line) <= columns, `${width(line)} > ${columns}: ${JSON.stringify(line)}`);
          assert.doesNotMatch(line.replace(/\u001b\[\d+m/g, ''), /[\u0000-\u001f\u007f-\u009f]/);
        }
        for (const line of table(state, Math.max(columns, 80), paint)) {
          assert.ok(width(line) <= Math.max(columns, 80), JSON.stringify(line));
          assert.doesNotMatch(line.replace(/\u001b\[\d+m/g, ''), /[\u0000-\u001f\u007f-\u009f]/);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('golden: the table at the end', () => {
  const events: RunEvent[] = [
    ...story,
    {
      event: 'result',
      at: at(200),
      host: 'web1',
      result: 'proved',
      address: '10.0.0.5',
      seconds: {
        planned: 100,
        probing: 1,
        waking: 2,
        firmware: 11.4,
        loading: 9.6,
        registered: 0.1,
        disko: 7,
        copy: 42,
        install: 20,
        rebooting: 3,
        proving: 61,
      },
    },
    {
      event: 'result',
      at: at(200),
      host: 'database-of-the-rack',
      result: 'failed',
      reason: 'disko ended with 4: Problem opening /dev/sda',
      seconds: { waking: 13 },
      log: ['### Partitioning disks ###', '\u001b[1mProblem opening\u001b[0m /dev/sda for reading! Error is 2.'],
    },
    {
      event: 'result',
      at: at(200),
      host: 'web3',
      result: 'failed',
      seconds: {},
      log: ['not shown: who said what is known'],
      last_words: { kernel: ['kernel: nvme0: I/O error'], 'nixos-anywhere': ['disko: no such device'], agent: [] },
    },
    { event: 'result', at: at(201), host: 'web2', result: 'skipped', seconds: { probing: 0.2 } },
    {
      event: 'result',
      at: at(201),
      host: 'later',
      result: 'doubtful',
      address: '10.0.0.9',
      reason: 'answers with another host key',
      seconds: {},
    },
    { event: 'end', at: at(201), exit_code: 1, seconds: 201 },
  ];
  assert.deepEqual(table(run(hosts, events), 80, plain), [
    'host                 result        time  time per stage',
    'web1                 proved        4:17  probing 0:01, waking 0:02, firmware',
    '                                         0:11, loading 0:10, disko 0:07, copy',
    '                                         0:42, install 0:20, rebooting 0:03,',
    '                                         proving 1:01',
    '                     10.0.0.5',
    'web2                 skipped       0:00  probing 0:00',
    'database-of-the-rack failed        0:13  waking 0:13',
    '                     disko ended with 4: Problem opening /dev/sda',
    '                     | ### Partitioning disks ###',
    '                     | Problem opening /dev/sda for reading! Error is 2.',
    'later                doubtful      0:00',
    '                     10.0.0.9: answers with another host key',
    'web3                 failed        0:00',
    '                     last lines of nixos-anywhere:',
    '                     | disko: no such device',
    '                     last lines of its kernel:',
    '                     | kernel: nvme0: I/O error',
    '5 hosts: 1 proved, 1 skipped, 2 failed, 1 doubtful; 3:21, exit 1',
  ]);
});

test('plain lines: each change of stage once, progress at most every 10 s, logs only on request', () => {
  const events: RunEvent[] = [
    stage(1, 'a', 'copy', { address: '10.0.0.5' }),
    stage(1, 'a', 'copy', { address: '10.0.0.5' }),
    ...Array.from({ length: 25 }, (_, second) => copying(2 + second, 'a', second * 1e6, 25e6, 1e6)),
    { event: 'log', at: at(28), host: 'a', source: 'agent', text: 'hello' },
    { event: 'seen', at: at(28), host: 'a', kind: 'tftp' },
    { event: 'notice', at: at(29), host: 'a', level: 'warning', text: 'no answer\u001b[2J yet' },
    { event: 'prepare', at: at(30), text: 'building x', done: 1, total: 2 },
    { event: 'prepare', at: at(31), text: 'building y', done: 2, total: 2 },
    stage(32, 'a', 'failed', { reason: 'too slow' }),
  ];
  const lines = (debug: boolean) => {
    const say = plainLines({ debug });
    return events.map(say).filter((line) => line !== undefined);
  };
  assert.deepEqual(lines(false), [
    '12:00:01 a: copy address=10.0.0.5',
    '12:00:02 a: copy 0%, 0 B of 25 MB, 1.0 MB/s, 50% of all, 1:05 left',
    '12:00:12 a: copy 40%, 10 MB of 25 MB, 1.0 MB/s, 50% of all, 1:05 left',
    '12:00:22 a: copy 80%, 20 MB of 25 MB, 1.0 MB/s, 50% of all, 1:05 left',
    '12:00:29 warning: a: no answer yet',
    '12:00:30 prepare: building x 1/2',
    '12:00:32 a: failed: too slow',
  ]);
  assert.equal(lines(true).length, 9);
});
