// Every DHCP and TFTP packet of a capture in words, and what we would answer and why.
import { answerDhcp, type DhcpDecision } from '../answer/dhcp.ts';
import type { Scene } from '../answer/scene.ts';
import type { Host } from '../machine/host.ts';
import type { Subnet } from '../machine/subnet.ts';
import { DhcpFormatError, type DhcpPacket, decodeDhcp, encodeDhcp } from '../wire/dhcp4/packet.ts';
import { parseDhcp, printDhcp } from '../wire/dhcp4/print.ts';
import { assumedInterface, assumeScene, type ExplainDhcp } from './assumed-scene.ts';
import { type Input, type InputPacket, readInput } from './input.ts';
import { renderJson, renderText } from './render.ts';
import { decodeTftp, type TftpPacket } from './tftp-text.ts';

export interface Endpoints {
  readonly from: { readonly address: string; readonly port: number };
  readonly to: { readonly address: string; readonly port: number };
}

interface Place extends Partial<Endpoints> {
  readonly number: number;
  /** Since the first frame of a capture; of JSON lines as written. */
  readonly seconds?: number;
  readonly note?: string;
  readonly vlans?: readonly number[];
}

export type ExplainedPacket = Place &
  (
    | {
        readonly kind: 'dhcp';
        readonly packet: DhcpPacket;
        /** What was printed, read again, is the same message. */
        readonly printsBack: boolean;
        /** Absent for replies of servers. */
        readonly decision?: DhcpDecision;
      }
    | { readonly kind: 'tftp'; readonly packet: TftpPacket; readonly answer?: string }
    | { readonly kind: 'malformed'; readonly protocol: 'dhcp' | 'tftp'; readonly text: string }
    | { readonly kind: 'fragment' | 'damaged'; readonly text: string }
  );

export interface Explanation {
  readonly packets: readonly ExplainedPacket[];
  readonly assumptions: readonly string[];
  /** Frames of other protocols. */
  readonly others: number;
  readonly damage: readonly string[];
}

export interface ExplainOptions {
  /** The machines listed. Absent: those of the capture that boot from the network. */
  readonly hosts?: readonly Host[];
  /** Networks behind relays that are declared with them. */
  readonly subnets?: readonly Subnet[];
  readonly dhcp?: ExplainDhcp;
  /** Our own address on the captured network. */
  readonly address?: string;
  /** In place of the three above; with the name of the interface in it. */
  readonly scene?: { readonly scene: Scene; readonly interface: string };
}

const dhcpPorts = [67, 68, 4011];
const tftpPort = 69;
const magicAt = 236;

function looksLikeDhcp(payload: Uint8Array): boolean {
  return [0x63, 0x82, 0x53, 0x63].every((octet, index) => payload[magicAt + index] === octet);
}

/** Throws UnknownInput for a file that is of no known kind; damaged packets are in the result. */
export function explain(bytes: Uint8Array, options: ExplainOptions = {}): Explanation {
  const input = readInput(bytes);
  const decoded = decodeAll(input);
  const requests = decoded.flatMap((each) => (each.kind === 'dhcp' ? [each.packet] : []));
  const assumed = options.scene
    ? { scene: options.scene.scene, assumptions: [], at: options.scene.interface }
    : { ...assumeScene(requests, options), at: assumedInterface };
  return {
    packets: decoded.map((each) => withAnswer(each, assumed.scene, assumed.at)),
    assumptions: assumed.assumptions,
    others: input.others,
    damage: input.damage,
  };
}

function decodeAll(input: Input): ExplainedPacket[] {
  /** `address:port` of the clients of transfers seen so far: data and acknowledgements use ports of their own (RFC 1350 section 4). */
  const transfers = new Set<string>();
  return input.packets.flatMap((packet) => {
    const place = placeOf(packet);
    const { content } = packet;
    if (content.kind === 'fragment' || content.kind === 'damaged')
      return [{ ...place, kind: content.kind, text: content.text }];
    if (content.kind === 'payload') {
      return [
        looksLikeDhcp(content.payload) || content.payload[0] !== 0
          ? dhcp(place, content.payload)
          : tftp(place, content.payload),
      ];
    }
    const ports = [content.from.port, content.to.port];
    const ends = [content.from, content.to].map((end) => `${end.address}:${end.port}`);
    if (content.to.port === tftpPort) transfers.add(ends[0]!);
    else if (!ends.some((end) => transfers.has(end))) {
      return ports.some((port) => dhcpPorts.includes(port)) ? [dhcp(place, content.payload, content.cut)] : [];
    }
    return [tftp(place, content.payload, content.cut)];
  });
}

function placeOf(packet: InputPacket): Place {
  const { content } = packet;
  return {
    number: packet.number,
    ...(packet.seconds === undefined ? {} : { seconds: packet.seconds }),
    ...(packet.note === undefined ? {} : { note: packet.note }),
    ...(content.kind === 'datagram' ? { from: content.from, to: content.to } : {}),
    ...(content.kind === 'datagram' && content.vlans.length > 0 ? { vlans: content.vlans } : {}),
  };
}

const cutText = ' (the capture holds only the beginning)';

function dhcp(place: Place, payload: Uint8Array, cut = false): ExplainedPacket {
  try {
    const packet = decodeDhcp(payload);
    return { ...place, kind: 'dhcp', packet, printsBack: printsBack(packet) };
  } catch (error) {
    if (!(error instanceof DhcpFormatError)) throw error;
    return { ...place, kind: 'malformed', protocol: 'dhcp', text: error.message + (cut ? cutText : '') };
  }
}

function printsBack(packet: DhcpPacket): boolean {
  const bytes = encodeDhcp(packet);
  const again = encodeDhcp(parseDhcp(printDhcp(packet)));
  return bytes.length === again.length && bytes.every((octet, index) => octet === again[index]);
}

function tftp(place: Place, payload: Uint8Array, cut = false): ExplainedPacket {
  try {
    return { ...place, kind: 'tftp', packet: decodeTftp(payload) };
  } catch (error) {
    return { ...place, kind: 'malformed', protocol: 'tftp', text: (error as Error).message + (cut ? cutText : '') };
  }
}

function withAnswer(each: ExplainedPacket, scene: Scene, at: string): ExplainedPacket {
  if (each.kind === 'tftp' && each.packet.op === 'read') {
    const name = each.packet.name.replaceAll('\\', '/').replace(/^\/+/, '');
    const served = Object.values(scene.loaders).includes(name);
    return { ...each, answer: served ? `sends ${name}` : 'ERROR 1, no such file here' };
  }
  if (each.kind === 'tftp' && each.packet.op === 'write') return { ...each, answer: 'ERROR 2, nothing can be written' };
  if (each.kind !== 'dhcp' || each.packet.op !== 1) return each;
  const port = each.to?.port === 4011 ? 4011 : 67;
  const source = each.from ?? { address: each.packet.ciaddr, port: 68 };
  return { ...each, decision: answerDhcp({ packet: each.packet, interface: at, port, source }, scene) };
}

/** What `nixie explain` prints. `failures` counts what could not be decoded or printed and read back. Throws UnknownInput. */
export function explainFile(
  bytes: Uint8Array,
  options: ExplainOptions = {},
): { readonly text: string; readonly json: unknown[]; readonly failures: number } {
  const explanation = explain(bytes, options);
  const bad = explanation.packets.filter(
    (each) => each.kind === 'malformed' || each.kind === 'damaged' || (each.kind === 'dhcp' && !each.printsBack),
  );
  const failures = bad.length + explanation.damage.length;
  return { text: renderText(explanation, failures), json: renderJson(explanation), failures };
}
