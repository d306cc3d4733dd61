// Packets given as text: the recordings' own JSON lines, hexadecimal octets, or a hex dump.
import { parseAddress } from '../wire/dhcp4/address.ts';
import { hexBytes } from '../wire/dhcp4/shapes.ts';
import { type Frame, frameMax } from './capture.ts';
import { type Datagram, readFrame } from './datagram.ts';

export interface TextPacket {
  /** Absent: only a payload was given. */
  readonly datagram?: Datagram;
  readonly payload: Uint8Array;
  /** As written: of one recording, not comparable with others. */
  readonly seconds?: number;
  /** Which recording it is from. */
  readonly note?: string;
}

export interface TextInput {
  readonly format: 'jsonl' | 'hex';
  readonly packets: readonly TextPacket[];
  readonly damage: readonly string[];
}

/** Undefined when the text is of neither kind. Never throws. */
export function readTextInput(text: string): TextInput | undefined {
  const lines = text.split(/\r?\n/);
  const first = lines.find((line) => line.trim() !== '');
  if (first === undefined) return undefined;
  return first.trimStart().startsWith('{') ? readJsonLines(lines) : readHex(lines);
}

function readJsonLines(lines: readonly string[]): TextInput {
  const packets: TextPacket[] = [];
  const damage: string[] = [];
  lines.forEach((line, index) => {
    if (line.trim() === '') return;
    try {
      packets.push(packetOfJson(parseJson(line)));
    } catch (error) {
      damage.push(`line ${index + 1}: ${(error as Error).message}`);
    }
  });
  return { format: 'jsonl', packets, damage };
}

/** The parser's own message quotes what may hold control characters. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new SyntaxError('not JSON');
  }
}

function packetOfJson(value: unknown): TextPacket {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object');
  const fields = value as Record<string, unknown>;
  const raw = typeof fields.raw === 'string' ? hexBytes(fields.raw) : undefined;
  if (raw === undefined) throw new TypeError('field "raw": hexadecimal octets wanted');
  const { src, dst, sport, dport, t, scenario } = fields;
  const port = (number: unknown): number | undefined =>
    Number.isInteger(number) && (number as number) >= 0 && (number as number) <= 65_535
      ? (number as number)
      : undefined;
  const address = (word: unknown): string | undefined =>
    typeof word === 'string' && parseAddress(word) ? word : undefined;
  const from = { address: address(src), port: port(sport) };
  const to = { address: address(dst), port: port(dport) };
  const known =
    from.address !== undefined && from.port !== undefined && to.address !== undefined && to.port !== undefined;
  return {
    payload: raw,
    ...(known ? { datagram: { kind: 'datagram', from, to, payload: raw, vlans: [], cut: false } as Datagram } : {}),
    ...(typeof t === 'number' ? { seconds: t } : {}),
    ...(typeof scenario === 'string' ? { note: scenario } : {}),
  };
}

/** `0x0010:  4500 0148` (tcpdump -x), `00000010: 4500 0148  E..H` (xxd), `00000010  45 00 01 48  |E..H|` (hexdump -C). */
const dumpLine =
  /^\s*(?:0x)?([0-9a-fA-F]{4,8}):?\s+((?:[0-9a-fA-F]{2}){1,8}(?: {1,2}(?:[0-9a-fA-F]{2}){1,8}(?![^\s|]))*)(?:\s{2,}.*|\s*\|.*)?$/;

/** A whole frame with blanks around each octet. */
const longestDumpLine = 4 * frameMax;

function readHex(lines: readonly string[]): TextInput | undefined {
  const written = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
  const bare = written.map((line) => hexBytes(line.replace(/^0x/i, '').replace(/[\s:]/g, '')));
  const dumped = written.map((line) => (line.length <= longestDumpLine ? dumpLine.exec(line) : null));
  const dump = dumped.some((match) => match !== null && Number.parseInt(match[1]!, 16) === 0) && dumped[0] !== null;
  if (!dump && bare.some((bytes) => bytes === undefined)) return undefined;
  const packets: Uint8Array[] = [];
  const damage: string[] = [];
  if (dump) {
    let current: number[] | undefined;
    dumped.forEach((match, index) => {
      if (match === null) return; // tcpdump's own line about the packet
      const offset = Number.parseInt(match[1]!, 16);
      if (offset === 0) {
        if (current) packets.push(Uint8Array.from(current));
        current = [];
      }
      const bytes = hexBytes(match[2]!.replaceAll(' ', ''));
      if (current === undefined || bytes === undefined || offset !== current.length) {
        // hexdump ends with a line of only the length, which is no octets; anything else is a gap.
        damage.push(`line ${index + 1}: offset ${offset} does not follow ${current?.length ?? 0}`);
        return;
      }
      for (const octet of bytes) current.push(octet);
    });
    if (current) packets.push(Uint8Array.from(current));
  } else {
    for (const bytes of bare) if (bytes !== undefined) packets.push(bytes);
  }
  return { format: 'hex', packets: packets.map(packetOfHex), damage };
}

/** A whole frame or IPv4 packet where it is one, else a payload. */
function packetOfHex(bytes: Uint8Array): TextPacket {
  for (const link of [1, 228]) {
    const frame: Frame = { link, bytes };
    const content = readFrame(frame);
    if (content.kind === 'datagram' && !content.cut) return { datagram: content, payload: content.payload };
  }
  return { payload: bytes };
}
