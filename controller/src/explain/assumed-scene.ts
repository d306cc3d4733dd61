// The scene for explaining a capture: the hosts that were given, or every machine of the capture that boots from the network.
import { classify, wantsBoot } from '../answer/firmware.ts';
import type { Scene, SceneMachine, SceneNetwork } from '../answer/scene.ts';
import { assignAddresses } from '../machine/assignment.ts';
import type { Host, System } from '../machine/host.ts';
import { type Mac, macFromBytes } from '../machine/mac.ts';
import { inSubnet, type Subnet } from '../machine/subnet.ts';
import { addressNumber, addressText } from '../wire/dhcp4/address.ts';
import type { DhcpPacket } from '../wire/dhcp4/packet.ts';

export type ExplainDhcp =
  | { readonly mode: 'proxy' }
  | { readonly mode: 'range'; readonly from: string; readonly to: string }
  | { readonly mode: 'off' };

export interface AssumedScene {
  readonly scene: Scene;
  /** What was assumed, as sentences for people. */
  readonly assumptions: readonly string[];
}

/** Name of the only interface of the scene. */
export const assumedInterface = 'capture';

/** RFC 5737: an address for examples, nobody's. */
const exampleAddress = '192.0.2.1';
const prefixLength = 24;

function hostOf(mac: Mac, system: System): Host {
  return { name: mac, flakeAttr: mac, macs: [mac], system, tags: [], boot: [], expectDisks: [], wipe: false };
}

/** A host for each MAC that asks for something to boot, in the order in which they appear. */
function hostsOf(packets: readonly DhcpPacket[]): Host[] {
  const hosts = new Map<Mac, Host>();
  for (const packet of packets) {
    const client = classify(packet);
    if (packet.op !== 1 || packet.htype !== 1 || packet.hlen !== 6 || !wantsBoot(client)) continue;
    const mac = macFromBytes(packet.chaddr);
    if (!hosts.has(mac)) hosts.set(mac, hostOf(mac, client.platform === 'arm64' ? 'aarch64-linux' : 'x86_64-linux'));
  }
  return [...hosts.values()];
}

/** `address`: ours on the network of the capture, when it is known. Assignment problems become assumptions: nobody gets an address then. */
export function assumeScene(
  packets: readonly DhcpPacket[],
  given: {
    readonly hosts?: readonly Host[];
    readonly subnets?: readonly Subnet[];
    readonly dhcp?: ExplainDhcp;
    readonly address?: string;
  },
): AssumedScene {
  const dhcp = given.dhcp ?? { mode: 'proxy' };
  const hosts = given.hosts ?? hostsOf(packets);
  const assumptions: string[] = [];
  if (given.hosts === undefined) {
    assumptions.push(`no hosts file: each machine here that boots from the network counts as listed (${hosts.length})`);
  }
  assumptions.push('every listed machine is being installed');
  if (given.dhcp === undefined) assumptions.push('beside another DHCP server (--dhcp proxy)');
  const inRange = dhcp.mode === 'range' ? addressText(((addressNumber(dhcp.from) & 0xffffff00) | 1) >>> 0) : undefined;
  const address = given.address ?? inRange ?? exampleAddress;
  if (given.address === undefined) assumptions.push(`our own address is ${address}`);
  let addresses: Readonly<Record<Mac, string>> = {};
  if (dhcp.mode === 'range') {
    const range = { from: dhcp.from, to: dhcp.to };
    const result = assignAddresses({ hosts, address, prefixLength, range, taken: [], previous: {} });
    if (result.kind === 'assigned') addresses = result.addresses;
    else assumptions.push(...result.problems.map((problem) => `no addresses: ${problem.text}`));
  }
  const machines = hosts.map((host): SceneMachine => {
    const own = host.macs.flatMap((mac) => (addresses[mac] === undefined ? [] : [[mac, addresses[mac]] as const]));
    const only = host.subnet === undefined ? {} : { only: host.subnet };
    return { name: host.name, offer: 'installer', system: host.system, addresses: Object.fromEntries(own), ...only };
  });
  const networks = (given.subnets ?? [])
    .filter(({ relay }) => relay === undefined)
    .map((subnet) => networkOf(subnet, hosts, assumptions));
  const scene: Scene = {
    interfaces: {
      [assumedInterface]: {
        name: assumedInterface,
        address,
        prefixLength,
        dhcp: dhcp.mode,
        dns: [],
        leaseSeconds: 3600,
        ...(networks.length === 0 ? {} : { networks }),
      },
    },
    machineOfMac: Object.fromEntries(hosts.flatMap((host) => host.macs.map((mac) => [mac, host.name]))),
    machines: Object.fromEntries(machines.map((machine) => [machine.name, machine])),
    loaders: { bios: 'undionly.kpxe', x64: 'snponly.efi', arm64: 'snponly-arm64.efi' },
    httpPort: 7480,
  };
  return { scene, assumptions };
}

function networkOf(subnet: Subnet, hosts: readonly Host[], assumptions: string[]): SceneNetwork {
  const { cidr: key, network: address, prefixLength, range, router, dns, controllerAddress: controller } = subnet;
  let addresses: Readonly<Record<Mac, string>> = {};
  if (range !== undefined) {
    const there = hosts.filter((host) => host.subnet === undefined || host.subnet === key);
    const taken = [router, controller, ...(dns ?? [])].filter((each) => each !== undefined);
    const result = assignAddresses({
      hosts: there.map(({ address: fixed, ...host }) =>
        fixed !== undefined && inSubnet(fixed, subnet) ? { ...host, address: fixed } : host,
      ),
      ...{ address, prefixLength, range, taken, previous: {} },
    });
    if (result.kind === 'assigned') addresses = result.addresses;
    else assumptions.push(...result.problems.map(({ text }) => `no addresses in ${key}: ${text}`));
  }
  const dhcp = range === undefined ? 'proxy' : 'range';
  return {
    key,
    address,
    prefixLength,
    dhcp,
    addresses,
    ...(router && { router }),
    ...(dns && { dns }),
    ...(controller && { controller }),
  };
}
