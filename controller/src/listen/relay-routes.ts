// Does an answer find its way back to the relay? A socket that is bound to an interface takes a destination without a route there for a neighbour (Linux,
// ip_route_output_key): the answer is lost, and nobody says so. So the routing table is asked, once in a while for each relay.
import dgram from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { addressNumber } from '../wire/dhcp4/address.ts';
import type { Seen } from './seen.ts';

export interface RelayRoutesWorld {
  readonly onSeen: (seen: Seen) => void;
  /** Name of the interface by which the routing table reaches an address; undefined: by none. Where it isn't clear, that by which it was heard. */
  readonly routeTo?: (address: string, heardBy: string) => Promise<string | undefined>;
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
    routeTo(giaddr, name).then(tell, () => tell(undefined));
  };
}

/** Connecting a UDP socket sends nothing, and fails without a route. By which interface it leads, the main table says; other tables may say otherwise. */
async function routeOf(address: string, name: string): Promise<string | undefined> {
  const socket = dgram.createSocket('udp4');
  try {
    // Node hands the error to the callback, which its types don't know.
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(67, address, ((error?: Error) => (error ? reject(error) : resolve())) as () => void);
    });
    return routeIn(await readFile('/proc/net/route', 'utf8'), address) ?? name;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** Name of the interface of the best route. @param text of proc(5) `/proc/net/route`: numbers in hexadecimal, addresses in network order as read */
export function routeIn(text: string, address: string): string | undefined {
  const to = addressNumber(address);
  const swapped = (hex: string | undefined) => {
    const bytes = /^([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})$/i.exec(hex ?? '');
    return bytes === null ? undefined : Number.parseInt(bytes.slice(1).reverse().join(''), 16);
  };
  let best: { name: string; mask: number; metric: number } | undefined;
  for (const line of text.split('\n').slice(1)) {
    const [name, destination, , flags, , , metricText, maskText] = line.trim().split(/\s+/);
    const [network, mask, metric] = [swapped(destination), swapped(maskText), Number(metricText)];
    // RTF_UP, and not RTF_REJECT, of <linux/route.h>.
    const usable = (Number.parseInt(flags ?? '', 16) & 0x201) === 0x1;
    if (name === undefined || network === undefined || mask === undefined || !usable) continue;
    if ((to & mask) >>> 0 !== network) continue;
    if (best === undefined || mask > best.mask || (mask === best.mask && metric < best.metric))
      best = { name, mask, metric };
  }
  return best?.name;
}
