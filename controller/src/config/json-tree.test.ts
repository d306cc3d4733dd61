import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { JsonError, jsonPath, parseJson, positionOf, toValue } from './json-tree.ts';

test('every JSON value reads as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.integer({ min: 0, max: 3 }), (json, indent) => {
      const text = JSON.stringify(JSON.parse(json), null, indent);
      assert.deepEqual(toValue(parseJson(text)), JSON.parse(text));
    }),
  );
});

/** Texts near JSON: characters that matter to a parser, in any order. */
const nearJson = fc
  .array(fc.constantFrom(...'{}[]",:\\ \n\t-+.eE019tfn#/\'u', 'true', 'null', '"a"', '\u0000', 'é'), { maxLength: 14 })
  .map((parts) => parts.join(''));

test('accepts exactly what JSON.parse accepts, and otherwise throws only JsonError with a place inside the text', () => {
  fc.assert(
    fc.property(fc.oneof(nearJson, fc.string(), fc.string({ unit: 'binary' })), (text) => {
      let expected: { value: unknown } | undefined;
      try {
        expected = { value: JSON.parse(text) };
      } catch {}
      try {
        const value = toValue(parseJson(text));
        assert.ok(expected, `accepted ${JSON.stringify(text)}`);
        assert.deepEqual(value, expected.value);
      } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        assert.equal(expected, undefined, `refused ${JSON.stringify(text)}: ${error.message}`);
        assert.ok(error.at >= 0 && error.at <= text.length);
      }
    }),
    { numRuns: 2000 },
  );
});

const refusals: readonly [name: string, text: string, line: number, column: number, rule: RegExp][] = [
  ['empty', '', 1, 1, /the end of the file/],
  ['trailing comma', '{"a": 1,\n}', 1, 8, /"," before "}"/],
  ['single quotes', "{'a': 1}", 1, 2, /single quote/],
  ['comment', '{\n  // mine\n}', 2, 3, /comment/],
  ['YAML comment', '# mine\n{}', 1, 1, /comment/],
  ['YAML mapping', 'a: 1', 1, 1, /found "a"/],
  ['YAML word', '{"a": yes}', 1, 7, /found "yes"/],
  ['hexadecimal', '{"a": 0x10}', 1, 7, /found "0x10"/],
  ['leading zero', '[01]', 1, 2, /found "01"/],
  ['second value', '{} {}', 1, 4, /after the end/],
  ['missing colon', '{"a" 1}', 1, 6, /":" after the key/],
  ['open string', '{"a', 1, 2, /no closing quote/],
  ['line break in a string', '["a\n"]', 1, 4, /U\+000A/],
  ['wrong escape', '["\\x41"]', 1, 3, /no escape/],
];
for (const [name, text, line, column, rule] of refusals)
  test(`refuses ${name}`, () => {
    assert.throws(
      () => parseJson(text),
      (error: unknown) => {
        assert.ok(error instanceof JsonError);
        assert.deepEqual(positionOf(text, error.at), { line, column });
        assert.match(error.rule, rule);
        return true;
      },
    );
  });

test('deep nesting is refused and does not end the process', () => {
  assert.throws(() => parseJson('['.repeat(200_000)), JsonError);
  assert.throws(() => parseJson('{"a":'.repeat(200_000)), JsonError);
});

test('paths', () => {
  assert.equal(jsonPath(['a', 'b.c', 1, 'd']), '$.a["b.c"][1].d');
});

test('what is shown of a text can not lead a terminal astray', () => {
  assert.equal(jsonPath(['a\u202eb\u007f']), '$["a\\u202eb\\u007f"]');
  assert.throws(() => parseJson('{"a"\u009b1m}'), { rule: 'found "\\u009b", accepted: ":" after the key' });
});
