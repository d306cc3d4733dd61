import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { coloured, paintFor } from './colour.ts';
import { cell, clean, clock, cut, size, width, wrap } from './text.ts';

const steering = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

test('nothing that steers a terminal is left', () => {
  const table: readonly [given: string, want: string][] = [
    ['\u001b[31mred\u001b[0m', 'red'],
    ['\u001b]0;title\u0007text', 'text'],
    ['\u009b2Jgone', 'gone'],
    ['a\r\nb\tc\u0008', 'a b c'],
    ['half \u001b[', 'half ['],
    ['abc\u202edef', 'abcdef'],
    ['\ud800x', '\ufffdx'],
    ['Grüße 日本', 'Grüße 日本'],
  ];
  for (const [given, want] of table) assert.equal(clean(given), want);
  const bytes = fc.array(
    fc.oneof(fc.constantFrom('\u001b', '[', ']', '0;', 'm', '\u0007', '\u009b', '\n'), fc.string({ unit: 'binary' })),
  );
  fc.assert(
    fc.property(bytes, (parts) => {
      const text = clean(parts.join(''), 50);
      assert.doesNotMatch(text, steering);
      assert.ok(text.length <= 50);
    }),
    { numRuns: 2000 },
  );
});

test('widths count cells', () => {
  assert.equal(width('abc'), 3);
  assert.equal(width('日本'), 4);
  assert.equal(width('e\u0301'), 1);
  assert.equal(width(coloured('red', 'abc')), 3);
  assert.equal(width('🚀'), 2);
});

test('a cut or wrapped text is never wider than asked, and wrapping loses no word', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '日', 'é', 'e\u0301', '🚀') });
  fc.assert(
    fc.property(text, fc.integer({ min: 2, max: 20 }), (given, cells) => {
      assert.ok(width(cut(given, cells)) <= cells);
      assert.equal(width(cell(given, cells)), cells);
      const lines = wrap(given, cells);
      for (const line of lines) assert.ok(width(line) <= cells, JSON.stringify(line));
      assert.equal(lines.join('').replaceAll(' ', ''), given.replaceAll(' ', ''));
    }),
    { numRuns: 500 },
  );
});

test('times and sizes', () => {
  assert.deepEqual([0, 59.9, 60, 754, 3723].map(clock), ['0:00', '0:59', '1:00', '12:34', '1:02:03']);
  const sizes = [0, 512, 999, 999.6, 1000, 9949, 9951, 118e6, 999.6e6, 2.5e9];
  assert.deepEqual(sizes.map(size), [
    '0 B',
    '512 B',
    '999 B',
    '1.0 kB',
    '1.0 kB',
    '9.9 kB',
    '10 kB',
    '118 MB',
    '1.0 GB',
    '2.5 GB',
  ]);
});

test('colours only on terminals that want them', () => {
  const table: readonly [terminal: boolean, env: Record<string, string>, want: string][] = [
    [true, { TERM: 'xterm' }, '\u001b[31mx\u001b[39m'],
    [false, { TERM: 'xterm' }, 'x'],
    [true, { NO_COLOR: '1' }, 'x'],
    [true, { NO_COLOR: '' }, '\u001b[31mx\u001b[39m'],
    [true, { TERM: 'dumb' }, 'x'],
  ];
  for (const [terminal, env, want] of table) assert.equal(paintFor(terminal, env)('red', 'x'), want);
});
