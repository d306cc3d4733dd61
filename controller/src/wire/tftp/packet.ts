// TFTP packets as values: RFC 1350, with the options of RFC 2347 (2348 blksize, 2349 tsize and timeout, 7440 windowsize).

/** Name in lower case (they are case-insensitive, RFC 2347) and value as sent, in wire order. */
export type TftpOption = readonly [name: string, value: string];

export type TftpPacket =
  | {
      readonly op: 'read' | 'write';
      /** One character for each octet. */
      readonly name: string;
      /** Lower case. */
      readonly mode: string;
      readonly options: readonly TftpOption[];
    }
  | { readonly op: 'data'; readonly block: number; readonly data: Uint8Array }
  | { readonly op: 'ack'; readonly block: number }
  | { readonly op: 'error'; readonly code: number; readonly message: string }
  | { readonly op: 'oack'; readonly options: readonly TftpOption[] };

export type TftpRule =
  | 'shorter than an opcode'
  | 'unknown opcode'
  | 'cut off'
  | 'text without end'
  | 'option without value';

/** The only error that decoding throws: which rule was broken, and at which octet. */
export class TftpFormatError extends Error {
  readonly rule: TftpRule;
  readonly offset: number;
  constructor(rule: TftpRule, offset: number) {
    super(`malformed TFTP packet: ${rule} (octet ${offset})`);
    this.name = 'TftpFormatError';
    this.rule = rule;
    this.offset = offset;
  }
}

/** RFC 1350 section 5, RFC 2347. */
export const tftpError = {
  notDefined: 0,
  notFound: 1,
  accessViolation: 2,
  diskFull: 3,
  illegalOperation: 4,
  unknownTransfer: 5,
  fileExists: 6,
  noSuchUser: 7,
  optionsRefused: 8,
} as const;

const opcodes = { read: 1, write: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;

/** Text up to the next NUL, and where it goes on. */
function readText(bytes: Uint8Array, from: number): readonly [text: string, next: number] {
  const end = bytes.indexOf(0, from);
  if (end < 0) throw new TftpFormatError('text without end', from);
  return [latin1(bytes.subarray(from, end)), end + 1];
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function readOptions(bytes: Uint8Array, from: number): TftpOption[] {
  const options: TftpOption[] = [];
  let at = from;
  while (at < bytes.length) {
    const [name, valueAt] = readText(bytes, at);
    if (name === '') break; // some firmware pads its request with zeros
    if (valueAt >= bytes.length) throw new TftpFormatError('option without value', valueAt);
    const [value, next] = readText(bytes, valueAt);
    options.push([name.toLowerCase(), value]);
    at = next;
  }
  return options;
}

/** @throws TftpFormatError */
export function decodeTftp(bytes: Uint8Array): TftpPacket {
  if (bytes.length < 2) throw new TftpFormatError('shorter than an opcode', bytes.length);
  const opcode = (bytes[0]! << 8) | bytes[1]!;
  if (opcode === opcodes.read || opcode === opcodes.write) {
    const [name, modeAt] = readText(bytes, 2);
    const [mode, optionsAt] = readText(bytes, modeAt);
    const options = readOptions(bytes, optionsAt);
    return { op: opcode === opcodes.read ? 'read' : 'write', name, mode: mode.toLowerCase(), options };
  }
  if (opcode === opcodes.oack) return { op: 'oack', options: readOptions(bytes, 2) };
  if (opcode < opcodes.data || opcode > opcodes.oack) throw new TftpFormatError('unknown opcode', 0);
  if (bytes.length < 4) throw new TftpFormatError('cut off', bytes.length);
  const number = (bytes[2]! << 8) | bytes[3]!;
  if (opcode === opcodes.data) return { op: 'data', block: number, data: bytes.subarray(4) };
  if (opcode === opcodes.ack) return { op: 'ack', block: number };
  // Some clients leave the message or its NUL out.
  const end = bytes.indexOf(0, 4);
  return { op: 'error', code: number, message: latin1(bytes.subarray(4, end < 0 ? bytes.length : end)) };
}

function withTexts(opcode: number, texts: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(2 + texts.reduce((sum, text) => sum + text.length + 1, 0));
  bytes[1] = opcode;
  let at = 2;
  for (const text of texts) {
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code === 0 || code > 255) throw new RangeError(`TFTP text can not hold character ${code}`);
      bytes[at++] = code;
    }
    at++;
  }
  return bytes;
}

/** @throws RangeError for text with NUL or characters beyond one octet */
export function encodeTftp(packet: TftpPacket): Uint8Array {
  switch (packet.op) {
    case 'read':
    case 'write':
      return withTexts(opcodes[packet.op], [packet.name, packet.mode, ...packet.options.flat()]);
    case 'oack':
      return withTexts(opcodes.oack, packet.options.flat());
    case 'data': {
      const bytes = new Uint8Array(4 + packet.data.length);
      bytes.set([0, opcodes.data, (packet.block >> 8) & 0xff, packet.block & 0xff]);
      bytes.set(packet.data, 4);
      return bytes;
    }
    case 'ack':
      return Uint8Array.of(0, opcodes.ack, (packet.block >> 8) & 0xff, packet.block & 0xff);
    case 'error': {
      const text = withTexts(opcodes.error, [packet.message]);
      const bytes = new Uint8Array(text.length + 2);
      bytes.set([0, opcodes.error, (packet.code >> 8) & 0xff, packet.code & 0xff]);
      bytes.set(text.subarray(2), 4);
      return bytes;
    }
  }
}
