// The DHCP and PXE doors (UDP 67 and 4011): decode, ask, encode. Rules are in answer/; here are only limits.
import type { Endpoint } from '../answer/destination.ts';
import type { DhcpDecision, DhcpRequest } from '../answer/dhcp.ts';
import { classify, wantsBoot } from '../answer/firmware.ts';
import type { Scene } from '../answer/scene.ts';
import type { Mac } from '../machine/mac.ts';
import { macFromBytes } from '../machine/mac.ts';
import type { StrangerWords } from '../machine/stranger.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';
import { architectureNames, code, readAddresses, readMessageType, readText, readUuid } from '../wire/dhcp4/options.ts';
import {
  DhcpFormatError,
  type DhcpPacket,
  decodeDhcpInPlace,
  encodeDhcpInto,
  noOctets,
  option,
} from '../wire/dhcp4/packet.ts';
import { type AddressUse, AddressUsers } from './address-users.ts';
import type { Seen } from './seen.ts';
import { TokenBucket } from './token-bucket.ts';

export type AnswerDhcp = (request: DhcpRequest, scene: Scene) => DhcpDecision;

export interface DhcpCounters {
  readonly received: number;
  readonly answered: number;
  readonly silent: number;
  readonly malformed: number;
  /** Machines of ours that asked too often. */
  readonly limited: number;
  /** Packets of strangers beyond what is looked at. */
  readonly strangersDropped: number;
  /** Packets that the kernel threw away because its queue was full, of whomever they were; undefined where it doesn't say. */
  readonly kernelDropped?: number;
}

export interface DhcpDoor {
  /** The datagram to send from the same door, if any; its octets are good until the next one is made. Keeps nothing of `bytes`. Never throws. */
  receive(
    bytes: Uint8Array,
    at: Omit<DhcpRequest, 'packet'>,
  ): { readonly bytes: Uint8Array; readonly to: Endpoint; readonly giaddr?: string } | undefined;
  counters(): DhcpCounters;
}

/** A boot asks some eight times in ten seconds, and repeats a few. */
const ownBurst = 40;
const ownPerSecond = 8;
const strangersPerSecond = 1000;
/** A reply that is put together where the last one was: what any client takes (reply.ts), and room for what a relay wants back. */
const replyBytes = 1024;

/** The chaddr of a message as a number, which is compared much faster than when it is written out. For messages of 34 bytes at least. */
function chaddrNumber(bytes: Uint8Array): number {
  const high = (bytes[28]! << 8) | bytes[29]!;
  return high * 2 ** 32 + bytes[30]! * 2 ** 24 + ((bytes[31]! << 16) | (bytes[32]! << 8) | bytes[33]!);
}

interface Listed {
  readonly mac: Mac;
  readonly machine: string;
  /** What it may still ask, the same in every scene that lists it. */
  readonly bucket: TokenBucket;
}

/** The listed machine that a message claims to be of, without decoding it. Follows the scene, which is replaced and never changed. */
function listedIn(current: () => Scene): (bytes: Uint8Array) => Listed | undefined {
  let of: Scene['machineOfMac'] | undefined;
  let listed = new Map<number, Listed>();
  return (bytes) => {
    const { machineOfMac } = current();
    if (machineOfMac !== of) {
      const before = listed;
      listed = new Map();
      for (const [mac, machine] of Object.entries(machineOfMac) as [Mac, string][]) {
        const number = Number.parseInt(mac.replaceAll(':', ''), 16);
        const bucket = before.get(number)?.bucket ?? new TokenBucket(ownBurst, ownPerSecond);
        listed.set(number, { mac, machine, bucket });
      }
      of = machineOfMac;
    }
    return bytes.length >= 34 ? listed.get(chaddrNumber(bytes)) : undefined;
  };
}

/** Filled in field by field: it is made for every message, and copies of copies would cost more than the answer. */
type Noted = { -readonly [Name in keyof Seen]: Seen[Name] };

/** For the trail: what is asked, of whom, by what kind of client, and through which relay. */
function noteAsked(
  seen: Noted,
  packet: DhcpPacket,
  { port, source }: Pick<DhcpRequest, 'port' | 'source'>,
  { client, relay }: DhcpDecision,
): void {
  const asked = readMessageType(option(packet, code.messageType) ?? noOctets);
  const server = readAddresses(option(packet, code.server) ?? noOctets)?.[0];
  seen.port = port;
  if (asked !== undefined) seen.asked = asked;
  if (client !== undefined) seen.client = client;
  if (server !== undefined) seen.server = server;
  if (asked === 'REQUEST') noteTaken(seen, packet, port === 4011 ? source.address : anyAddress);
  if (packet.giaddr !== anyAddress) seen.giaddr = packet.giaddr;
  if (relay?.subnet !== undefined) seen.subnet = relay.subnet;
  else if (relay !== undefined) seen.undeclared = true;
}

/** RFC 2131 4.3.2: who renews holds it, others name it in option 50. @param from where it asks port 4011, if it does */
function noteTaken(seen: Noted, packet: DhcpPacket, from: string): void {
  const held = packet.ciaddr === anyAddress ? from : packet.ciaddr;
  const address = held === anyAddress ? requested(packet) : held;
  if (address !== undefined) seen.address = address;
  if (held !== anyAddress) seen.holds = true;
}

/** RFC 2132 9.1: beside another server the only word of the address that the machine takes. */
function requested(packet: DhcpPacket): string | undefined {
  return readAddresses(option(packet, code.requestedAddress) ?? noOctets)?.[0];
}

/** What a machine of nobody's says of itself, when it wants to boot. */
function strangerOf(packet: DhcpPacket): StrangerWords | undefined {
  const client = classify(packet);
  if (!wantsBoot(client)) return undefined;
  const { architecture } = client;
  const vendorClass = readText(option(packet, code.vendorClass) ?? noOctets);
  const uuid = readUuid(option(packet, code.uuid) ?? noOctets);
  return {
    ...(architecture === undefined ? {} : { architecture: architectureNames[architecture] ?? `type ${architecture}` }),
    ...(vendorClass === '' ? {} : { vendorClass: vendorClass.slice(0, 64) }),
    ...(uuid === undefined ? {} : { uuid }),
  };
}

export function createDhcpDoor(parts: {
  readonly scene: () => Scene;
  readonly answer: AnswerDhcp;
  readonly nowMs: () => number;
  readonly onSeen: (seen: Seen) => void;
  /** An address is used by another MAC than before, for the trail only. */
  readonly onUse?: (use: AddressUse) => void;
}): DhcpDoor {
  const count = { received: 0, answered: 0, silent: 0, malformed: 0, limited: 0, strangersDropped: 0 };
  const strangers = new TokenBucket(strangersPerSecond, strangersPerSecond);
  const users = new AddressUsers();
  const uses = (name: string, address: string, mac: Mac): void => {
    if (users.saw(name, address, mac)) parts.onUse?.({ interface: name, address, mac });
  };
  const listed = listedIn(parts.scene);
  const replying = new Uint8Array(replyBytes);

  return {
    receive(datagram, at) {
      const nowMs = parts.nowMs();
      count.received++;
      const one = listed(datagram);
      // Before decoding, so that a flood of strangers costs little and takes nothing from the share of our machines.
      if (one === undefined && !strangers.take(nowMs)) {
        count.strangersDropped++;
        return undefined;
      }
      // Parts of a Buffer would be Buffers.
      const bytes = new Uint8Array(datagram.buffer, datagram.byteOffset, datagram.length);
      const mac = one?.mac ?? macFromBytes(bytes.subarray(28, 34));
      if (one !== undefined && !one.bucket.take(nowMs)) {
        count.limited++;
        const { machine } = one;
        if (count.limited % 100 === 1) parts.onSeen({ kind: 'dhcp-limited', mac, machine, interface: at.interface });
        return undefined;
      }
      const seen: Noted = { kind: 'dhcp-answered', mac, interface: at.interface };
      if (one !== undefined) seen.machine = one.machine;
      try {
        const packet = decodeDhcpInPlace(bytes);
        if (one !== undefined) {
          uses(at.interface, packet.ciaddr, mac);
          uses(at.interface, requested(packet) ?? anyAddress, mac);
        }
        const answer = parts.answer(
          { packet, interface: at.interface, port: at.port, source: at.source },
          parts.scene(),
        );
        noteAsked(seen, packet, at, answer);
        seen.why = answer.why;
        if (answer.kind === 'silence') {
          count.silent++;
          seen.kind = 'dhcp-silent';
          if (answer.detail !== undefined) seen.detail = answer.detail;
          const stranger = answer.why === 'unknown machine' ? strangerOf(packet) : undefined;
          if (stranger !== undefined) seen.stranger = stranger;
          parts.onSeen(seen);
          return undefined;
        }
        const reply = encodeDhcpInto(answer.packet, replying);
        count.answered++;
        uses(at.interface, answer.packet.yiaddr, mac);
        if (answer.file !== undefined) seen.detail = answer.file;
        parts.onSeen(seen);
        const { giaddr } = packet;
        return giaddr === anyAddress ? { bytes: reply, to: answer.to } : { bytes: reply, to: answer.to, giaddr };
      } catch (error) {
        count.malformed++;
        parts.onSeen({
          kind: 'dhcp-malformed',
          mac,
          interface: at.interface,
          ...(one !== undefined && { machine: one.machine }),
          why: error instanceof DhcpFormatError ? error.rule : 'broken',
          detail: (error as Error).message,
        });
        return undefined;
      }
    },
    counters: () => ({ ...count }),
  };
}
