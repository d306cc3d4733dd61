// From a frame to the UDP datagram inside: link layer, VLAN tags, IPv4.
import { readAddress } from '../wire/dhcp4/address.ts';
import type { Frame } from './capture.ts';

export interface Datagram {
  readonly kind: 'datagram';
  readonly from: { readonly address: string; readonly port: number };
  readonly to: { readonly address: string; readonly port: number };
  readonly payload: Uint8Array;
  /** Identifiers of VLAN tags, outermost first. */
  readonly vlans: readonly number[];
  /** The capture holds less than was sent. */
  readonly cut: boolean;
}

export type FrameContent =
  | Datagram
  /** A piece of a fragmented datagram: not put together, but worth telling, as firmware's DHCP never is one. */
  | { readonly kind: 'fragment'; readonly text: string }
  /** Not IPv4 UDP. */
  | { readonly kind: 'other' }
  | { readonly kind: 'damaged'; readonly text: string };

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

const udp = 17;

/** RFC 791, RFC 768. Checksums are not looked at: with offloading they are wrong in captures of the sender. */
function readIpv4(bytes: Uint8Array, vlans: readonly number[]): FrameContent {
  if (bytes.length < 1 || bytes[0]! >> 4 !== 4) return other;
  const header = (bytes[0]! & 15) * 4;
  if (bytes.length < 20) return { kind: 'damaged', text: 'the frame ends inside the IPv4 header' };
  if (header < 20) return { kind: 'damaged', text: `an IPv4 header of ${header} octets` };
  if (bytes[9] !== udp) return other;
  const total = word(bytes, 2)!;
  const fragment = word(bytes, 6)!;
  const offset = (fragment & 0x1fff) * 8;
  const whole = bytes.subarray(header, total >= header ? total : undefined);
  const [fromPort, toPort, length] = [word(whole, 0), word(whole, 2), word(whole, 4)];
  const [from, to] = [readAddress(bytes, 12), readAddress(bytes, 16)];
  if (offset > 0 || fragment & 0x2000) {
    const ports = offset === 0 && fromPort !== undefined ? ` ports ${fromPort} > ${toPort},` : '';
    return {
      kind: 'fragment',
      text: `${from} > ${to},${ports} octets ${offset} to ${offset + whole.length - 1} of datagram ${word(bytes, 4)!}`,
    };
  }
  if (fromPort === undefined || toPort === undefined || length === undefined || whole.length < 8) {
    return { kind: 'damaged', text: 'the frame ends inside the UDP header' };
  }
  if (length < 8) return { kind: 'damaged', text: `a UDP length of ${length}` };
  return {
    kind: 'datagram',
    from: { address: from, port: fromPort },
    to: { address: to, port: toPort },
    payload: whole.subarray(8, length),
    vlans,
    cut: length > whole.length,
  };
}
