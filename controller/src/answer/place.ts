// Where a request comes from: the interface's own network, or one behind a relay. All that an answer says of us and of the network depends on it.
import { anyAddress, sameNetwork } from '../wire/dhcp4/address.ts';
import { code, readAddresses, readSubOptions, relaySub } from '../wire/dhcp4/options.ts';
import { type DhcpPacket, option } from '../wire/dhcp4/packet.ts';
import type { Arrival } from './destination.ts';
import type { SceneInterface, SceneMachine, SceneNetwork } from './scene.ts';

export interface Place {
  /** We as we are there: our address, our role, the router. */
  readonly at: SceneInterface;
  /** The machine with the address that we lease to it there. */
  readonly machine: SceneMachine;
  /** The declared subnet. */
  readonly network?: SceneNetwork;
  /** It is beyond a relay, and no declared subnet has that relay's address. */
  readonly undeclared?: string;
}

type PlacedRequest = Arrival & { readonly packet: DhcpPacket };

/** An address inside option 82. */
export function relayAddress(packet: DhcpPacket, sub: number): string | undefined {
  const said = option(packet, code.relay);
  if (said === undefined) return undefined;
  const value = readSubOptions(said).find(([number]) => number === sub)?.[1];
  return value?.length === 4 ? readAddresses(value)?.[0] : undefined;
}

/** An address of the client's network. Undefined: it is the interface's own, as far as the packet says. */
function linkOf({ packet, port, source }: PlacedRequest): { address: string; relayed: boolean } | undefined {
  const selected = relayAddress(packet, relaySub.linkSelection); // RFC 3527: wins over giaddr
  if (selected !== undefined && selected !== anyAddress) return { address: selected, relayed: true };
  if (packet.giaddr !== anyAddress) return { address: packet.giaddr, relayed: true };
  // RFC 2131 4.3.6: who renews, or asks port 4011, holds an address and comes without the relay.
  if (packet.ciaddr !== anyAddress) return { address: packet.ciaddr, relayed: false };
  return port === 4011 && source.address !== anyAddress ? { address: source.address, relayed: false } : undefined;
}

/** The place of a request that came in by an interface; pure. */
export function placeOf(request: PlacedRequest, at: SceneInterface, machine: SceneMachine): Place {
  const link = linkOf(request);
  if (link === undefined || sameNetwork(link.address, at.address, at.prefixLength)) return { at, machine };
  const network = at.networks?.find((each) => sameNetwork(link.address, each.address, each.prefixLength));
  if (network === undefined) return link.relayed ? { at, machine, undeclared: link.address } : { at, machine };
  const { dhcp, controller = at.address, dns = [], addresses = machine.addresses } = network;
  const { router: _ofTheInterface, ...ours } = at;
  // Of a relay that tells both, giaddr is where it hears us, which may be another network.
  const router = network.router ?? (link.relayed ? link.address : undefined);
  return {
    network,
    machine: { ...machine, addresses },
    at: { ...ours, address: controller, dhcp, dns, ...(router === undefined ? { routerUnknown: true } : { router }) },
  };
}

/** Is the machine said to be in one subnet, and the request from another? */
export function isElsewhere({ only }: SceneMachine, { network }: Place): boolean {
  return only !== undefined && only !== network?.key;
}
