// Compared with JSON.parse: the two must agree on what is JSON, and on its value.
import { isDeepStrictEqual } from 'node:util';
import { placesOf } from '../../../controller/src/config/json-places.ts';
import {
  JsonError,
  type JsonNode,
  jsonPath,
  parseJson,
  positionOf,
  toValue,
} from '../../../controller/src/config/json-tree.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

export const target: Target = {
  name: 'json-tree',
  seeds: [
    bytesOf('{"a": [1, -2.5e3, "x\\u00e9\\n", true, false, null, {"b": {}}], "c d": []}'),
    bytesOf('[[[[{"a":"\\"\\\\\\/\\b\\f\\r\\t"}]]]]'),
    bytesOf('{"__proto__": 1, "a": 2, "a": 3}'),
  ],
  dictionary: [
    '"',
    '\\',
    '\\u',
    '\\ud800',
    '{"a":',
    '[',
    ']',
    '}',
    ',',
    ':',
    'true',
    'nul',
    '1e5',
    '-',
    '0',
    '// x',
    "'",
    '\t',
    '\r\n',
  ],
  allowed: [JsonError],
  run(bytes) {
    const source = text(bytes);
    let known: { value: unknown } | undefined;
    try {
      known = { value: JSON.parse(source) };
    } catch {
      known = undefined;
    }
    let root: JsonNode;
    try {
      root = parseJson(source);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      positionOf(source, error.at);
      must(known === undefined || /nested deeper/.test(error.rule), 'what JSON.parse takes is taken');
      must(error.at >= 0 && error.at <= source.length, 'the offset lies in the text');
      throw error;
    }
    must(known !== undefined, 'what JSON.parse refuses is refused');
    must(isDeepStrictEqual(toValue(root), known.value), 'the value is that of JSON.parse');
    placesOf(root, source).keyOffset(['a', 0, 'b']);
    if (root.kind === 'object') for (const { key } of root.members.slice(0, 8)) jsonPath([key, 0]);
  },
};
