// The networks of a run while it lasts: which address each MAC has there. Planned anew when hosts, subnets or what machines declined change, and
// kept in the state folder, so that a machine has the same address in the next run.
import type { RunConfig } from './config/run-config.ts';
import type { Hosts } from './core/hosts.ts';
import {
  alsoReachedAt,
  inSubnet,
  keptInSubnets,
  type Link,
  leasedBehind,
  type NetworkPlan,
  planNetwork,
  subnetWarnings,
  wakePlaces,
} from './core/network.ts';
import type { Host } from './machine/host.ts';
import type { Mac } from './machine/mac.ts';
import { type Subnet, subnetLines } from './machine/subnet.ts';
import type { RunState } from './state.ts';

/** The configuration can't be used as it is; no socket was opened. */
export class Unusable extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'Unusable';
    this.problems = problems;
  }
}

export interface RunNetworkWorld<L extends Link> {
  /** The interfaces that are served. */
  readonly links: readonly L[];
  readonly config: Pick<RunConfig, 'dhcp' | 'hosts' | 'subnets'>;
  /** Those of every later plan. */
  readonly hosts: Pick<Hosts, 'all'>;
  readonly state: Pick<RunState, 'leases' | 'subnetLeases' | 'declined' | 'keepLeases' | 'decline'>;
  /** All IPv4 addresses of this computer. */
  ownAddresses(): readonly { readonly name: string; readonly address: string }[];
}

export class RunNetwork<L extends Link = Link> {
  readonly links: readonly L[];
  /** Addresses of this computer, beside those of the links, by which declared subnets reach it. */
  readonly alsoAt: readonly { readonly name: string; readonly address: string }[];
  /** All addresses at which machines reach us. */
  readonly own: readonly string[];
  readonly #world: RunNetworkWorld<L>;
  /** Of this computer, when the run began. */
  readonly #ownHere: readonly string[];
  #subnets: readonly Subnet[];
  #leases: RunState['leases'];
  #subnetLeases: RunState['subnetLeases'];
  #plan: NetworkPlan;

  /** @throws Unusable */
  constructor(world: RunNetworkWorld<L>) {
    const { links, config, state } = world;
    this.#world = world;
    this.links = links;
    this.#subnets = config.subnets;
    this.#leases = state.leases;
    this.#subnetLeases = state.subnetLeases;
    const first = this.#planFor(config.hosts, config.subnets);
    if ('problems' in first) throw new Unusable(first.problems);
    this.#plan = first.plan;
    this.#keep();
    const here = world.ownAddresses();
    this.#ownHere = here.map(({ address }) => address);
    this.alsoAt = alsoReachedAt(links, config.subnets, here);
    this.own = [...new Set([...links, ...this.alsoAt].map(({ address }) => address))];
  }

  /** The plan that holds now. */
  get plan(): NetworkPlan {
    return this.#plan;
  }

  /** Hosts have come, changed or gone. The plan stays as it is when there is none for them. */
  replan(): void {
    const other = this.#planFor(this.#world.hosts.all(), this.#subnets);
    if ('plan' in other) this.#plan = other.plan;
    this.#keep();
  }

  /** A machine found that this address is somebody else's: from now on it is nobody's. */
  avoid(address: string): void {
    this.#world.state.decline(address);
    this.replan();
  }

  /** These are declared from now on. */
  declare(subnets: readonly Subnet[]): void {
    this.#subnets = subnets;
    this.replan();
  }

  /** Why these hosts can't be together on our networks and those that are declared with them. */
  problems({ hosts, subnets }: Pick<RunConfig, 'hosts' | 'subnets'>): string[] {
    const other = this.#planFor(hosts, subnets);
    const unheard = alsoReachedAt(this.links, subnets, this.#world.ownAddresses()).filter(
      ({ address }) => !this.own.includes(address),
    );
    return [
      ...('problems' in other ? other.problems : []),
      ...unheard.map(
        ({ address }) => `controller_address ${address} is not listened at; start the service anew for it`,
      ),
    ];
  }

  /** Is it an address of a network that we are in ourselves? */
  isNear(address: string): boolean {
    return this.links.some((link) => inSubnet(address, link));
  }

  /** What we gave a MAC on our own networks; behind a relay: what the subnets there gave it. */
  leased(mac: Mac, relay?: string): readonly string[] {
    return relay === undefined ? [this.#plan.addresses[mac] ?? []].flat() : leasedBehind(this.#plan, relay, mac);
  }

  /** Where magic packets for a host go. */
  wakePlaces(host: Host | undefined): ReturnType<typeof wakePlaces<L>> {
    return wakePlaces(host, this.links, this.#subnets, this.#ownHere);
  }

  /** For the operator: what of the declared subnets doesn't fit this computer, and what they are. */
  told(): { readonly warnings: readonly string[]; readonly lines: readonly string[] } {
    return { warnings: subnetWarnings(this.#subnets, this.#ownHere), lines: subnetLines(this.#subnets) };
  }

  #planFor(hosts: readonly Host[], all: readonly Subnet[]): ReturnType<typeof planNetwork> {
    const { links, config, state } = this.#world;
    return planNetwork(links, config.dhcp, hosts, this.#leases, state.declined, { all, earlier: this.#subnetLeases });
  }

  #keep(): void {
    this.#leases = { ...this.#leases, ...this.#plan.addresses };
    this.#subnetLeases = keptInSubnets(this.#subnetLeases, this.#plan);
    this.#world.state.keepLeases(this.#leases, this.#subnetLeases);
  }
}
