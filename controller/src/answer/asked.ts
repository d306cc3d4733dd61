// A request with all that its answer is made of, and the words in which we say what we did with it.
import type { Mac } from '../machine/mac.ts';
import { code, type MessageType, readAddresses } from '../wire/dhcp4/options.ts';
import { type DhcpPacket, noOctets, option } from '../wire/dhcp4/packet.ts';
import { type Boot, bootFile, type NoBoot } from './bootfile.ts';
import type { Endpoint } from './destination.ts';
import type { Client } from './firmware.ts';
import { serverIdentifier } from './reply.ts';
import type { Scene, SceneInterface, SceneMachine } from './scene.ts';

export interface DhcpRequest {
  readonly packet: DhcpPacket;
  /** Name of the interface it came in by. */
  readonly interface: string;
  /** 67 or 4011, the port of ours it came to; the reply leaves from the same. */
  readonly port: number;
  readonly source: Endpoint;
}

export type ReplyWord =
  | 'proxy offer' // a boot file beside another server's address
  | 'proxy acknowledgement' // the same, asked for by name on 67
  | 'boot server answer' // on port 4011
  | 'address offered'
  | 'address confirmed'
  | 'address refused'
  | 'settings only'; // INFORM

export type SilenceReason =
  | 'not a request'
  | 'not ethernet'
  | 'unknown interface'
  | 'dhcp is off'
  | 'too many hops'
  | 'unknown machine'
  | 'only an address wanted' // and we give none
  | 'another server was chosen'
  | 'not for a proxy'
  | 'wrong port'
  | 'no address' // none was assigned to this MAC, or it has none yet
  | 'another network' // its address isn't of the network it asks from, or it belongs to another subnet
  | 'undeclared subnet' // it is behind a relay of which the hosts file says nothing, and wants an address
  | 'router unknown' // it renews past its relay, which alone is known to be its router
  | 'asks for nothing' // a REQUEST without any address
  | 'declined' // the client found its address in use by another
  | 'released'
  | NoBoot;

/** All of a request that the answers are made of. */
export interface Asked {
  readonly request: DhcpRequest;
  readonly type: MessageType;
  readonly mac: Mac;
  readonly client: Client;
  readonly machine: SceneMachine;
  readonly scene: Scene;
  /** As we are at the machine's place, see place.ts. */
  readonly at: SceneInterface;
  /** Network address and length of that place. */
  readonly subnet: { readonly address: string; readonly prefixLength: number };
}

export type Answer =
  | { readonly kind: 'reply'; readonly packet: DhcpPacket; readonly why: ReplyWord; readonly file?: string }
  | { readonly kind: 'silence'; readonly why: SilenceReason; readonly detail?: string };

/** Boot file of a client that wants one. */
export function bootOf(asked: Asked): Boot {
  return bootFile(asked.client, asked.machine, asked.mac, asked.scene, asked.at);
}

/** Does a REQUEST name another server than us (option 54)? Undefined: it names none. */
export function choseUs(asked: Asked): boolean | undefined {
  const server = readAddresses(option(asked.request.packet, code.server) ?? noOctets)?.[0];
  return server === undefined ? undefined : server === serverIdentifier(asked.request.packet, asked.at);
}
