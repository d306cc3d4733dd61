// The words of real firmware: recorded DHCP messages, said again in the name of other machines.
import { readFileSync } from 'node:fs';
import { type Mac, macToBytes } from '../../controller/src/machine/mac.ts';
import {
  addressesBytes,
  code,
  type MessageType,
  readAddresses,
  readMessageType,
  readText,
} from '../../controller/src/wire/dhcp4/options.ts';
import {
  type DhcpPacket,
  decodeDhcp,
  encodeDhcp,
  headerText,
  latin1Bytes,
  option,
} from '../../controller/src/wire/dhcp4/packet.ts';

export interface Words {
  readonly discover: DhcpPacket;
  readonly request: DhcpPacket;
  /** On port 4011, by firmware that has its address from somebody else. */
  readonly bootServer?: DhcpPacket;
}

const recorded = readFileSync(new URL('../../controller/src/wire/dhcp4/fixtures/dhcp.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { scenario: string; msg: string; dport: number; op: number; raw: string })
  .filter((line) => line.op === 1)
  .map((line) => ({ ...line, packet: decodeDhcp(Uint8Array.from(Buffer.from(line.raw, 'hex'))) }));

/** The client of one recorded boot whose vendor class begins so, with or without iPXE's user class. */
function wordsOf(scenario: string, vendorClass: string, ipxe: boolean): Words {
  const find = (msg: string, port: number): DhcpPacket | undefined =>
    recorded.find(
      ({ packet, ...line }) =>
        line.scenario === scenario &&
        line.msg === msg &&
        line.dport === port &&
        readText(option(packet, code.vendorClass) ?? new Uint8Array()).startsWith(vendorClass) &&
        (option(packet, code.userClass) !== undefined) === ipxe,
    )?.packet;
  const [discover, request, bootServer] = [find('DISCOVER', 67), find('REQUEST', 67), find('REQUEST', 4011)];
  if (discover === undefined || request === undefined) throw new Error(`no ${vendorClass} is recorded in ${scenario}`);
  return { discover, request, ...(bootServer === undefined ? {} : { bootServer }) };
}

const agent = wordsOf('a1-ovmf-native-snponly', 'nixie-agent', false);

/** An installed system calls itself something else than the installer. */
const renamed = (packet: DhcpPacket): DhcpPacket => ({
  ...packet,
  options: packet.options.map(([number, value]) =>
    number === code.vendorClass ? [number, latin1Bytes('dhcpcd-10.1.0:Linux-6.12.30')] : [number, value],
  ),
});

export const words = {
  uefi: wordsOf('a1-ovmf-native-snponly', 'PXEClient:Arch:00007', false),
  uefiIpxe: wordsOf('a1-ovmf-native-snponly', 'PXEClient:Arch:00007', true),
  bios: wordsOf('a4-bios-undionly', 'PXEClient:Arch:00000', true),
  http: wordsOf('c-httpboot-ra', 'HTTPClient', false),
  httpIpxe: wordsOf('c-httpboot-ra', 'PXEClient:Arch:00007', true),
  proxied: wordsOf('b-proxy-bios-siaddr', 'PXEClient:Arch:00007', false),
  agent,
  system: { discover: renamed(agent.discover), request: renamed(agent.request) },
} satisfies Record<string, Words>;

export interface Saying {
  readonly mac: Mac;
  readonly xid: number;
  /** Options 50 and 54. */
  readonly address?: string;
  readonly server?: string;
  readonly ciaddr?: string;
}

/** The recorded message with another machine's name on it. */
export function say(template: DhcpPacket, { mac, xid, address, server, ciaddr }: Saying): Uint8Array {
  const chaddr = new Uint8Array(16);
  chaddr.set(macToBytes(mac));
  const put = (number: number, old: Uint8Array): Uint8Array => {
    if (number === code.requestedAddress && address !== undefined) return addressesBytes([address]);
    if (number === code.server && server !== undefined) return addressesBytes([server]);
    return old;
  };
  return encodeDhcp({
    ...template,
    chaddr,
    xid,
    ciaddr: ciaddr ?? template.ciaddr,
    options: template.options.map(([number, value]) => [number, put(number, value)] as const),
  });
}

export interface Heard {
  readonly type: MessageType;
  readonly xid: number;
  /** Absent: none was given. */
  readonly address?: string;
  readonly server: string;
  /** Empty: none. */
  readonly file: string;
}

export function hear(bytes: Uint8Array): Heard {
  const packet = decodeDhcp(bytes);
  const type = readMessageType(option(packet, code.messageType) ?? new Uint8Array());
  const server = readAddresses(option(packet, code.server) ?? new Uint8Array())?.[0];
  if (type === undefined || server === undefined) throw new Error('a reply without type or server');
  return {
    type,
    xid: packet.xid,
    server,
    file: headerText(packet, 'file'),
    ...(packet.yiaddr === '0.0.0.0' ? {} : { address: packet.yiaddr }),
  };
}
