// What another DHCP server says to a machine, out of a frame: who offers what.
import { macFromBytes } from '../machine/mac.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';
import { code, type MessageType, readAddresses, readMessageType, readText } from '../wire/dhcp4/options.ts';
import { type DhcpPacket, decodeDhcp, headerText, option } from '../wire/dhcp4/packet.ts';
import { readUdp4 } from '../wire/udp4/packet.ts';

export interface Offer {
  /** Of the machine that it is for. */
  readonly mac: string;
  readonly xid: number;
  readonly type: MessageType;
  /** Of the server: option 54, else where the packet came from. */
  readonly server: string;
  /** The Ethernet address that the frame came from: of the server, or of the last relay or router before us. */
  readonly serverMac: string;
  /** Absent: a boot file only, as a proxy gives. */
  readonly address?: string;
  /** It says something to boot: a file, or that it is a boot server (option 60). */
  readonly boots: boolean;
  readonly file?: string;
  /** The TFTP or boot server that it names. */
  readonly nextServer?: string;
}

const ethernetHeader = 14;

/** @param frame an Ethernet frame without VLAN tag. Undefined for all that is no message of a DHCP server. Never throws. */
export function readOffer(frame: Uint8Array): Offer | undefined {
  const udp = readUdp4(frame.subarray(ethernetHeader));
  if (udp.kind !== 'datagram' || udp.from.port !== 67 || udp.to.port !== 68) return undefined;
  let packet: DhcpPacket;
  try {
    packet = decodeDhcp(udp.payload);
  } catch {
    return undefined;
  }
  const type = readMessageType(option(packet, code.messageType) ?? new Uint8Array());
  if (packet.op !== 2 || packet.htype !== 1 || packet.hlen !== 6 || type === undefined) return undefined;
  const text = (number: number) => readText(option(packet, number) ?? new Uint8Array());
  const file = printable(headerText(packet, 'file') || text(code.bootFile));
  const server = readAddresses(option(packet, code.server) ?? new Uint8Array())?.[0];
  return {
    mac: macFromBytes(packet.chaddr.subarray(0, 6)),
    xid: packet.xid,
    type,
    server: server ?? udp.from.address,
    serverMac: macFromBytes(frame.subarray(6, 12)),
    ...(packet.yiaddr === anyAddress ? {} : { address: packet.yiaddr }),
    boots: file !== '' || /^(?:PXE|HTTP)Client/.test(text(code.vendorClass)),
    ...(file === '' ? {} : { file }),
    ...(packet.siaddr === anyAddress ? {} : { nextServer: packet.siaddr }),
  };
}

/** `address`, `boot file`, `address and boot file`. */
export function offered({ address, boots }: Pick<Offer, 'address' | 'boots'>): string {
  return [address === undefined ? [] : 'address', boots ? 'boot file' : []].flat().join(' and ') || 'nothing';
}

/** `10.0.0.2 (52:54:00:00:00:02)` */
export function serverName({ server, serverMac }: Pick<Offer, 'server' | 'serverMac'>): string {
  return `${server} (${serverMac})`;
}

function printable(text: string): string {
  return text.slice(0, 128).replace(/[^\x20-\x7e]/g, '?');
}
