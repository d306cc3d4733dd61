// Order and losses over reconnects are tested with the agent's queue: agent/src/log-queue.test.ts.
import assert from 'node:assert/strict';
import test from 'node:test';
import { LogIntake } from './log-intake.ts';

const batch = (first: bigint, texts: readonly string[], more = {}) => ({
  stream: 5n,
  first,
  lines: texts.map((text) => ({ unixMs: 900n, source: 'x', text, severity: undefined })),
  dropped: 0n,
  unixMs: 1000n,
  ...more,
});
const take = (intake: LogIntake, ...given: Parameters<typeof batch>) => {
  const { lines, lost, next } = intake.take('m1', batch(...given), 50_000);
  return [lines.map(({ text }) => text).join(''), lost, next];
};

test('what came already is left out, what is missing is counted', () => {
  const intake = new LogIntake();
  assert.deepEqual(take(intake, 10n, ['a', 'b']), ['ab', 0, 12n]);
  assert.deepEqual(take(intake, 11n, ['b', 'c']), ['c', 0, 13n]);
  assert.deepEqual(take(intake, 10n, ['a']), ['', 0, 13n]);
  assert.deepEqual(take(intake, 20n, ['d'], { dropped: 99n }), ['d', 7, 21n]);
});

test('the first batch of a stream says what was lost before; what another life of the controller has is not lost', () => {
  const intake = new LogIntake();
  assert.deepEqual(take(intake, 10n, ['a'], { dropped: 4n }), ['a', 4, 11n]);
  assert.deepEqual(take(intake, 0n, ['b'], { stream: 6n }), ['b', 0, 1n]);
  // The older one may have something on the way still.
  assert.deepEqual(take(intake, 10n, ['a', 'c']), ['c', 0, 12n]);
  for (const stream of [7n, 8n]) take(intake, 0n, ['x'], { stream });
  assert.deepEqual(take(intake, 10n, ['a']), ['a', 0, 11n]);
});

test('one that asks for no acknowledgement is taken as it comes', () => {
  const intake = new LogIntake();
  for (let i = 0; i < 2; i++)
    assert.deepEqual(take(intake, 0n, ['a'], { stream: 0n, dropped: 3n }), ['a', 3, undefined]);
});

test('times are ours: the age of a line by the clock of its machine, which may be wrong by years', () => {
  const at = (more: object) => new LogIntake().take('m1', batch(0n, ['a'], more), 50_000).lines[0]!.at;
  assert.equal(at({}), 49_900);
  assert.equal(at({ unixMs: 0n }), 50_000);
  assert.equal(at({ unixMs: 800n }), 50_000);
  assert.equal(at({ unixMs: 2n ** 62n }), 50_000 - 30 * 86_400_000);
});
