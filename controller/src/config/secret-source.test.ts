import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { parseSource, splitWords } from './secret-source.ts';

test('sources', () => {
  const rows: [string, unknown][] = [
    ['prompt', { kind: 'prompt' }],
    ['file:/a b', { kind: 'file', path: '/a b' }],
    ['file:keys/m1', { kind: 'file', path: 'keys/m1' }],
    ['env:DISK_KEY', { kind: 'env', name: 'DISK_KEY' }],
    ['command:pass show disk/m1', { kind: 'command', argv: ['pass', 'show', 'disk/m1'] }],
    ['file:', undefined],
    ['file:~/key', undefined],
    ['env:', undefined],
    ['env:1A', undefined],
    ['env:A B', undefined],
    ['command:', undefined],
    ['command:   ', undefined],
    ["command:''", undefined],
    ['command:a "b', undefined],
    ['Prompt', undefined],
    ['hunter2', undefined],
    ['', undefined],
  ];
  for (const [word, want] of rows) assert.deepEqual(parseSource(word), want, word);
});

test('words of a command', () => {
  const rows: [string, string[] | undefined][] = [
    ['a b', ['a', 'b']],
    ['  a\t b ', ['a', 'b']],
    ["sh -c 'cat a | head'", ['sh', '-c', 'cat a | head']],
    ['a "b \\" c\\\\" d', ['a', 'b " c\\', 'd']],
    ['a "\\n"', ['a', '\\n']],
    ['a\\ b', ['a b']],
    ['a\'b\'"c"d', ['abcd']],
    ["a ''", ['a', '']],
    ['echo $HOME * ;', ['echo', '$HOME', '*', ';']],
    ["a 'b", undefined],
    ['a \\', undefined],
    ['a\nb', undefined],
  ];
  for (const [text, want] of rows) assert.deepEqual(splitWords(text), want, text);
});

test('quoted words come back as they were, whatever they hold', () => {
  const word = fc.string({ unit: 'grapheme' }).filter((text) => !/[\0-\x08\x0a-\x1f\x7f]/.test(text));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1 }), (words) => {
      const text = words.map((each) => `'${each.replaceAll("'", "'\\''")}'`).join(' ');
      assert.deepEqual(splitWords(text), words);
    }),
  );
});

test('never throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseSource(`command:${text}`)));
});
