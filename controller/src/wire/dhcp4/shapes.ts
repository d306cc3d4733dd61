// Option values as text and back, by shape. A shape may refuse a value (undefined): then it is shown as hexadecimal octets.
import { parseAddress, readAddress } from './address.ts';
import type { Shape } from './names.ts';
import {
  addressesBytes,
  architectureNames,
  integerBytes,
  ipxeFeature,
  type MessageType,
  messageTypeBytes,
  messageTypes,
  readAddresses,
  readArchitectures,
  readInteger,
  readMessageType,
  readSubOptions,
  readUuid,
  relaySub,
  subOptionsBytes,
  uuidBytes,
} from './options.ts';
import { latin1, latin1Bytes } from './packet.ts';

export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('');
}

/** Undefined unless the text is an even number of hexadecimal digits. */
export function hexBytes(text: string): Uint8Array | undefined {
  // No repeated group: on a long text that overflows the stack of the pattern's engine.
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Text in double quotes; octets outside printable ASCII as \xNN. */
export function quote(bytes: Uint8Array): string {
  const body = latin1(bytes).replace(
    /[^ !#-[\]-~]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${body}"`;
}

export function unquote(text: string): Uint8Array | undefined {
  const body = text.slice(1, -1);
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return undefined;
  if (/[^ !#-[\]-~]/.test(body.replace(/\\x[0-9a-f]{2}/g, ''))) return undefined;
  return latin1Bytes(body.replace(/\\x(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))));
}

export interface ShapeText {
  print(value: Uint8Array): string | undefined;
  /** Undefined when the text isn't of the shape. */
  parse(text: string): Uint8Array | undefined;
}

/** `{name}=value` pairs of sub-options; a number stands for a sub-option without a name. */
function subOptionShape(names: Readonly<Record<string, number>>, ends: boolean): ShapeText {
  const nameOf = new Map(Object.entries(names).map(([name, sub]) => [sub, name]));
  return {
    print(value) {
      const entries = readSubOptions(value, ends);
      const words = entries.map(([sub, bytes]) => `${nameOf.get(sub) ?? sub}=${hexText(bytes)}`);
      return ends && value.at(-1) === 255 ? [...words, 'end'].join(' ') : words.join(' ');
    },
    parse(text) {
      const words = text.split(' ').filter((word) => word !== '');
      const end = ends && words.at(-1) === 'end' ? [words.pop()] : [];
      const entries = words.map((word): [number, Uint8Array] | undefined => {
        const [name = '', hex = ''] = word.split('=');
        const sub = names[name] ?? (/^[0-9]{1,3}$/.test(name) ? Number(name) : Number.NaN);
        const bytes = hexBytes(hex);
        return sub <= 255 && bytes !== undefined && bytes.length <= 255 ? [sub, bytes] : undefined;
      });
      if (entries.some((entry) => entry === undefined)) return undefined;
      return Uint8Array.from([...subOptionsBytes(entries as [number, Uint8Array][]), ...end.map(() => 255)]);
    },
  };
}

/** Space-separated words, each parsed alone. */
function words<T>(text: string, parse: (word: string) => T | undefined): T[] | undefined {
  const parsed = text.split(' ').map(parse);
  return parsed.some((item) => item === undefined) ? undefined : (parsed as T[]);
}

const decimal = (word: string, most: number): number | undefined =>
  /^(0|[1-9][0-9]{0,9})$/.test(word) && Number(word) <= most ? Number(word) : undefined;

const bytesShape: ShapeText = {
  print: (value) => `hex ${hexText(value)}`.trimEnd(),
  parse: (text) => (text === 'hex' ? new Uint8Array() : text.startsWith('hex ') ? hexBytes(text.slice(4)) : undefined),
};

const quotedShape: ShapeText = { print: quote, parse: unquote };

const macPattern = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;

export const shapes: Readonly<Record<Shape, ShapeText>> = {
  bytes: bytesShape,
  text: quotedShape,
  'user-class': quotedShape,
  address: {
    print: (value) => (value.length === 4 ? readAddress(value) : undefined),
    parse: parseAddress,
  },
  addresses: {
    print: (value) => readAddresses(value)?.join(' '),
    parse: (text) => words(text, (word) => parseAddress(word)) && addressesBytes(text.split(' ')),
  },
  integer: {
    // The width is part of the value: 16 bits are told from 8 and 32.
    print: (value) => {
      const number = readInteger(value);
      return number === undefined ? undefined : `${number} (${value.length * 8} bit)`;
    },
    parse: (text) => {
      const match = /^([0-9]{1,10}) \((8|16|32) bit\)$/.exec(text);
      const octets = match ? ((Number(match[2]) / 8) as 1 | 2 | 4) : 1;
      return match && Number(match[1]) < 256 ** octets ? integerBytes(Number(match[1]), octets) : undefined;
    },
  },
  flag: {
    print: (value) => (value.length === 1 && value[0]! <= 1 ? (value[0] === 1 ? 'yes' : 'no') : undefined),
    parse: (text) => (text === 'yes' ? Uint8Array.of(1) : text === 'no' ? Uint8Array.of(0) : undefined),
  },
  'message-type': {
    print: readMessageType,
    parse: (text) =>
      messageTypes.slice(1).includes(text as MessageType) ? messageTypeBytes(text as MessageType) : undefined,
  },
  codes: {
    print: (value) => (value.length === 0 ? undefined : value.join(' ')),
    parse: (text) => {
      const codes = words(text, (word) => decimal(word, 255));
      return codes && Uint8Array.from(codes);
    },
  },
  'client-id': {
    // RFC 2132 9.14: hardware type 1 and an Ethernet address is what most clients send.
    print: (value) =>
      value.length === 7 && value[0] === 1
        ? `ethernet ${hexText(value.subarray(1)).replace(/(..)(?!$)/g, '$1:')}`
        : undefined,
    parse: (text) =>
      text.startsWith('ethernet ') && macPattern.test(text.slice(9))
        ? hexBytes(`01${text.slice(9).replaceAll(':', '')}`)
        : undefined,
  },
  architectures: {
    print: (value) =>
      readArchitectures(value)
        ?.map((type) => `${type}:${architectureNames[type] ?? 'unknown'}`)
        .join(' '),
    parse: (text) => {
      const types = words(text, (word) => decimal(word.split(':')[0]!, 65_535));
      return types && Uint8Array.from(types.flatMap((type) => [type >> 8, type & 255]));
    },
  },
  undi: {
    // RFC 4578 2.2: type 1 is UNDI, then major and minor revision.
    print: (value) => (value.length === 3 && value[0] === 1 ? `UNDI ${value[1]}.${value[2]}` : undefined),
    parse: (text) => {
      const match = /^UNDI ([0-9]{1,3})\.([0-9]{1,3})$/.exec(text);
      const revision = match?.slice(1).map(Number);
      return revision?.every((number) => number <= 255) ? Uint8Array.of(1, ...revision) : undefined;
    },
  },
  uuid: {
    print: readUuid,
    parse: uuidBytes,
  },
  relay: subOptionShape(relaySub, false),
  ipxe: subOptionShape(
    { ...ipxeFeature, priority: 1, 'keep-san': 8, 'skip-san': 9, 'no-pxedhcp': 176, 'bus-id': 177, version: 235 },
    false,
  ),
  'pxe-vendor': subOptionShape({ 'discovery-control': 6, 'boot-servers': 8, 'boot-menu': 9, 'menu-prompt': 10 }, true),
};

/** The value in the form of its shape when that form leads back to the same octets, otherwise in hexadecimal. */
export function printValue(shape: Shape, value: Uint8Array): string {
  const text = shapes[shape].print(value);
  if (text !== undefined && text !== '' && !text.startsWith('hex')) {
    const back = shapes[shape].parse(text);
    if (back?.length === value.length && back.every((octet, index) => octet === value[index])) return text;
  }
  return bytesShape.print(value)!;
}

/** The reverse of printValue. */
export function parseValue(shape: Shape, text: string): Uint8Array | undefined {
  return bytesShape.parse(text) ?? shapes[shape].parse(text);
}
