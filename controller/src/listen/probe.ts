// Asks a network once who answers firmware there, as firmware would: one DISCOVER of a machine that doesn't exist. No address is taken: what is
// offered and not asked for, servers give to others.
import { type Offer, readOffer } from '../doctor/offer.ts';
import { anyAddress, broadcastAddress } from '../wire/dhcp4/address.ts';
import { code, messageTypeBytes } from '../wire/dhcp4/options.ts';
import { encodeDhcp, latin1Bytes } from '../wire/dhcp4/packet.ts';
import { encodeUdp4 } from '../wire/udp4/packet.ts';
import { openPacketSocket, type PacketSocket } from './packet-socket.ts';

export interface ProbeWorld {
  /** Random bytes. */
  readonly random: (bytes: number) => Uint8Array;
  readonly sleep: (milliseconds: number) => Promise<unknown>;
  readonly open?: (name: string) => PacketSocket;
}

/** dnsmasq and others look for three seconds whether an address is free before they offer it. */
export const listenMs = 4500;
const lookEveryMs = 100;
const repeatAfterMs = 1000;

/** What firmware says of itself: UEFI x64 (RFC 4578). */
const vendorClass = 'PXEClient:Arch:00007:UNDI:003000';

/** The question of a machine with this MAC. */
export function discover(mac: Uint8Array, xid: number): Uint8Array {
  const chaddr = new Uint8Array(16);
  chaddr.set(mac);
  return encodeDhcp({
    ...{ op: 1, htype: 1, hlen: 6, hops: 0, xid, secs: 0, flags: 0x8000 },
    ...{ ciaddr: anyAddress, yiaddr: anyAddress, siaddr: anyAddress, giaddr: anyAddress },
    ...{ chaddr, sname: new Uint8Array(64), file: new Uint8Array(128) },
    options: [
      [code.messageType, messageTypeBytes('DISCOVER')],
      [code.parameters, Uint8Array.of(1, 3, 6, 43, 54, 60, 66, 67)],
      [code.vendorClass, latin1Bytes(vendorClass)],
      [code.architecture, Uint8Array.of(0, 7)],
      [code.undi, Uint8Array.of(1, 3, 0)],
      // All zero: no UUID is set (RFC 4578 2.3).
      [code.uuid, new Uint8Array(17)],
    ],
  });
}

/**
 * Every offer to that machine within four and a half seconds; it asks twice, as one packet may get lost.
 * @throws NotRoot without CAP_NET_RAW, NoSuchInterface, Error when the interface takes no packet
 */
export async function probe(name: string, world: ProbeWorld): Promise<Offer[]> {
  const { open = openPacketSocket } = world;
  const mac = world.random(6);
  mac[0] = (mac[0]! & 0xfc) | 0x02; // locally administered, one machine (IEEE 802, 8.2)
  const xid = new DataView(world.random(4).buffer).getUint32(0);
  const packet = encodeUdp4(
    { address: anyAddress, port: 68 },
    { address: broadcastAddress, port: 67 },
    discover(mac, xid),
  );
  const socket = open(name);
  const offers: Offer[] = [];
  try {
    for (let waited = 0; waited < listenMs; waited += lookEveryMs) {
      if (waited === 0 || waited === repeatAfterMs) socket.broadcast(packet);
      await world.sleep(lookEveryMs);
      for (const frame of socket.receive(64)) {
        const offer = readOffer(frame);
        if (offer?.xid === xid && offer.type === 'OFFER' && offers.length < 64) offers.push(offer);
      }
    }
  } finally {
    socket.close();
  }
  return offers;
}
