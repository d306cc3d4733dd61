// The DHCP and PXE doors (UDP 67 and 4011): decode, ask, encode. Rules are in answer/; here are only limits.
import type { Endpoint } from '../answer/destination.ts';
import type { DhcpDecision, DhcpRequest } from '../answer/dhcp.ts';
import { classify, wantsBoot } from '../answer/firmware.ts';
import type { Scene } from '../answer/scene.ts';
import type { Mac } from '../machine/mac.ts';
import { macFromBytes } from '../machine/mac.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';
import { architectureNames, code, readAddresses, readMessageType, readText, readUuid } from '../wire/dhcp4/options.ts';
import { DhcpFormatError, type DhcpPacket, decodeDhcp, encodeDhcp, option } from '../wire/dhcp4/packet.ts';
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
  /** The datagram to send from the same door, if any. Never throws. */
  receive(
    bytes: Uint8Array,
    at: Omit<DhcpRequest, 'packet'>,
  ): { readonly bytes: Uint8Array; readonly to: Endpoint; readonly giaddr?: string } | undefined;
  /** The machine that was last seen to use an address, for the trail only. */
  macOfAddress(address: string, interfaceName: string | undefined): Mac | undefined;
  counters(): DhcpCounters;
}

const requestedAddress = 50; // RFC 2132 9.1: beside another server the only word of the address that the machine takes
/** A boot asks some eight times in ten seconds, and repeats a few. */
const ownBurst = 40;
const ownPerSecond = 8;
const strangersPerSecond = 1000;
const addressesRemembered = 4096;

/** The chaddr of a message as a number, which is compared much faster than when it is written out. For messages of 34 bytes at least. */
function chaddrNumber(bytes: Uint8Array): number {
  const high = (bytes[28]! << 8) | bytes[29]!;
  return high * 2 ** 32 + bytes[30]! * 2 ** 24 + ((bytes[31]! << 16) | (bytes[32]! << 8) | bytes[33]!);
}

/** Whether a message claims to be of a listed machine, without decoding it. Follows the scene, which is replaced and never changed. */
function listedIn(current: () => Scene): (bytes: Uint8Array) => boolean {
  let of: Scene['machineOfMac'] | undefined;
  let numbers = new Set<number>();
  return (bytes) => {
    const { machineOfMac } = current();
    if (machineOfMac !== of) {
      numbers = new Set(Object.keys(machineOfMac).map((mac) => Number.parseInt(mac.replaceAll(':', ''), 16)));
      of = machineOfMac;
    }
    return bytes.length >= 34 && numbers.has(chaddrNumber(bytes));
  };
}

/** For the trail: what is asked, of whom, by what kind of client, and through which relay. */
function aboutOf(
  packet: DhcpPacket,
  { port, source }: Pick<DhcpRequest, 'port' | 'source'>,
  { client, relay }: DhcpDecision,
): Partial<Seen> {
  const asked = readMessageType(option(packet, code.messageType) ?? new Uint8Array());
  const server = readAddresses(option(packet, code.server) ?? new Uint8Array())?.[0];
  const taken = asked === 'REQUEST' ? takenAddress(packet, port === 4011 ? source.address : anyAddress) : {};
  return {
    port,
    ...(asked === undefined ? {} : { asked }),
    ...(client === undefined ? {} : { client }),
    ...(server === undefined ? {} : { server }),
    ...taken,
    ...(packet.giaddr === anyAddress ? {} : { giaddr: packet.giaddr }),
    ...(relay?.subnet === undefined ? {} : { subnet: relay.subnet }),
    ...(relay !== undefined && relay.subnet === undefined ? { undeclared: true } : {}),
  };
}

/** RFC 2131 4.3.2: who renews holds it, others name it in option 50. @param from where it asks port 4011, if it does */
function takenAddress(packet: DhcpPacket, from: string): Pick<Seen, 'address' | 'holds'> {
  const held = packet.ciaddr === anyAddress ? from : packet.ciaddr;
  if (held !== anyAddress) return { address: held, holds: true };
  const address = readAddresses(option(packet, requestedAddress) ?? new Uint8Array())?.[0];
  return address === undefined ? {} : { address };
}

/** What a machine of nobody's says of itself, when it wants to boot. */
function strangerOf(packet: DhcpPacket): Pick<Seen, 'stranger'> {
  const client = classify(packet);
  if (!wantsBoot(client)) return {};
  const { architecture } = client;
  const vendorClass = readText(option(packet, code.vendorClass) ?? new Uint8Array());
  const uuid = readUuid(option(packet, code.uuid) ?? new Uint8Array());
  return {
    stranger: {
      ...(architecture === undefined
        ? {}
        : { architecture: architectureNames[architecture] ?? `type ${architecture}` }),
      ...(vendorClass === '' ? {} : { vendorClass: vendorClass.slice(0, 64) }),
      ...(uuid === undefined ? {} : { uuid }),
    },
  };
}

export function createDhcpDoor(parts: {
  readonly scene: () => Scene;
  readonly answer: AnswerDhcp;
  readonly nowMs: () => number;
  readonly onSeen: (seen: Seen) => void;
}): DhcpDoor {
  const count = { received: 0, answered: 0, silent: 0, malformed: 0, limited: 0, strangersDropped: 0 };
  const buckets = new Map<Mac, TokenBucket>(); // only for listed machines, so it is bounded by the hosts file
  const strangers = new TokenBucket(strangersPerSecond, strangersPerSecond);
  const macs = new Map<string, Mac>();
  const isListed = listedIn(parts.scene);

  // Two interfaces may have the same private addresses.
  const remember = (interfaceName: string, address: string, mac: Mac): void => {
    if (address === anyAddress) return;
    const key = `${interfaceName} ${address}`;
    macs.delete(key);
    macs.set(key, mac);
    if (macs.size > addressesRemembered) macs.delete(macs.keys().next().value!);
  };

  return {
    receive(bytes, at) {
      const nowMs = parts.nowMs();
      count.received++;
      // Before decoding, so that a flood of strangers costs little and takes nothing from the share of our machines.
      if (!isListed(bytes) && !strangers.take(nowMs)) {
        count.strangersDropped++;
        return undefined;
      }
      const scene = parts.scene();
      const mac = macFromBytes(bytes.subarray(28, 34));
      const machine = scene.machineOfMac[mac];
      if (machine !== undefined) {
        let bucket = buckets.get(mac);
        if (!bucket) {
          bucket = new TokenBucket(ownBurst, ownPerSecond);
          buckets.set(mac, bucket);
        }
        if (!bucket.take(nowMs)) {
          count.limited++;
          if (count.limited % 100 === 1) parts.onSeen({ kind: 'dhcp-limited', mac, machine, interface: at.interface });
          return undefined;
        }
      }
      const seen = { mac, interface: at.interface, ...(machine === undefined ? {} : { machine }) };
      try {
        const packet = decodeDhcp(bytes);
        if (machine !== undefined) {
          remember(at.interface, packet.ciaddr, mac);
          remember(at.interface, option(packet, requestedAddress)?.join('.') ?? anyAddress, mac);
        }
        const answer = parts.answer({ packet, ...at }, scene);
        const about = aboutOf(packet, at, answer);
        if (answer.kind === 'silence') {
          count.silent++;
          const detail = answer.detail === undefined ? {} : { detail: answer.detail };
          const stranger = answer.why === 'unknown machine' ? strangerOf(packet) : {};
          parts.onSeen({ kind: 'dhcp-silent', ...seen, ...about, ...stranger, why: answer.why, ...detail });
          return undefined;
        }
        const reply = encodeDhcp(answer.packet);
        count.answered++;
        remember(at.interface, answer.packet.yiaddr, mac);
        const file = answer.file === undefined ? {} : { detail: answer.file };
        parts.onSeen({ kind: 'dhcp-answered', ...seen, ...about, why: answer.why, ...file });
        const { giaddr } = packet;
        return { bytes: reply, to: answer.to, ...(giaddr === anyAddress ? {} : { giaddr }) };
      } catch (error) {
        count.malformed++;
        const detail = (error as Error).message;
        parts.onSeen({
          kind: 'dhcp-malformed',
          ...seen,
          why: error instanceof DhcpFormatError ? error.rule : 'broken',
          detail,
        });
        return undefined;
      }
    },
    macOfAddress: (address, interfaceName) => macs.get(`${interfaceName} ${address}`),
    counters: () => ({ ...count }),
  };
}
