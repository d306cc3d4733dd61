// JSON as RFC 8259 has it, read into a tree that knows where each value and each key stands, so that every later complaint can name its
// line. Why not JSON.parse: it drops doubled keys in silence and keeps no positions. Why not a YAML parser: it takes what is no JSON.

/** A place in the file; both count from 1, columns in UTF-16 units as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export type JsonNode =
  | { readonly kind: 'value'; readonly at: number; readonly value: string | number | boolean | null }
  | { readonly kind: 'array'; readonly at: number; readonly items: readonly JsonNode[] }
  | { readonly kind: 'object'; readonly at: number; readonly members: readonly Member[] };

export interface Member {
  readonly key: string;
  readonly keyAt: number;
  readonly value: JsonNode;
}

/** The file isn't JSON. `at` is an offset in UTF-16 units; `rule` says what was found and what JSON wants there. */
export class JsonError extends Error {
  override name = 'JsonError';
  readonly at: number;
  readonly rule: string;
  constructor(at: number, rule: string) {
    super(`${rule} (offset ${at})`);
    this.at = at;
    this.rule = rule;
  }
}

const deepest = 64;
const space = /[ \t\n\r]*/y;
const numeral = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const plainText = /[^"\\\u0000-\u001f]*/y;
const word = /[A-Za-z0-9_$.+-]+/y;
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** The tree of a text. Throws JsonError at the first place that isn't JSON; doubled keys are kept, for the caller to judge. */
export function parseJson(text: string): JsonNode {
  let at = 0;

  const match = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  };
  const skip = () => {
    match(space);
    if (text.startsWith('//', at) || text.startsWith('/*', at) || text[at] === '#')
      throw new JsonError(at, 'found a comment; JSON has none');
  };
  const found = (): string => {
    if (at >= text.length) return 'the end of the file';
    word.lastIndex = at;
    return quoted(word.exec(text)?.[0].slice(0, 40) ?? String.fromCodePoint(text.codePointAt(at)!));
  };
  const wanted = (what: string): never => {
    if (text[at] === "'") throw new JsonError(at, `found a single quote, accepted: double quotes`);
    throw new JsonError(at, `found ${found()}, accepted: ${what}`);
  };

  const string = (): string => {
    const start = at;
    at += 1;
    let result = '';
    for (;;) {
      result += match(plainText);
      const next = text[at];
      if (next === '"') {
        at += 1;
        return result;
      }
      if (next === undefined) throw new JsonError(start, 'a string begins here and has no closing quote');
      if (next !== '\\') throw new JsonError(at, `found control character ${code(next)} in a string; write it as \\u…`);
      const letter = text[at + 1] ?? '';
      const hex = /^[0-9a-fA-F]{4}$/.exec(text.slice(at + 2, at + 6))?.[0];
      if (letter === 'u' && hex !== undefined) {
        result += String.fromCharCode(Number.parseInt(hex, 16));
        at += 6;
      } else if (Object.hasOwn(escapes, letter)) {
        result += escapes[letter];
        at += 2;
      } else throw new JsonError(at, `found ${quoted(`\\${letter}`)}, which is no escape of JSON`);
    }
  };

  const value = (depth: number): JsonNode => {
    skip();
    if (depth > deepest) throw new JsonError(at, `nested deeper than ${deepest} levels`);
    const start = at;
    const first = text[at];
    if (first === '{') {
      const members: Member[] = [];
      sequence('}', 'a key in double quotes', () => {
        const keyAt = at;
        if (text[at] !== '"') wanted('a key in double quotes');
        const key = string();
        skip();
        if (text[at] !== ':') wanted('":" after the key');
        at += 1;
        members.push({ key, keyAt, value: value(depth + 1) });
      });
      return { kind: 'object', at: start, members };
    }
    if (first === '[') {
      const items: JsonNode[] = [];
      sequence(']', 'a value', () => items.push(value(depth + 1)));
      return { kind: 'array', at: start, items };
    }
    if (first === '"') return { kind: 'value', at: start, value: string() };
    for (const [name, constant] of constants) {
      if (!text.startsWith(name, at) || /[A-Za-z0-9_$]/.test(text[at + name.length] ?? '')) continue;
      at += name.length;
      return { kind: 'value', at: start, value: constant };
    }
    const digits = match(numeral);
    if (digits !== '' && !/[A-Za-z0-9_$.+]/.test(text[at] ?? ''))
      return { kind: 'value', at: start, value: Number(digits) };
    at = start;
    return wanted('a value: {…}, […], "text", a number, true, false or null');
  };

  const sequence = (close: string, what: string, item: () => void) => {
    at += 1;
    skip();
    if (text[at] === close) {
      at += 1;
      return;
    }
    for (;;) {
      item();
      skip();
      if (text[at] === close) {
        at += 1;
        return;
      }
      if (text[at] !== ',') wanted(`"," or "${close}"`);
      const comma = at;
      at += 1;
      skip();
      if (text[at] === close) throw new JsonError(comma, `found "," before "${close}", accepted: ${what} after it`);
    }
  };

  const root = value(0);
  skip();
  if (at < text.length) throw new JsonError(at, `found ${found()} after the end of the value`);
  return root;
}

const constants: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

function code(character: string): string {
  return `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** What JSON.parse would give; of doubled keys the last. */
export function toValue(node: JsonNode): unknown {
  if (node.kind === 'value') return node.value;
  if (node.kind === 'array') return node.items.map(toValue);
  const object = {};
  // Not by assignment: `__proto__` is a key like any other.
  for (const { key, value } of node.members)
    Object.defineProperty(object, key, {
      value: toValue(value),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  return object;
}

/** `$.machine1.expect_disks[0].serial`; keys that aren't plain words stand in brackets. */
export function jsonPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, step) =>
      typeof step === 'number'
        ? `${text}[${step}]`
        : /^[A-Za-z_$][A-Za-z0-9_$-]*$/.test(step)
          ? `${text}.${step}`
          : `${text}[${quoted(step)}]`,
    '$',
  );
}

/** In JSON's own quotes, on one line; what could lead a terminal astray is escaped too. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Where an offset of the text stands. */
export function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: offset - lineStart + 1 };
}
