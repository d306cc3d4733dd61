// What we say to a DHCP message: a reply or silence with its reason, from the message, the machine and the settings alone.
import { type Mac, macFromBytes } from '../machine/mac.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';
import { code, readMessageType } from '../wire/dhcp4/options.ts';
import { type DhcpPacket, noOctets, option } from '../wire/dhcp4/packet.ts';
import {
  type Answer,
  type Asked,
  bootOf,
  choseUs,
  type DhcpRequest,
  type ReplyWord,
  type SilenceReason,
} from './asked.ts';
import { destination, type Endpoint } from './destination.ts';
import { type ClientKind, classify, wantsBoot } from './firmware.ts';
import { answerLease } from './lease.ts';
import { isElsewhere, type Place, placeOf } from './place.ts';
import { buildReply } from './reply.ts';
import type { Scene } from './scene.ts';

export type { DhcpRequest, ReplyWord, SilenceReason };

export type DhcpDecision =
  | {
      readonly kind: 'reply';
      readonly packet: DhcpPacket;
      readonly to: Endpoint;
      readonly machine: string;
      readonly mac: Mac;
      readonly client: ClientKind;
      readonly why: ReplyWord;
      /** The boot file in the reply. */
      readonly file?: string;
      readonly relay?: RelayWord;
    }
  | {
      readonly kind: 'silence';
      readonly why: SilenceReason;
      readonly detail?: string;
      readonly machine?: string;
      readonly mac?: Mac;
      readonly client?: ClientKind;
      readonly relay?: RelayWord;
    };

/** Beyond which relay, or router, the machine is. */
export interface RelayWord {
  /** Of the relay; for what it says it came by itself, any address of the network. */
  readonly address: string;
  /** Key of the declared subnet. Absent: none is declared that has the address. */
  readonly subnet?: string;
}

/** RFC 1542 4.1.1: what came over more relays goes in circles. */
const mostHops = 16;

/** Pure; a repeated request gets the same reply. The scene decides whom we know. */
export function answerDhcp(request: DhcpRequest, scene: Scene): DhcpDecision {
  const { packet } = request;
  const link = own(scene.interfaces, request.interface);
  const type = readMessageType(option(packet, code.messageType) ?? noOctets);
  if (packet.op !== 1 || type === undefined || type === 'OFFER' || type === 'ACK' || type === 'NAK') {
    return { kind: 'silence', why: 'not a request' };
  }
  if (packet.htype !== 1 || packet.hlen !== 6) {
    return { kind: 'silence', why: 'not ethernet', detail: `hardware type ${packet.htype}, ${packet.hlen} octets` };
  }
  const mac = macFromBytes(packet.chaddr);
  const client = classify(packet);
  if (link === undefined) return { kind: 'silence', why: 'unknown interface', detail: request.interface, mac };
  const name = own(scene.machineOfMac, mac);
  const known = name === undefined ? undefined : own(scene.machines, name);
  if (known === undefined) return { kind: 'silence', why: 'unknown machine', mac, client: client.kind };
  const place = placeOf(request, link, known);
  const { at, machine } = place;
  const told = { machine: machine.name, mac, client: client.kind, ...relayWord(request, place) };
  if (link.dhcp === 'off') return { kind: 'silence', why: 'dhcp is off', ...told };
  if (packet.hops > mostHops) return { kind: 'silence', why: 'too many hops', detail: String(packet.hops), ...told };
  if (isElsewhere(machine, place))
    return { kind: 'silence', why: 'another network', detail: `it belongs to ${machine.only}`, ...told };
  // A boot file may be told to anybody; an address only of a network that we know.
  if (place.undeclared !== undefined && at.dhcp === 'range' && request.port !== 4011)
    return { kind: 'silence', why: 'undeclared subnet', detail: `its relay is ${place.undeclared}`, ...told };

  const asked: Asked = { request, type, mac, client, machine, scene, at, subnet: place.network ?? at };
  const answer =
    request.port === 4011 ? answerBootServer(asked) : at.dhcp === 'proxy' ? answerProxy(asked) : answerLease(asked);
  if (answer.kind === 'silence') return { ...answer, ...told };
  return { ...answer, to: destination(packet, request, answer.why === 'address refused'), ...told };
}

function relayWord({ packet }: DhcpRequest, { network, undeclared }: Place): { relay?: RelayWord } {
  if (undeclared !== undefined) return { relay: { address: undeclared } };
  if (network === undefined) return {};
  return { relay: { address: packet.giaddr === anyAddress ? network.address : packet.giaddr, subnet: network.key } };
}

/** The scene's tables hold what operators named; `constructor` is no machine. */
function own<V>(table: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** Beside another server: boot files only, never an address (PXE 2.1, ProxyDHCP). */
function answerProxy(asked: Asked): Answer {
  const { type } = asked;
  if (type === 'REQUEST' && choseUs(asked) === false) return { kind: 'silence', why: 'another server was chosen' };
  if (type !== 'DISCOVER' && !(type === 'REQUEST' && choseUs(asked))) {
    return { kind: 'silence', why: 'not for a proxy', detail: type };
  }
  if (!wantsBoot(asked.client)) return { kind: 'silence', why: 'only an address wanted' };
  const boot = bootOf(asked);
  if (boot.kind === 'none') return { ...boot, kind: 'silence' };
  const offer = type === 'DISCOVER';
  const packet = buildReply(asked, { type: offer ? 'OFFER' : 'ACK', boot, proxy: true, broadcast: true });
  return { kind: 'reply', packet, why: offer ? 'proxy offer' : 'proxy acknowledgement', file: boot.file };
}

/** Port 4011: a client that has its address from somebody asks what to boot (PXE 2.1, boot server). */
function answerBootServer(asked: Asked): Answer {
  if (asked.type !== 'REQUEST' && asked.type !== 'INFORM')
    return { kind: 'silence', why: 'wrong port', detail: asked.type };
  if (!wantsBoot(asked.client)) return { kind: 'silence', why: 'only an address wanted' };
  // It holds an address, or nobody could send it the file.
  const { packet, source } = asked.request;
  if (packet.ciaddr === anyAddress && source.address === anyAddress) {
    return { kind: 'silence', why: 'no address', detail: 'it has none yet' };
  }
  const boot = bootOf(asked);
  if (boot.kind === 'none') return { ...boot, kind: 'silence' };
  const reply = buildReply(asked, { type: 'ACK', boot, proxy: true, broadcast: false });
  return { kind: 'reply', packet: reply, why: 'boot server answer', file: boot.file };
}
