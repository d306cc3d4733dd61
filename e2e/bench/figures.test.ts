import assert from 'node:assert/strict';
import test from 'node:test';
import { figureLines, figureOf, median } from './figures.ts';

test('the median of an even number of values is the mean of the middle two', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([9, 1, 5, 6]), 5.5);
});

const measured = { figure: 'answer, ms', values: [3, 1, 2], peer: 'other', peerValues: [2, 1, 1], goal: 2 };

test('a figure is the ratio of medians beside its goal', () => {
  assert.deepEqual(figureOf('x', measured), {
    bench: 'x',
    figure: 'answer, ms',
    value: 2,
    peer: 'other',
    peer_value: 1,
    ratio: 2,
    goal: 2,
    met: true,
  });
  assert.equal(figureOf('x', { ...measured, goal: 1.9 }).met, false);
  assert.equal(figureOf('x', { ...measured, goal: 1.9, want: 'at least' }).met, true);
  assert.equal(figureOf('x', { ...measured, peerValues: [Number.NaN] }).met, false);
});

test('programs get one object a line, people a table with the spread', () => {
  const lines = figureLines('x', [measured, measured], true);
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    [figureOf('x', measured), figureOf('x', measured)],
  );
  const [head, row] = figureLines('x', [measured], false);
  assert.match(head!, /^x +median \(min–max\) +peer +ratio +goal$/);
  assert.match(row!, /^answer, ms +2 \(1–3\) +other: 1 \(1–2\) +2\.00× +≤ 2× met$/);
});
