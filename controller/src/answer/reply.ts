// Puts a reply together, field by field.
import { addressNumber, addressText, anyAddress, maskNumber } from '../wire/dhcp4/address.ts';
import {
  addressesBytes,
  code,
  integerBytes,
  ipxeHighestPriority,
  ipxeNoProxyWait,
  type MessageType,
  messageTypeBytes,
  pxeTakeBootFile,
  relaySub,
  terminatedText,
} from '../wire/dhcp4/options.ts';
import { type DhcpOption, type DhcpPacket, fieldText, latin1Bytes, noOctets, option } from '../wire/dhcp4/packet.ts';
import type { Asked } from './asked.ts';
import type { Boot } from './bootfile.ts';
import { relayAddress } from './place.ts';
import type { SceneInterface } from './scene.ts';

/** What a leased address comes with. */
export interface Network {
  readonly prefixLength: number;
  readonly router?: string;
  readonly dns: readonly string[];
}

export interface ReplyParts {
  readonly type: MessageType;
  readonly boot?: Extract<Boot, { kind: 'boot' }>;
  /** Only a boot file; the address is another server's. */
  readonly proxy: boolean;
  /** Set the broadcast flag: the client or its relay has no address to send to. */
  readonly broadcast: boolean;
  readonly address?: string;
  readonly network?: Network;
  /** Absent for INFORM: no lease is made. */
  readonly leaseSeconds?: number;
}

/** UDP payload that every client must take: 576 octets of IP (RFC 2131 section 2, option 57) less 28 of headers. */
const payloadMax = 548;

/** Option 54: ours, or the one that the relay wants to be called by (RFC 5107). */
export function serverIdentifier(packet: DhcpPacket, at: SceneInterface): string {
  return relayAddress(packet, relaySub.serverOverride) ?? at.address;
}

function networkOptions(address: string, network: Network): DhcpOption[] {
  const mask = maskNumber(network.prefixLength);
  return [
    [code.subnetMask, addressesBytes([addressText(mask)])],
    [code.broadcast, addressesBytes([addressText((addressNumber(address) | ~mask) >>> 0)])],
    ...(network.router === undefined ? [] : [[code.router, addressesBytes([network.router])] as const]),
    ...(network.dns.length === 0 ? [] : [[code.dns, addressesBytes(network.dns.slice(0, 4))] as const]),
  ];
}

function leaseOptions(seconds: number): DhcpOption[] {
  return [
    [code.leaseSeconds, integerBytes(seconds, 4)],
    [code.renewal, integerBytes(Math.floor(seconds / 2), 4)], // RFC 2131 4.4.5
    [code.rebinding, integerBytes(Math.floor((seconds * 7) / 8), 4)],
  ];
}

/**
 * Option 60 tells EDK2 and iPXE that a proxy's offer is one. As the only server we keep it from UEFI firmware: with it and without option 43
 * EDK2 takes the offer for one that needs another question on port 4011.
 */
function bootOptions(asked: Asked, parts: ReplyParts, boot: Extract<Boot, { kind: 'boot' }>): DhcpOption[] {
  const { client, at } = asked;
  const bios = boot.platform === 'bios';
  const ipxe = client.kind === 'ipxe' || client.kind === 'small-ipxe';
  const pxeClass = parts.proxy || (bios && !ipxe);
  return [
    ...(client.kind === 'http' ? [[code.vendorClass, latin1Bytes('HTTPClient')] as const] : []),
    ...(client.kind !== 'http' && pxeClass ? [[code.vendorClass, latin1Bytes('PXEClient')] as const] : []),
    [code.tftpServer, terminatedText(at.address)],
    [code.bootFile, terminatedText(boot.file)],
    // Old EDK2 drops the first proxy offer with option 43 (tianocore/edk2#6944); BIOS ROMs would search for boot servers without it.
    ...(bios && pxeClass ? [[code.vendor, pxeTakeBootFile] as const] : []),
    // As proxy never the word that it need not wait: iPXE would stop listening for us as well. But another proxy must not outdo us.
    ...(ipxe ? [[code.ipxe, parts.proxy ? ipxeHighestPriority : ipxeNoProxyWait] as const] : []),
  ];
}

/** Optional ones are left out, least needed first, until the client can take the message; 82 doesn't count, the relay strips it. */
const droppable = [code.tftpServer, code.broadcast, code.rebinding, code.renewal, code.bootFile, code.dns] as const;

function fitted(options: DhcpOption[]): DhcpOption[] {
  let kept = options;
  const size = (): number =>
    kept.reduce(
      (sum, [number, value]) =>
        sum + (number === code.relay ? 0 : 2 * Math.ceil((value.length || 1) / 255) + value.length),
      241,
    );
  for (const number of droppable) {
    if (size() <= payloadMax) break;
    kept = kept.filter((entry) => entry[0] !== number);
  }
  return kept;
}

/** The reply to a request. `boot.file` has at most 127 octets. */
export function buildReply(asked: Asked, parts: ReplyParts): DhcpPacket {
  const { packet } = asked.request;
  const { boot, address, network } = parts;
  const echo = (number: number): DhcpOption[] => {
    const value = option(packet, number);
    return value === undefined ? [] : [[number, value]];
  };
  const refused = parts.type === 'NAK';
  const options: DhcpOption[] = [
    [code.messageType, messageTypeBytes(parts.type)],
    [code.server, addressesBytes([serverIdentifier(packet, asked.at)])],
    ...(parts.leaseSeconds === undefined ? [] : leaseOptions(parts.leaseSeconds)),
    ...(network === undefined ? [] : networkOptions(address ?? packet.ciaddr, network)),
    ...(boot === undefined ? [] : bootOptions(asked, parts, boot)),
    ...(boot === undefined ? [] : echo(code.uuid)), // RFC 4578 section 2.3 is silent; PXE 2.1 wants it back
    ...echo(code.clientId), // RFC 6842
    ...echo(code.relay), // RFC 3046 2.2: unchanged, last
  ];
  return {
    op: 2,
    htype: packet.htype,
    hlen: packet.hlen,
    hops: packet.hops,
    xid: packet.xid,
    secs: 0,
    flags: parts.broadcast ? packet.flags | 0x8000 : packet.flags,
    ciaddr: parts.type === 'ACK' ? packet.ciaddr : anyAddress, // RFC 2131 table 3
    yiaddr: (parts.leaseSeconds === undefined ? undefined : address) ?? anyAddress,
    siaddr: refused ? anyAddress : asked.at.address,
    giaddr: packet.giaddr,
    chaddr: packet.chaddr,
    sname: boot === undefined ? noOctets : fieldText(asked.at.address, 64),
    file: boot === undefined ? noOctets : fieldText(boot.file, 128),
    options: fitted(options),
  };
}
