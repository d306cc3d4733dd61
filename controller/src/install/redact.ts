// Masks the values of secrets in text that is shown, sent or kept: as they are, in base64 and in hexadecimal; and the one-time tokens of boot
// scripts, wherever a kernel command line is repeated.
import type { RunEvent } from '../machine/event.ts';

export interface Redactor {
  /** Masks it from now on, as `[NAME]`. False: it is too short to be told from ordinary text, and stays visible where it is repeated. */
  add(name: string, value: Uint8Array): boolean;
  text(text: string): string;
  /** Free text is masked; names, addresses and store paths stay what they are. */
  event<Event extends RunEvent>(event: Event): Event;
}

export const shortestMasked = 6;
/** Beyond this only the beginning is looked for: no line that we handle repeats more at once. */
const longestForm = 4096;
/** Of a text with many lines. */
const mostLines = 2000;
/** A line of a secret file that is shorter says too little, such as `}` or `[main]`. */
const shortestLine = 8;

const token = /\b(nixie\.token=)[0-9a-fA-F]+/g;

export function makeRedactor(): Redactor {
  /** First characters → what begins so. A text is gone through once, however many secrets there are. */
  const forms = new Map<string, { masks: Map<string, string> /** Longest first. */; lengths: number[] }>();

  const learn = (form: string, mask: string) => {
    if (form.length < shortestMasked) return;
    const start = form.slice(0, shortestMasked);
    const known = forms.get(start) ?? { masks: new Map<string, string>(), lengths: [] };
    forms.set(start, known);
    if (!known.masks.has(form)) known.masks.set(form, mask);
    if (!known.lengths.includes(form.length)) known.lengths.push(form.length);
    known.lengths.sort((a, b) => b - a);
  };

  const text = (given: string): string => {
    const plain = given.includes('nixie.token=') ? given.replace(token, '$1[redacted]') : given;
    if (forms.size === 0) return plain;
    let masked = '';
    let copied = 0;
    for (let at = 0; at + shortestMasked <= plain.length; at++) {
      const known = forms.get(plain.slice(at, at + shortestMasked));
      const length = known?.lengths.find((each) => known.masks.has(plain.slice(at, at + each)));
      const torn =
        known === undefined || length !== undefined || plain.length - at > known.lengths[0]!
          ? undefined
          : tornMask(known.masks, plain.slice(at));
      // A line that was cut off in the middle of it: nothing is behind.
      if (torn !== undefined) return masked + plain.slice(copied, at) + torn;
      if (known === undefined || length === undefined) continue;
      masked += plain.slice(copied, at) + known.masks.get(plain.slice(at, at + length));
      copied = at + length;
      at = copied - 1;
    }
    return copied === 0 ? plain : masked + plain.slice(copied);
  };

  return {
    add(name, value) {
      if (value.length < shortestMasked) return false;
      const mask = `[${name}]`;
      for (const piece of pieces(value)) for (const form of formsOf(piece)) learn(form, mask);
      return true;
    },
    text,
    event(event) {
      const changed: Record<string, unknown> = { ...event };
      for (const key of ['text', 'reason', 'detail'])
        if (typeof changed[key] === 'string') changed[key] = text(changed[key]);
      if (Array.isArray(changed.log)) changed.log = changed.log.map((line) => text(String(line)));
      if (typeof changed.last_words === 'object' && changed.last_words !== null)
        changed.last_words = Object.fromEntries(
          Object.entries(changed.last_words).map(([speaker, lines]) => [speaker, (lines as string[]).map(text)]),
        );
      return changed as typeof event;
    },
  };
}

/** The mask of a form that begins with all of this text, which may end in `…`. */
function tornMask(masks: ReadonlyMap<string, string>, rest: string): string | undefined {
  const said = rest.endsWith('…') ? rest.slice(0, -1) : rest;
  for (const [form, mask] of masks) if (form.length > said.length && form.startsWith(said)) return `${mask}…`;
  return undefined;
}

/** The whole, and each of its lines: what prints it prints lines. */
function pieces(value: Uint8Array): Uint8Array[] {
  const whole = Buffer.from(value).subarray(0, longestForm);
  const lines = Buffer.from(value)
    .toString('latin1')
    .split(/[\r\n]+/, mostLines)
    .map((line) => Buffer.from(line, 'latin1').subarray(0, longestForm))
    .filter((line) => line.length >= shortestLine || line.length === trimmed(value).length);
  return [whole, trimmed(whole), ...lines];
}

function trimmed(value: Uint8Array): Buffer {
  return Buffer.from(
    Buffer.from(value)
      .toString('latin1')
      .replace(/[\r\n]+$/, ''),
    'latin1',
  );
}

/**
 * As text, also as lines are cleaned before they get here and as it stands in JSON and in a URL; in hexadecimal of both cases, and in base64 of
 * both alphabets.
 */
export function formsOf(value: Uint8Array): string[] {
  const bytes = Buffer.from(value);
  const hex = bytes.toString('hex');
  // In the middle of other bytes base64 begins at one of three places; the characters at its ends hold neighbours' bits as well.
  const base64 = [0, 1, 2].flatMap((shift) => {
    const all = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '');
    const spoiltEnd = (bytes.length + shift) % 3 === 0 ? 0 : 1;
    return all.slice([0, 2, 3][shift], all.length - spoiltEnd);
  });
  const url = base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'));
  const text = bytes.toString('utf8');
  const cleaned = [' ', '  ', ''].map((tab) => text.replaceAll('\t', tab).replace(/[\x00-\x1f\x7f-\x9f]/g, ''));
  const quoted = [JSON.stringify(text).slice(1, -1), encodeURIComponent(text.toWellFormed())];
  const texts = [text, ...cleaned, ...quoted, bytes.toString('latin1')];
  return [...new Set([...texts, hex, hex.toUpperCase(), ...base64, ...url])];
}
