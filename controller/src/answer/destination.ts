// Where a reply goes. Node can't write ARP entries, so what RFC 2131 4.1 would unicast to an address the client doesn't hold yet is
// broadcast: clients that asked for unicast accept that.
import { anyAddress, broadcastAddress } from '../wire/dhcp4/address.ts';
import type { DhcpPacket } from '../wire/dhcp4/packet.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Arrival {
  /** 67 or 4011, the port of ours it came to. */
  readonly port: number;
  readonly source: Endpoint;
}

/** `refused`: the reply is a NAK, whose client has no right to its address any more. */
export function destination(packet: DhcpPacket, arrival: Arrival, refused = false): Endpoint {
  // PXE: firmware asks from 4011 and iPXE from 68, each wants the answer where it asked.
  if (arrival.port === 4011) {
    const address = arrival.source.address === anyAddress ? broadcastAddress : arrival.source.address;
    return { address, port: arrival.source.port };
  }
  if (packet.giaddr !== anyAddress) return { address: packet.giaddr, port: 67 }; // RFC 2131 4.1
  if (!refused && packet.ciaddr !== anyAddress) return { address: packet.ciaddr, port: 68 };
  return { address: broadcastAddress, port: 68 };
}
