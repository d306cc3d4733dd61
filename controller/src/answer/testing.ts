// Requests of each kind of client and a scene to answer them in, for tests.
import type { System } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { addressesBytes, code, type MessageType, messageTypeBytes, readMessageType } from '../wire/dhcp4/options.ts';
import { type DhcpOption, type DhcpPacket, latin1Bytes, option } from '../wire/dhcp4/packet.ts';
import { hexText } from '../wire/dhcp4/shapes.ts';
import { answerDhcp, type DhcpDecision, type DhcpRequest } from './dhcp.ts';
import type { BootOffer, DhcpMode, Loaders, Scene } from './scene.ts';

export const mac = '52:54:00:77:00:01' as Mac;
export const leased = '10.77.0.150';

export interface Setting {
  mode?: DhcpMode;
  offer?: BootOffer;
  system?: System;
  loaders?: Loaders;
  address?: string;
}

export function scene({
  mode = 'range',
  offer = 'installer',
  system = 'x86_64-linux',
  loaders,
  address,
}: Setting = {}): Scene {
  return {
    interfaces: {
      br0: {
        name: 'br0',
        address: '10.77.0.1',
        prefixLength: 24,
        dhcp: mode,
        router: '10.77.0.254',
        dns: ['10.77.0.53'],
        leaseSeconds: 3600,
        networks: [
          {
            key: '10.78.0.0/24',
            address: '10.78.0.0',
            prefixLength: 24,
            dhcp: mode === 'proxy' ? 'proxy' : 'range',
            router: '10.78.0.254',
          },
        ],
      },
    },
    machineOfMac: { [mac]: 'machine1' },
    machines: { machine1: { name: 'machine1', offer, system, addresses: { [mac]: address ?? leased } } },
    loaders: loaders ?? { bios: 'undionly.kpxe', x64: 'snponly.efi', arm64: 'snponly-arm64.efi' },
    httpPort: 7480,
  };
}

export const text = (number: number, value: string): DhcpOption => [number, latin1Bytes(value)];
export const address = (number: number, value: string): DhcpOption => [number, addressesBytes([value])];
export const arch = (...types: number[]): DhcpOption => [
  code.architecture,
  Uint8Array.from(types.flatMap((type) => [0, type])),
];
export const uuid: DhcpOption = [code.uuid, Uint8Array.from({ length: 17 }, (_, index) => index)];

export const clients = {
  uefi: [text(60, 'PXEClient:Arch:00007:UNDI:003000'), arch(7), uuid],
  bios: [text(60, 'PXEClient:Arch:00000:UNDI:002001'), arch(0), uuid],
  arm: [text(60, 'PXEClient:Arch:00011:UNDI:003000'), arch(11), uuid],
  http: [text(60, 'HTTPClient:Arch:00016:UNDI:003000'), arch(16), uuid],
  ipxe: [
    text(60, 'PXEClient:Arch:00007:UNDI:003010'),
    arch(7),
    text(77, 'iPXE'),
    [175, Uint8Array.of(19, 1, 1, 36, 1, 1)],
  ],
  biosIpxe: [
    text(60, 'PXEClient:Arch:00000:UNDI:002001'),
    arch(0),
    text(77, 'iPXE'),
    [175, Uint8Array.of(19, 1, 1, 24, 1, 1)],
  ],
  smallIpxe: [text(60, 'PXEClient:Arch:00000:UNDI:002001'), arch(0), text(77, 'iPXE'), [175, Uint8Array.of(21, 1, 1)]],
  agent: [text(60, 'nixie-agent'), [61, Uint8Array.of(1, 82, 84, 0, 119, 0, 1)]],
  system: [text(60, 'dhcpcd-10.0.6:Linux')],
  plain: [],
} satisfies Record<string, DhcpOption[]>;
export type ClientName = keyof typeof clients;

export function asks(
  type: MessageType,
  client: ClientName | DhcpOption[],
  over: Partial<DhcpPacket> = {},
  more: DhcpOption[] = [],
): DhcpPacket {
  return {
    op: 1,
    htype: 1,
    hlen: 6,
    hops: 0,
    xid: 0x1234,
    secs: 0,
    flags: 0,
    ciaddr: '0.0.0.0',
    yiaddr: '0.0.0.0',
    siaddr: '0.0.0.0',
    giaddr: '0.0.0.0',
    chaddr: Uint8Array.from([0x52, 0x54, 0, 0x77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    sname: new Uint8Array(64),
    file: new Uint8Array(128),
    options: [[53, messageTypeBytes(type)], ...more, ...(Array.isArray(client) ? client : clients[client])],
    ...over,
  };
}

export function answer(packet: DhcpPacket, setting: Setting = {}, over: Partial<DhcpRequest> = {}): DhcpDecision {
  const request: DhcpRequest = {
    packet,
    interface: 'br0',
    port: 67,
    source: { address: '0.0.0.0', port: 68 },
    ...over,
  };
  return answerDhcp(request, scene(setting));
}

export function reply(decision: DhcpDecision): Extract<DhcpDecision, { kind: 'reply' }> {
  if (decision.kind === 'silence') throw new Error(`silence: ${decision.why}`);
  return decision;
}

export const hexOf = (packet: DhcpPacket, number: number): string | undefined => {
  const value = option(packet, number);
  return value && hexText(value);
};
export const typeOf = (packet: DhcpPacket) => readMessageType(option(packet, 53)!);
export const script = 'http://10.77.0.1:7480/boot/52-54-00-77-00-01.ipxe';
