import assert from 'node:assert/strict';
import test from 'node:test';
import { ConfigError } from '../config/problem.ts';
import { readLogs, readSince } from './logs-request.ts';

const now = Date.UTC(2026, 10, 20, 21, 30, 0);
const around = { cwd: '/w', uid: 1000, env: { HOME: '/h' } };

test('since: durations and times', () => {
  const rows: [string, string | undefined][] = [
    ['90s', '2026-11-20T21:28:30.000Z'],
    ['10m', '2026-11-20T21:20:00.000Z'],
    ['1h30m', '2026-11-20T20:00:00.000Z'],
    ['2d', '2026-11-18T21:30:00.000Z'],
    ['21:05', '2026-11-20T21:05:00.000Z'],
    ['21:05:07', '2026-11-20T21:05:07.000Z'],
    ['23:00', '2026-11-19T23:00:00.000Z'],
    ['2026-11-20', '2026-11-20T00:00:00.000Z'],
    ['2026-11-20T21:05', '2026-11-20T21:05:00.000Z'],
    ['2026-11-20 21:05:01.5Z', '2026-11-20T21:05:01.500Z'],
    ['2026-11-20T21:05:00+02:00', '2026-11-20T19:05:00.000Z'],
    ...['', '10', 'm', '10x', '24:00', '9:60', '2026-13-01', 'yesterday', '-5m', '1e3s'].map(
      (text): [string, undefined] => [text, undefined],
    ),
  ];
  for (const [text, want] of rows) {
    const since = readSince(text);
    assert.equal(since && new Date(since(now)).toISOString(), want, text);
  }
});

test('what is asked for, and where', () => {
  const { since, ...given } = readLogs('web1', { state: '~/s', since: '5m', stage: 'copy', follow: true }, around);
  assert.equal(since?.(now), now - 300_000);
  assert.deepEqual(given, {
    host: 'web1',
    socket: '/h/s/operator.sock',
    logDir: '/h/s/logs',
    follow: true,
    json: false,
    stage: 'copy',
  });
  assert.equal(readLogs('web1', { logDir: 'x' }, around).logDir, '/w/x');
  assert.equal(readLogs('web1', {}, { ...around, uid: 0 }).logDir, '/var/lib/nixie/logs');
});

test('all that is wrong at once', () => {
  assert.throws(
    () => readLogs('web1', { since: 'noon', stage: 'copi' }, around),
    (error) =>
      error instanceof ConfigError &&
      error.problems.map(({ where }) => where).join() === '--since,--stage' &&
      /did you mean "copy"\?/.test(error.message),
  );
});
