// Hears the offers of other DHCP and PXE servers to machines of ours, as far as they are broadcast. Nothing is answered by it: it is for the trail.
import { offered, readOffer, serverName } from '../doctor/offer.ts';
import { parseMac } from '../machine/mac.ts';
import { openPacketSocket, type PacketSocket } from './packet-socket.ts';
import type { Seen } from './seen.ts';

export interface OtherServersOptions {
  readonly interfaces: readonly { readonly name: string; readonly address: string }[];
  readonly onSeen: (seen: Seen) => void;
  /** Told once for each interface: whether offers can be heard there, and if not, why. */
  readonly onListening: (name: string, why: string | undefined) => void;
  readonly open?: (name: string) => PacketSocket;
}

/** The kernel keeps some two hundred offers until then. */
const lookEveryMs = 250;
const framesAtOnce = 64;

export function hearOtherServers(options: OtherServersOptions): { close(): void } {
  const { open = openPacketSocket } = options;
  const own = new Set(options.interfaces.map(({ address }) => address));
  const sockets: { name: string; socket: PacketSocket }[] = [];
  for (const { name } of options.interfaces)
    try {
      sockets.push({ name, socket: open(name) });
      options.onListening(name, undefined);
    } catch (error) {
      options.onListening(name, (error as Error).message);
    }
  const look = (): void => {
    for (const { name, socket } of sockets)
      for (const frame of socket.receive(framesAtOnce)) {
        const offer = readOffer(frame);
        if (offer?.type !== 'OFFER' || own.has(offer.server)) continue;
        const mac = parseMac(offer.mac);
        if (mac === undefined) continue;
        options.onSeen({
          kind: 'other-offer',
          mac,
          interface: name,
          server: serverName(offer),
          why: offered(offer),
          ...(offer.file === undefined ? {} : { detail: offer.file }),
        });
      }
  };
  const timer = setInterval(look, lookEveryMs);
  return {
    close() {
      clearInterval(timer);
      for (const { socket } of sockets) socket.close();
    },
  };
}
