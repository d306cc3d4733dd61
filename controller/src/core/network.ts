// Which role Nixie plays on each interface, and which address each MAC has where Nixie is the DHCP server. Decided before anything is served.
import type { SceneInterface, SceneNetwork } from '../answer/scene.ts';
import { type AssignmentParts, assignAddresses } from '../machine/assignment.ts';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { inSubnet as isIn, type Subnet, subnetBroadcast, subnetKey } from '../machine/subnet.ts';

export interface Link {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

export type DhcpWish =
  | { readonly mode: 'proxy' }
  | { readonly mode: 'off' }
  | { readonly mode: 'range'; readonly from: string; readonly to: string };

export interface NetworkPlan {
  readonly interfaces: readonly SceneInterface[];
  /** On the networks that we are in ourselves. */
  readonly addresses: Readonly<Record<Mac, string>>;
  /** All that are declared, those of a `nixie relay` as well. */
  readonly subnets: readonly PlannedSubnet[];
}

export interface PlannedSubnet {
  readonly key: string;
  readonly subnet: Subnet;
  /** Where it has a range: of each MAC that may be there. */
  readonly addresses: Readonly<Record<Mac, string>>;
}

/** Declared subnets, and what MACs had in them before, by `subnetKey`. */
export interface DeclaredSubnets {
  readonly all: readonly Subnet[];
  readonly earlier: Readonly<Record<string, Readonly<Record<Mac, string>>>>;
}

/** Half a day: longer than an install, and short enough that an address comes free again. */
const leaseSeconds = 12 * 3600;

/**
 * With a range, the interface in whose subnet it lies is served as its only DHCP server; the others get no address from us. Each declared subnet has
 * its own role, whatever that of the interface is by which its relay is heard.
 * @param declined addresses that a machine found to be somebody else's: given to nobody, unless the hosts file says so or the range has no others
 */
export function planNetwork(
  links: readonly Link[],
  wish: DhcpWish,
  hosts: readonly Host[],
  previous: Readonly<Record<Mac, string>>,
  declined: ReadonlySet<string> = new Set(),
  { all: subnets, earlier }: DeclaredSubnets = { all: [], earlier: {} },
): { plan: NetworkPlan } | { problems: readonly string[] } {
  const problems = subnets.flatMap((subnet) => insideOf(subnet, links) ?? []);
  const owner = wish.mode === 'range' ? links.find((link) => inSubnet(wish.from, link)) : undefined;
  if (wish.mode === 'range' && owner === undefined)
    problems.push(
      `--dhcp range=${wish.from}-${wish.to}: none of the interfaces is in that subnet; there are ${links.map((link) => `${link.name} (${link.address}/${link.prefixLength})`).join(', ')}`,
    );
  const ranged = subnets.filter(({ range }) => range !== undefined);
  const fixed = new Set(hosts.flatMap((host) => host.address ?? []));
  const assign = (
    parts: Omit<AssignmentParts, 'taken'>,
    taken: readonly string[],
    say = (text: string) => text,
  ): Readonly<Record<Mac, string>> => {
    const avoided = [...declined].filter((address) => !fixed.has(address));
    const mine = [...links.map((link) => link.address), ...taken];
    let assigned = assignAddresses({ ...parts, taken: [...mine, ...avoided] });
    if (assigned.kind === 'problems' && declined.size > 0) assigned = assignAddresses({ ...parts, taken: mine });
    if (assigned.kind === 'assigned') return assigned.addresses;
    const hint = ranged.length > 0 ? '; a host that says its "subnet" needs one there only' : '';
    problems.push(...assigned.problems.map(({ kind, text }) => say(kind === 'too small' ? `${text}${hint}` : text)));
    return {};
  };
  let addresses: Readonly<Record<Mac, string>> = {};
  if (wish.mode === 'range' && owner !== undefined) {
    const { address, prefixLength } = owner;
    const here = hosts
      .filter(({ subnet, relay }) => subnet === undefined && relay === undefined)
      .map((host) => (ranged.some((each) => isIn(host.address ?? '', each)) ? withoutAddress(host) : host));
    addresses = assign({ hosts: here, address, prefixLength, range: wish, previous }, []);
  }
  const planned = subnets.map((subnet): PlannedSubnet => {
    const { network: address, prefixLength, range, router, controllerAddress, dns = [] } = subnet;
    const key = subnetKey(subnet);
    if (range === undefined) return { key, subnet, addresses: {} };
    const there = hosts
      .filter((host) => host.relay === subnet.relay && (host.subnet === undefined || host.subnet === key))
      .map((host) => (isIn(host.address ?? '', subnet) ? host : withoutAddress(host)));
    const given = assign(
      { hosts: there, address, prefixLength, range, previous: earlier[key] ?? {} },
      [router, controllerAddress, ...dns].filter((each) => each !== undefined),
      (text) => `subnet ${key}: ${text}`,
    );
    return { key, subnet, addresses: given };
  });
  if (problems.length > 0) return { problems };
  const networks = planned.flatMap((each) => (each.subnet.relay === undefined ? [sceneNetwork(each)] : []));
  const interfaces = links.map(
    (link): SceneInterface => ({
      name: link.name,
      address: link.address,
      prefixLength: link.prefixLength,
      dhcp: wish.mode === 'range' ? (link === owner ? 'range' : 'proxy') : wish.mode,
      dns: [],
      leaseSeconds,
      ...(networks.length === 0 ? {} : { networks }),
    }),
  );
  return { plan: { interfaces, addresses, subnets: planned } };
}

function sceneNetwork({ key, subnet, addresses }: PlannedSubnet): SceneNetwork {
  const { network: address, prefixLength, range, controllerAddress, router, dns } = subnet;
  return {
    key,
    address,
    prefixLength,
    dhcp: range === undefined ? 'proxy' : 'range',
    ...(controllerAddress === undefined ? {} : { controller: controllerAddress }),
    ...(router === undefined ? {} : { router }),
    ...(dns === undefined ? {} : { dns }),
    addresses,
  };
}

function withoutAddress({ address: _elsewhere, ...host }: Host): Host {
  return host;
}

/** Machines there are on the same segment as we, unless a relay of our own tells its site apart. */
function insideOf(subnet: Subnet, links: readonly Link[]): string | undefined {
  if (subnet.relay !== undefined) return undefined;
  const link = links.find((each) => each.prefixLength <= subnet.prefixLength && inSubnet(subnet.network, each));
  return (
    link &&
    `subnet ${subnet.cidr}: it is in the network of ${link.name} (${link.address}/${link.prefixLength}), whose machines are heard without a relay; take it out, and for addresses there use --dhcp range=FROM-TO`
  );
}

/** All addresses that we lease to a MAC, on our own networks and in declared subnets that no relay of ours speaks for. */
export function leasedTo(plan: Pick<NetworkPlan, 'addresses' | 'subnets'>, mac: Mac): string[] {
  const ours = plan.subnets.filter(({ subnet }) => subnet.relay === undefined);
  return [plan.addresses, ...ours.map(({ addresses }) => addresses)].flatMap((each) => each[mac] ?? []);
}

/** Those that a MAC is leased behind a relay. */
export function leasedBehind(plan: Pick<NetworkPlan, 'subnets'>, relay: string, mac: Mac): string[] {
  return plan.subnets.flatMap(({ subnet, addresses }) => (subnet.relay === relay ? (addresses[mac] ?? []) : []));
}

/** What MACs have by the plan or had before, by `subnetKey`. */
export function keptInSubnets(
  earlier: DeclaredSubnets['earlier'],
  plan: Pick<NetworkPlan, 'subnets'>,
): DeclaredSubnets['earlier'] {
  const given = plan.subnets.filter(({ subnet }) => subnet.range !== undefined);
  return {
    ...earlier,
    ...Object.fromEntries(given.map((each) => [each.key, { ...earlier[each.key], ...each.addresses }])),
  };
}

/**
 * Addresses of this computer, beside those of the links, by which machines of declared subnets are told to reach it, each with the links that they come
 * in by: the one that has it, or all when it is another interface's, as of a loopback.
 */
export function alsoReachedAt(
  links: readonly Link[],
  subnets: readonly Subnet[],
  own: readonly { readonly name: string; readonly address: string }[],
): { name: string; address: string }[] {
  const wanted = new Set(
    subnets.flatMap(({ relay, controllerAddress }) => (relay === undefined ? (controllerAddress ?? []) : [])),
  );
  for (const { address } of links) wanted.delete(address);
  return [...wanted].flatMap((address) => {
    const holder = own.find((each) => each.address === address);
    if (holder === undefined) return [];
    const by = links.filter(({ name }) => name === holder.name);
    return (by.length > 0 ? by : links).map(({ name }) => ({ name, address }));
  });
}

/** Where magic packets for a host go: everywhere, or into the one subnet that it is in. Behind a `nixie relay` that one sends them. */
export function wakePlaces<L extends Link>(
  host: Pick<Host, 'subnet' | 'relay'> | undefined,
  links: readonly L[],
  subnets: readonly Subnet[],
  ownAddresses: readonly string[],
): { links: readonly L[]; beyond: { broadcast: string; from?: string }[] } {
  if (host?.relay !== undefined) return { links: [], beyond: [] };
  const wanted = subnets.filter((each) => host?.subnet === undefined || subnetKey(each) === host.subnet);
  const beyond = wanted
    .filter(({ relay }) => relay === undefined)
    .map((subnet) => {
      const { controllerAddress: from } = subnet;
      const broadcast = subnetBroadcast(subnet);
      return from !== undefined && ownAddresses.includes(from) ? { broadcast, from } : { broadcast };
    });
  return { links: host?.subnet === undefined ? links : [], beyond };
}

/** For the operator, once: what of the declaration doesn't fit this computer, and may be meant so. */
export function subnetWarnings(subnets: readonly Subnet[], ownAddresses: readonly string[]): string[] {
  return subnets.flatMap(({ cidr, controllerAddress, relay }) =>
    relay !== undefined || controllerAddress === undefined || ownAddresses.includes(controllerAddress)
      ? []
      : [
          `subnet ${cidr}: controller_address ${controllerAddress} is no address of this computer; machines there are told it all the same`,
        ],
  );
}

export function inSubnet(address: string, link: Link): boolean {
  const number = (text: string) => text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - link.prefixLength);
  return Math.floor(number(address) / size) === Math.floor(number(link.address) / size);
}
