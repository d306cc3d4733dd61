// From a frame to the UDP datagram inside: link layer, VLAN tags, IPv4.
import { readUdp4, type Udp4 } from '../wire/udp4/packet.ts';
import type { Frame } from './capture.ts';

export interface Datagram extends Extract<Udp4, { kind: 'datagram' }> {
  /** Identifiers of VLAN tags, outermost first. */
  readonly vlans: readonly number[];
}

export type FrameContent = Datagram | Exclude<Udp4, { kind: 'datagram' }>;

const link = { ethernet: 1, raw: [12, 14, 101], ipv4: 228, cooked: 113, cooked2: 276 } as const;
const ipv4Type = 0x0800;
const vlanTypes = [0x8100, 0x88a8, 0x9100];
const other: FrameContent = { kind: 'other' };

export function readFrame(frame: Frame): FrameContent {
  const { bytes } = frame;
  switch (frame.link) {
    case link.ethernet:
      return readEthernet(bytes);
    case link.cooked: // protocol in the last 2 of 16 octets
      return readTyped(bytes, 14, 16);
    case link.cooked2: // protocol in the first 2 of 20 octets
      return readTyped(bytes, 0, 20);
    case link.ipv4:
      return readIpv4(bytes, []);
    default:
      if ((link.raw as readonly number[]).includes(frame.link)) return readIpv4(bytes, []);
      return {
        kind: 'damaged',
        text: `link type ${frame.link} isn't known here (known: 1, 12, 14, 101, 113, 228, 276)`,
      };
  }
}

/**
 * QEMU's filter-dump on a tap device writes the virtio header (10 octets, 12 once the guest's driver has agreed to merged buffers) before the
 * Ethernet one and still calls it Ethernet.
 */
function readEthernet(bytes: Uint8Array): FrameContent {
  const starts = [0, 10, 12].filter((start) => start === 0 || looksLikeVirtio(bytes, start));
  const start = starts.find((each) => looksLikeEthernet(bytes, each)) ?? 0;
  return readTyped(bytes, start + 12, start + 14);
}

/** Flags and segmentation type of a header without offloads that a firmware's driver asks for. */
function looksLikeVirtio(bytes: Uint8Array, length: number): boolean {
  return bytes.length > length + 14 && bytes[0]! <= 7 && [0, 1, 3, 4, 5].includes(bytes[1]! & 0x7f);
}

function looksLikeEthernet(bytes: Uint8Array, start: number): boolean {
  const type = word(bytes, start + 12);
  if (type === ipv4Type) return bytes[start + 14] !== undefined && bytes[start + 14]! >> 4 === 4;
  if (type === 0x86dd) return bytes[start + 14] !== undefined && bytes[start + 14]! >> 4 === 6;
  if (type === 0x0806) return word(bytes, start + 14) === 1;
  return type !== undefined && vlanTypes.includes(type);
}

function word(bytes: Uint8Array, at: number): number | undefined {
  const [high, low] = [bytes[at], bytes[at + 1]];
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}

/** What follows a header whose type field is at `typeAt` and whose payload begins at `from`; VLAN tags are peeled off. */
function readTyped(bytes: Uint8Array, typeAt: number, from: number): FrameContent {
  let type = word(bytes, typeAt);
  let at = from;
  const vlans: number[] = [];
  while (type !== undefined && vlanTypes.includes(type)) {
    const tag = word(bytes, at);
    type = word(bytes, at + 2);
    at += 4;
    if (tag !== undefined) vlans.push(tag & 0x0fff);
  }
  return type === ipv4Type ? readIpv4(bytes.subarray(at), vlans) : other;
}

function readIpv4(bytes: Uint8Array, vlans: readonly number[]): FrameContent {
  const content = readUdp4(bytes);
  return content.kind === 'datagram' ? { ...content, vlans } : content;
}
