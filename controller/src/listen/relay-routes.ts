// Does an answer find its way back to the relay? A socket that is bound to an interface takes a destination without a route there for a neighbour (Linux,
// ip_route_output_key): the answer is lost, and nobody says so. So the routing table is asked, once in a while for each relay.
import dgram from 'node:dgram';
import { ownAddresses } from './interfaces.ts';
import type { Seen } from './seen.ts';

export interface RelayRoutesWorld {
  readonly onSeen: (seen: Seen) => void;
  /** Name of the interface by which the routing table reaches an address; undefined: by none. */
  readonly routeTo?: (address: string) => Promise<string | undefined>;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
}

const againMs = 60_000;
const mostRelays = 256;

/** To be told all that is seen, after it was taken in; what it finds is told as an answer that could not be sent. */
export function watchRelayRoutes({ onSeen, routeTo = routeOf, ticks }: RelayRoutesWorld): (seen: Seen) => void {
  const asked = new Map<string, number>();
  return ({ kind, giaddr, machine, mac, interface: name }) => {
    if (kind !== 'dhcp-answered' || giaddr === undefined || machine === undefined || name === undefined) return;
    const key = `${name} ${giaddr}`;
    const before = asked.get(key);
    if (before === undefined ? asked.size >= mostRelays : ticks() - before < againMs) return;
    asked.set(key, ticks());
    const tell = (by: string | undefined): void => {
      if (by === name) return;
      const detail = by === undefined ? `no route from ${name}` : `the route to it leaves by ${by}, not by ${name}`;
      const about = { machine, ...(mac === undefined ? {} : { mac }), interface: name };
      onSeen({ kind: 'dhcp-unsent', ...about, giaddr, address: giaddr, detail });
    };
    routeTo(giaddr).then(tell, () => tell(undefined));
  };
}

/** Connecting a UDP socket sends nothing: it asks the routing table, and shows the address of ours that would be the sender. */
async function routeOf(address: string): Promise<string | undefined> {
  const socket = dgram.createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(67, address, () => resolve());
    });
    const from = socket.address().address;
    return ownAddresses().find((each) => each.address === from)?.name;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
