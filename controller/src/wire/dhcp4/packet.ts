// DHCPv4 messages as values: RFC 951 and RFC 2131 section 2 for the header, RFC 2132 for the options, RFC 3396 for long ones.
// What was decoded is encoded again to the same bytes: options stay in wire order, sname and file keep what follows their first NUL.
import { readAddress, writeAddress } from './address.ts';

/** Code 1 to 254 and the value as it was on the wire. */
export type DhcpOption = readonly [code: number, value: Uint8Array];

export interface DhcpPacket {
  /** 1 from a client, 2 from a server. */
  readonly op: number;
  readonly htype: number;
  /** Octets used of chaddr, at most 16. */
  readonly hlen: number;
  readonly hops: number;
  /** Unsigned 32 bits. */
  readonly xid: number;
  /** Seconds by the client's word; firmware puts anything here. */
  readonly secs: number;
  /** 0x8000: the client wants broadcasts. */
  readonly flags: number;
  readonly ciaddr: string;
  readonly yiaddr: string;
  readonly siaddr: string;
  readonly giaddr: string;
  /** 16 octets. */
  readonly chaddr: Uint8Array;
  /** 64 octets as decoded; fewer are filled up with NULs. */
  readonly sname: Uint8Array;
  /** 128 octets as decoded; fewer are filled up with NULs. */
  readonly file: Uint8Array;
  /** Those of the options field in wire order, pad (0) and end (255) left out. Overloaded ones stay in sname and file: see `option`. */
  readonly options: readonly DhcpOption[];
}

export type FormatRule =
  | 'shorter than a header'
  | 'longer than a datagram'
  | 'op is neither 1 nor 2'
  | 'hardware address longer than 16'
  | 'no DHCP magic cookie'
  | 'option without length'
  | 'option past the end';

/** The only error that decoding throws: which rule was broken, and at which octet. */
export class DhcpFormatError extends Error {
  readonly rule: FormatRule;
  readonly offset: number;
  constructor(rule: FormatRule, offset: number) {
    super(`malformed DHCP message: ${rule} (octet ${offset})`);
    this.name = 'DhcpFormatError';
    this.rule = rule;
    this.offset = offset;
  }
}

const cookieOffset = 236;
const optionsOffset = 240;
const snameOffset = 44;
const fileOffset = 108;
const cookie = [0x63, 0x82, 0x53, 0x63]; // RFC 2131 section 3
/** Relays and old clients drop shorter ones: RFC 951 section 3, RFC 1542 2.1. */
export const minimumLength = 300;
const maximumLength = 65_507; // what fits a UDP datagram over IPv4

const padOption = 0;
const endOption = 255;
const overloadOption = 52;

/** Walks the options between two offsets: RFC 2132 section 2. A missing end mark is forgiven, as all servers do. */
function readOptions(bytes: Uint8Array, from: number, to: number): DhcpOption[] {
  const options: DhcpOption[] = [];
  let at = from;
  while (at < to) {
    const code = bytes[at]!;
    if (code === padOption) {
      at += 1;
      continue;
    }
    if (code === endOption) break;
    if (at + 1 >= to) throw new DhcpFormatError('option without length', at);
    const end = at + 2 + bytes[at + 1]!;
    if (end > to) throw new DhcpFormatError('option past the end', at);
    options.push([code, bytes.subarray(at + 2, end)]);
    at = end;
  }
  return options;
}

/** One whole UDP payload. Throws DhcpFormatError. The result shares no memory with `datagram`. */
export function decodeDhcp(datagram: Uint8Array): DhcpPacket {
  // Too long ones are not copied first.
  return decodeDhcpInPlace(datagram.length > maximumLength ? datagram : new Uint8Array(datagram));
}

/** The same without the copy, for who has done with the result before the octets change: all values are parts of `bytes`, which is no Buffer. */
export function decodeDhcpInPlace(bytes: Uint8Array): DhcpPacket {
  if (bytes.length < optionsOffset) throw new DhcpFormatError('shorter than a header', bytes.length);
  if (bytes.length > maximumLength) throw new DhcpFormatError('longer than a datagram', maximumLength);
  const op = bytes[0]!;
  if (op !== 1 && op !== 2) throw new DhcpFormatError('op is neither 1 nor 2', 0);
  if (bytes[2]! > 16) throw new DhcpFormatError('hardware address longer than 16', 2);
  for (let index = 0; index < cookie.length; index++)
    if (bytes[cookieOffset + index] !== cookie[index])
      throw new DhcpFormatError('no DHCP magic cookie', cookieOffset + index);
  const options = readOptions(bytes, optionsOffset, bytes.length);
  const packet: DhcpPacket = {
    op,
    htype: bytes[1]!,
    hlen: bytes[2]!,
    hops: bytes[3]!,
    xid: ((bytes[4]! << 24) | (bytes[5]! << 16) | (bytes[6]! << 8) | bytes[7]!) >>> 0,
    secs: (bytes[8]! << 8) | bytes[9]!,
    flags: (bytes[10]! << 8) | bytes[11]!,
    ciaddr: readAddress(bytes, 12),
    yiaddr: readAddress(bytes, 16),
    siaddr: readAddress(bytes, 20),
    giaddr: readAddress(bytes, 24),
    chaddr: bytes.subarray(28, snameOffset),
    sname: bytes.subarray(snameOffset, fileOffset),
    file: bytes.subarray(fileOffset, cookieOffset),
    options,
  };
  // Options kept in sname and file must be sound too, so that nobody meets an error later.
  const overload = overloadOf(packet);
  if (overload & 1) readOptions(bytes, fileOffset, cookieOffset);
  if (overload & 2) readOptions(bytes, snameOffset, fileOffset);
  return packet;
}

/** RFC 2132 9.3: 1 = file holds options, 2 = sname does, 3 = both. */
function overloadOf({ options }: DhcpPacket): number {
  for (let at = 0; at < options.length; at++) {
    const [code, value] = options[at]!;
    if (code === overloadOption) return value.length === 1 && value[0]! <= 3 ? value[0]! : 0;
  }
  return 0;
}

/** All options in the order in which RFC 3396 joins them: options field, then file, then sname where they are overloaded. */
export function allOptions(packet: DhcpPacket): readonly DhcpOption[] {
  const overload = overloadOf(packet);
  if (overload === 0) return packet.options;
  return [
    ...packet.options,
    ...(overload & 1 ? readOptions(packet.file, 0, packet.file.length) : []),
    ...(overload & 2 ? readOptions(packet.sname, 0, packet.sname.length) : []),
  ];
}

/** The value of an option, split ones joined (RFC 3396 section 7); undefined when it isn't there. */
export function option(packet: DhcpPacket, code: number): Uint8Array | undefined {
  const options = allOptions(packet);
  let first: Uint8Array | undefined;
  let more: Uint8Array[] | undefined;
  // By index: twenty are asked for in each message.
  for (let at = 0; at < options.length; at++) {
    const each = options[at]!;
    if (each[0] !== code) continue;
    if (first === undefined) first = each[1];
    else if (more === undefined) more = [first, each[1]];
    else more.push(each[1]);
  }
  return more === undefined ? first : Uint8Array.from(more.flatMap((value) => Array.from(value)));
}

/** A value of no octets, for what isn't there. */
export const noOctets: Uint8Array = new Uint8Array(0);

/** Text of a header field up to its first NUL; empty while the field holds options. */
export function headerText(packet: DhcpPacket, field: 'sname' | 'file'): string {
  if (overloadOf(packet) & (field === 'file' ? 1 : 2)) return '';
  const bytes = packet[field];
  const end = bytes.indexOf(0);
  return latin1(end < 0 ? bytes : bytes.subarray(0, end));
}

/** One character for each octet: what firmware sends as text has no declared character set. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}

/** The reverse of latin1. Throws a RangeError when a character isn't one octet. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.codePointAt(at)!;
    if (code > 255) throw new RangeError(`not a single octet: ${JSON.stringify(String.fromCodePoint(code))}`);
    bytes[at] = code;
  }
  return bytes;
}

/** `text` for sname or file, which have `length` octets. Throws a RangeError when no room is left for one NUL. */
export function fieldText(text: string, length: number): Uint8Array {
  const bytes = latin1Bytes(text);
  if (bytes.length >= length) throw new RangeError(`${bytes.length} octets don't fit ${length} with a NUL`);
  return bytes;
}

/** The UDP payload, zeros up to 300 octets. Values of more than 255 octets are split (RFC 3396). Throws a RangeError for a bad code. */
export function encodeDhcp(packet: DhcpPacket): Uint8Array {
  const bytes = new Uint8Array(encodedLength(packet));
  write(packet, bytes);
  return bytes;
}

/** The same in memory that is used again and again: the octets are those of `into` until it is written to the next time, or own ones if they don't fit. */
export function encodeDhcpInto(packet: DhcpPacket, into: Uint8Array): Uint8Array {
  const length = encodedLength(packet);
  if (length > into.length) return encodeDhcp(packet);
  const bytes = into.subarray(0, length);
  bytes.fill(0);
  write(packet, bytes);
  return bytes;
}

function encodedLength({ options }: DhcpPacket): number {
  let end = optionsOffset;
  for (let at = 0; at < options.length; at++) {
    const [code, value] = options[at]!;
    if (!Number.isInteger(code) || code <= padOption || code >= endOption) throw new RangeError(`option code ${code}`);
    end += 2 * Math.max(1, Math.ceil(value.length / 255)) + value.length;
  }
  return Math.max(minimumLength, end + 1);
}

function write(packet: DhcpPacket, bytes: Uint8Array): void {
  const { xid, secs, flags, options } = packet;
  bytes[0] = packet.op;
  bytes[1] = packet.htype;
  bytes[2] = packet.hlen;
  bytes[3] = packet.hops;
  bytes[4] = xid >>> 24;
  bytes[5] = xid >>> 16;
  bytes[6] = xid >>> 8;
  bytes[7] = xid;
  bytes[8] = secs >>> 8;
  bytes[9] = secs;
  bytes[10] = flags >>> 8;
  bytes[11] = flags;
  writeAddress(packet.ciaddr, bytes, 12);
  writeAddress(packet.yiaddr, bytes, 16);
  writeAddress(packet.siaddr, bytes, 20);
  writeAddress(packet.giaddr, bytes, 24);
  writeField(packet.chaddr, bytes, 28, 16);
  writeField(packet.sname, bytes, snameOffset, 64);
  writeField(packet.file, bytes, fileOffset, 128);
  for (let index = 0; index < cookie.length; index++) bytes[cookieOffset + index] = cookie[index]!;
  let to = optionsOffset;
  for (let index = 0; index < options.length; index++) {
    const [code, value] = options[index]!;
    let at = 0;
    do {
      const length = Math.min(255, value.length - at);
      bytes[to] = code;
      bytes[to + 1] = length;
      for (let i = 0; i < length; i++) bytes[to + 2 + i] = value[at + i]!;
      to += 2 + length;
      at += 255;
    } while (at < value.length);
  }
  bytes[to] = endOption;
}

function writeField(field: Uint8Array, bytes: Uint8Array, at: number, most: number): void {
  bytes.set(field.length > most ? field.subarray(0, most) : field, at);
}
