// A message as lines of text that people read and `parseDhcp` reads back to the same octets. Golden files in text form use it too.
//
//   request xid 2309be0f secs 4 flags 0000 hops 0
//   hardware 1 52:54:00:77:00:01
//   client 0.0.0.0 your 0.0.0.0 next 0.0.0.0 relay 0.0.0.0
//   file "snponly.efi"
//   53 message-type: DISCOVER
import { parseAddress } from './address.ts';
import { optionName, optionShape } from './names.ts';
import type { DhcpOption, DhcpPacket } from './packet.ts';
import { hexBytes, hexText, parseValue, printValue, quote, unquote } from './shapes.ts';

const colons = (bytes: Uint8Array): string => hexText(bytes).replace(/(..)(?!$)/g, '$1:');

/** Only up to the last octet that isn't 0. */
function withoutZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}

function extended(bytes: Uint8Array, length: number): Uint8Array {
  const field = new Uint8Array(length);
  field.set(bytes.subarray(0, length));
  return field;
}

/** Lines without a line feed. Fields that are empty (sname, file, hardware address padding) are left out. */
export function printDhcp(packet: DhcpPacket): string[] {
  const hardware = packet.chaddr.subarray(0, packet.hlen);
  const padding = withoutZeros(packet.chaddr.subarray(packet.hlen));
  const sname = withoutZeros(packet.sname);
  const file = withoutZeros(packet.file);
  return [
    `${packet.op === 1 ? 'request' : 'reply'} xid ${packet.xid.toString(16).padStart(8, '0')} secs ${packet.secs} ` +
      `flags ${packet.flags.toString(16).padStart(4, '0')} hops ${packet.hops}`,
    `hardware ${packet.htype} ${colons(hardware) || '-'}${padding.length > 0 ? ` then ${colons(padding)}` : ''}`,
    `client ${packet.ciaddr} your ${packet.yiaddr} next ${packet.siaddr} relay ${packet.giaddr}`,
    ...(sname.length > 0 ? [`sname ${quote(sname)}`] : []),
    ...(file.length > 0 ? [`file ${quote(file)}`] : []),
    ...packet.options.map(([code, value]) => `${code} ${optionName(code)}: ${printValue(optionShape(code), value)}`),
  ];
}

/** A line that can't be read: its number (from 1) and text. */
export class DhcpTextError extends Error {
  readonly line: number;
  constructor(line: number, text: string | undefined) {
    super(`read printed DHCP message: line ${line}: ${text === undefined ? 'missing' : JSON.stringify(text)}`);
    this.name = 'DhcpTextError';
    this.line = line;
  }
}

const headPattern = /^(request|reply) xid ([0-9a-f]{8}) secs ([0-9]{1,5}) flags ([0-9a-f]{4}) hops ([0-9]{1,3})$/;
const hardwarePattern =
  /^hardware ([0-9]{1,3}) (-|[0-9a-f]{2}(?::[0-9a-f]{2})*)(?: then ([0-9a-f]{2}(?::[0-9a-f]{2})*))?$/;
const addressPattern = /^client (\S+) your (\S+) next (\S+) relay (\S+)$/;

/** The reverse of printDhcp. Throws DhcpTextError. */
export function parseDhcp(lines: readonly string[]): DhcpPacket {
  const fail = (index: number): never => {
    throw new DhcpTextError(index + 1, lines[index]);
  };
  const head = headPattern.exec(lines[0] ?? '') ?? fail(0);
  if (Number(head[3]) > 65_535 || Number(head[5]) > 255) fail(0);
  const hardware = hardwarePattern.exec(lines[1] ?? '') ?? fail(1);
  if (Number(hardware[1]) > 255) fail(1);
  const addresses = addressPattern.exec(lines[2] ?? '') ?? fail(2);
  if (addresses.slice(1).some((text) => parseAddress(text) === undefined)) fail(2);
  const chaddr = hexBytes((hardware[2] === '-' ? '' : hardware[2]!).replaceAll(':', ''))!;
  const padding = hexBytes((hardware[3] ?? '').replaceAll(':', ''))!;
  if (chaddr.length + padding.length > 16) fail(1);
  let sname: Uint8Array = new Uint8Array();
  let file: Uint8Array = new Uint8Array();
  const options: DhcpOption[] = [];
  lines.slice(3).forEach((line, at) => {
    const index = at + 3;
    const field = /^(sname|file) (.*)$/.exec(line);
    if (field) {
      const bytes = unquote(field[2]!) ?? fail(index);
      if (bytes.length > (field[1] === 'sname' ? 64 : 128)) fail(index);
      if (field[1] === 'sname') sname = bytes;
      else file = bytes;
      return;
    }
    const match = /^([0-9]{1,3}) [^ :]+: (.*)$/.exec(line) ?? fail(index);
    const code = Number(match[1]);
    if (code < 1 || code > 254) fail(index);
    options.push([code, parseValue(optionShape(code), match[2]!) ?? fail(index)]);
  });
  return {
    op: head[1] === 'request' ? 1 : 2,
    htype: Number(hardware[1]),
    hlen: chaddr.length,
    hops: Number(head[5]),
    xid: Number.parseInt(head[2]!, 16),
    secs: Number(head[3]),
    flags: Number.parseInt(head[4]!, 16),
    ciaddr: addresses[1]!,
    yiaddr: addresses[2]!,
    siaddr: addresses[3]!,
    giaddr: addresses[4]!,
    chaddr: extended(Uint8Array.from([...chaddr, ...padding]), 16),
    sname: extended(sname, 64),
    file: extended(file, 128),
    options,
  };
}
