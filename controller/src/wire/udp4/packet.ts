// UDP datagrams in IPv4 packets: RFC 791, RFC 768.
import { addressBytes, readAddress } from '../dhcp4/address.ts';

export interface Udp4End {
  readonly address: string;
  readonly port: number;
}

export type Udp4 =
  | {
      readonly kind: 'datagram';
      readonly from: Udp4End;
      readonly to: Udp4End;
      readonly payload: Uint8Array;
      /** The bytes hold less than was sent. */
      readonly cut: boolean;
    }
  /** A piece of a fragmented datagram: not put together, but worth telling, as firmware's DHCP never is one. */
  | { readonly kind: 'fragment'; readonly text: string }
  /** Not IPv4 UDP. */
  | { readonly kind: 'other' }
  | { readonly kind: 'damaged'; readonly text: string };

const udp = 17;
const ipv4Header = 20;
const udpHeader = 8;
const hops = 64;

/** From the first octet of the IPv4 header on. Checksums are not looked at: with offloading they are wrong in captures of the sender. Never throws. */
export function readUdp4(bytes: Uint8Array): Udp4 {
  if (bytes.length < 1 || bytes[0]! >> 4 !== 4) return { kind: 'other' };
  const header = (bytes[0]! & 15) * 4;
  if (bytes.length < ipv4Header) return { kind: 'damaged', text: 'the frame ends inside the IPv4 header' };
  if (header < ipv4Header) return { kind: 'damaged', text: `an IPv4 header of ${header} octets` };
  if (bytes[9] !== udp) return { kind: 'other' };
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
  if (fromPort === undefined || toPort === undefined || length === undefined || whole.length < udpHeader) {
    return { kind: 'damaged', text: 'the frame ends inside the UDP header' };
  }
  if (length < udpHeader) return { kind: 'damaged', text: `a UDP length of ${length}` };
  return {
    kind: 'datagram',
    from: { address: from, port: fromPort },
    to: { address: to, port: toPort },
    payload: whole.subarray(udpHeader, length),
    cut: length > whole.length,
  };
}

/** An IPv4 packet with both checksums. Throws a TypeError for what is no address. @param payload at most 65,507 octets */
export function encodeUdp4(from: Udp4End, to: Udp4End, payload: Uint8Array): Uint8Array {
  const length = udpHeader + payload.length;
  const bytes = new Uint8Array(ipv4Header + length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x45;
  view.setUint16(2, bytes.length);
  bytes[8] = hops;
  bytes[9] = udp;
  bytes.set(addressBytes(from.address), 12);
  bytes.set(addressBytes(to.address), 16);
  view.setUint16(10, checksum(bytes.subarray(0, ipv4Header), 0));
  view.setUint16(20, from.port);
  view.setUint16(22, to.port);
  view.setUint16(24, length);
  bytes.set(payload, ipv4Header + udpHeader);
  // The pseudo header: both addresses, protocol, length (RFC 768).
  const pseudo = sum(bytes.subarray(12, 20)) + udp + length;
  const check = checksum(bytes.subarray(ipv4Header), pseudo);
  view.setUint16(26, check === 0 ? 0xffff : check); // 0 would mean that there is none
  return bytes;
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += bytes[at]! * 256 + (bytes[at + 1] ?? 0);
  return total;
}

/** RFC 1071. */
function checksum(bytes: Uint8Array, start: number): number {
  let total = sum(bytes) + start;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return ~total & 0xffff;
}

function word(bytes: Uint8Array, at: number): number | undefined {
  const [high, low] = [bytes[at], bytes[at + 1]];
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}
