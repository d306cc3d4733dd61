import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';
import { exitCodeOfEnds, exitCodeOfError, exitCodes } from './exit-codes.ts';
import { watchSignals } from './signals.ts';

test('the first signal asks, the second ends; doubles of one key press count once', () => {
  const source = new EventEmitter();
  let now = 0;
  const told: string[] = [];
  const stop = watchSignals(source, () => now, {
    first: (signal) => told.push(`first ${signal}`),
    second: (signal) => told.push(`second ${signal}`),
  });
  source.emit('SIGINT');
  now = 5;
  source.emit('SIGINT'); // the launcher's copy
  assert.deepEqual(told, ['first SIGINT']);
  now = 1000;
  source.emit('SIGINT');
  assert.deepEqual(told, ['first SIGINT', 'second SIGINT']);
  stop();
  assert.equal(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM') + source.listenerCount('SIGHUP'), 0);
});

test('another signal counts at once', () => {
  const source = new EventEmitter();
  const told: string[] = [];
  watchSignals(source, () => 0, { first: (signal) => told.push(signal), second: (signal) => told.push(signal) });
  source.emit('SIGTERM');
  source.emit('SIGINT');
  assert.deepEqual(told, ['SIGTERM', 'SIGINT']);
});

test('exit status of a run', () => {
  const table: readonly [ends: Parameters<typeof exitCodeOfEnds>[0], want: number][] = [
    [['proved', 'skipped'], 0],
    [['proved', 'unproved'], 4],
    [['doubtful'], 4],
    [['doubtful', 'failed', 'proved'], 1],
    [['refused'], 1],
    [['copy'], 1], // ended without an end
    [[], 0],
  ];
  for (const [ends, want] of table) assert.equal(exitCodeOfEnds(ends), want, String(ends));
});

test('exit status of an error, also of a wrapped one', () => {
  const named = (name: string, cause?: Error) => Object.assign(new Error('x', { cause }), { name });
  assert.equal(exitCodeOfError(named('ConfigError')), exitCodes.usage);
  assert.equal(exitCodeOfError(named('PortTaken')), exitCodes.unable);
  assert.equal(exitCodeOfError(named('Error', named('ProgramMissing'))), exitCodes.unable);
  assert.equal(exitCodeOfError(new Error('x')), exitCodes.failed);
  assert.equal(exitCodeOfError('text'), exitCodes.failed);
  const loop = new Error('x');
  loop.cause = loop;
  assert.equal(exitCodeOfError(loop), exitCodes.failed);
});

test('a service takes each SIGHUP for a wish to read again', () => {
  const source = new EventEmitter();
  const told: string[] = [];
  const stop = watchSignals(source, () => 0, {
    first: (signal) => told.push(signal),
    second: (signal) => told.push(signal),
    reload: () => told.push('reload'),
  });
  for (const signal of ['SIGHUP', 'SIGHUP', 'SIGTERM', 'SIGHUP']) source.emit(signal);
  assert.deepEqual(told, ['reload', 'reload', 'SIGTERM', 'reload']);
  stop();
  assert.equal(source.listenerCount('SIGHUP'), 0);
});
