// Where DHCP has heard the MACs of our machines lately: by which interface, through which relay, with which addresses. Beyond a router nobody sees MACs,
// so this is all that is known there. It only narrows: who asks for a boot script from elsewhere is refused, and nobody gets one for being known here.
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { inSubnet } from '../machine/subnet.ts';
import type { PlannedSubnet } from './network.ts';

/** Of a DHCP message of a machine of ours. */
export interface Sighting {
  readonly interface: string;
  /** Of the relay that passed it on. */
  readonly giaddr?: string;
  /** Key of the declared subnet. */
  readonly subnet?: string;
  /** The one that the machine takes or holds. */
  readonly address?: string;
  /** It holds it, and speaks for itself: no relay, and no segment of ours, bears it out. */
  readonly holds?: boolean;
}

export interface WhereaboutsWorld {
  subnets(): readonly PlannedSubnet[];
  /** Is it an address of a network that we are in ourselves? */
  isNear(address: string): boolean;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

interface Spot {
  readonly interface: string;
  readonly giaddr: string | undefined;
  subnet: string | undefined;
  /** With the time at which each was named last. */
  readonly addresses: Map<string, number>;
  at: number;
}

/** Firmware, iPXE, installer and system may each have an address of their own. */
const addressesOfSpot = 4;
/** A MAC may be copied, a machine carried elsewhere. */
const spotsOfMac = 4;
const freshMs = 3600_000;
const mostMacs = 20_000;

export class Whereabouts {
  readonly #world: WhereaboutsWorld;
  readonly #spots = new Map<Mac, Spot[]>();

  constructor(world: WhereaboutsWorld) {
    this.#world = world;
  }

  heard(mac: Mac, sighting: Sighting): void {
    const { giaddr, subnet, address } = sighting;
    const at = this.#world.ticks();
    const before = this.#fresh(mac);
    const known = before.find((each) => each.interface === sighting.interface && each.giaddr === giaddr);
    // Who renews, or asks port 4011, comes past its relay: that says which address it has where it was heard, and no more.
    const routed = sighting.holds === true && giaddr === undefined && !this.#world.isNear(address ?? '');
    const past = before.find(
      (each) => (subnet !== undefined && each.subnet === subnet) || each.addresses.has(address ?? ''),
    );
    const found = routed ? past : known;
    if (routed && found === undefined) return;
    const spot = found ?? { interface: sighting.interface, giaddr, subnet, addresses: new Map<string, number>(), at };
    spot.at = at;
    if (!routed) spot.subnet = subnet;
    if (address !== undefined) {
      spot.addresses.delete(address);
      spot.addresses.set(address, at);
      if (spot.addresses.size > addressesOfSpot) spot.addresses.delete(spot.addresses.keys().next().value!);
    }
    this.#spots.delete(mac);
    this.#spots.set(mac, [spot, ...before.filter((each) => each !== spot)].slice(0, spotsOfMac));
    if (this.#spots.size > mostMacs) this.#spots.delete(this.#spots.keys().next().value!);
  }

  #fresh(mac: Mac): Spot[] {
    const since = this.#world.ticks() - freshMs;
    return (this.#spots.get(mac) ?? []).filter(({ at }) => at >= since);
  }

  /**
   * Why whoever has this address, on none of our own networks, can't be the machine. Undefined: nothing is known that says so.
   * @param macs those that it may have booted by
   */
  contradicts(host: Pick<Host, 'subnet'>, macs: readonly Mac[], address: string): string | undefined {
    if (host.subnet !== undefined) {
      const own = this.#world.subnets().find(({ key }) => key === host.subnet);
      if (own === undefined || own.subnet.relay !== undefined || !inSubnet(address, own.subnet))
        return `it belongs to ${host.subnet}`;
    }
    const spots = macs.flatMap((mac) => this.#fresh(mac).map((spot) => ({ mac, spot })));
    if (spots.length === 0) return undefined;
    const words = spots.map(({ mac, spot }) => this.#contradicts(spot, mac, address));
    return words.includes(undefined) ? undefined : `by DHCP it is ${[...new Set(words)].join(', or ')}`;
  }

  #contradicts(spot: Spot, mac: Mac, address: string): string | undefined {
    const since = this.#world.ticks() - freshMs;
    const named = [...spot.addresses].flatMap(([each, at]) => (at >= since ? [each] : []));
    const through = spot.giaddr === undefined ? `on ${spot.interface}` : `behind ${spot.giaddr}`;
    const planned = this.#world.subnets().find(({ key }) => key === spot.subnet);
    if (planned !== undefined && !inSubnet(address, planned.subnet)) return `in ${planned.key}`;
    const given = planned?.addresses[mac];
    const known = named.length > 0 ? named : given === undefined ? [] : [given];
    if (known.includes(address)) return undefined;
    if (known.length > 0) return `${through} at ${known.join(', ')}`;
    // On our own segment its address would be ours to see; behind a relay its request may have gone another way.
    return spot.giaddr === undefined && planned === undefined ? through : undefined;
  }

  /** Addresses beyond routers that the MACs have taken lately, the newest first. */
  beyond(macs: readonly Mac[]): string[] {
    const named = macs.flatMap((mac) => this.#fresh(mac).flatMap(({ addresses }) => [...addresses]));
    const newest = named
      .reverse()
      .sort((a, b) => b[1] - a[1])
      .map(([address]) => address);
    return [...new Set(newest)].filter((address) => !this.#world.isNear(address));
  }

  /** Of the addresses that we lease to a MAC those that it can have, going by where it was heard. */
  leased(mac: Mac): string[] {
    const subnets = this.#world.subnets();
    const heard = new Set(this.#fresh(mac).map(({ subnet }) => subnet));
    return subnets.flatMap(({ key, addresses }) => (heard.size > 0 && !heard.has(key) ? [] : (addresses[mac] ?? [])));
  }
}
