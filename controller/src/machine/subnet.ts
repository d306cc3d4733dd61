// Networks of machines that the controller isn't in itself, as the operator declared them: behind a relay, or a router with a helper address.
import { addressNumber, addressText, maskNumber, parseAddress, sameNetwork } from '../wire/dhcp4/address.ts';

export interface Subnet {
  /** With its network address: `10.78.0.0/24`. */
  readonly cidr: string;
  /** `10.78.0.0` */
  readonly network: string;
  readonly prefixLength: number;
  /** Our address as machines there reach it. Absent: that of the interface to which the relay sends. */
  readonly controllerAddress?: string;
  /** We are its DHCP server, with these addresses, both ends included. Absent: another is, and we add the boot file (ProxyDHCP). */
  readonly range?: { readonly from: string; readonly to: string };
  /** What machines there are told as their router, with a range. Absent: the relay that asks for them. */
  readonly router?: string;
  /** Name servers that machines there are told, with a range (RFC 2132 3.8). */
  readonly dns?: readonly string[];
  /** Name of the `nixie relay` that serves it. Absent: a relay that knows nothing of Nixie, such as a router's. */
  readonly relay?: string;
}

/** What tells it from every other: two sites may have the same private addresses behind relays of their own. */
export function subnetKey({ cidr, relay }: Pick<Subnet, 'cidr' | 'relay'>): string {
  return relay === undefined ? cidr : `${relay}:${cidr}`;
}

/** Does it have this address? False for what is no address. */
export function inSubnet(address: string, subnet: Pick<Subnet, 'network' | 'prefixLength'>): boolean {
  return parseAddress(address) !== undefined && sameNetwork(address, subnet.network, subnet.prefixLength);
}

/** The subnet of foreign relays that has this address; those of a `nixie relay` are told apart by the relay alone. */
export function subnetAt<S extends Pick<Subnet, 'network' | 'prefixLength' | 'relay'>>(
  address: string,
  subnets: readonly S[],
): S | undefined {
  return subnets.find((each) => each.relay === undefined && inSubnet(address, each));
}

/** `10.78.0.255` */
export function subnetBroadcast({ network, prefixLength }: Pick<Subnet, 'network' | 'prefixLength'>): string {
  return addressText((addressNumber(network) | ~maskNumber(prefixLength)) >>> 0);
}

/** For people, one for each. */
export function subnetLines(subnets: readonly Subnet[]): string[] {
  return subnets.map((subnet) => {
    const { cidr, relay, range, controllerAddress, dns = [] } = subnet;
    const by = relay === undefined ? 'foreign relays' : `relay ${relay}`;
    const dhcp = range === undefined ? 'beside another server' : `only server, ${range.from} to ${range.to}`;
    const at = controllerAddress === undefined ? '' : `, machines reach us at ${controllerAddress}`;
    const names = dns.length === 0 ? '' : `, name servers ${dns.join(', ')}`;
    return `subnet ${cidr} behind ${by}, DHCP: ${dhcp}${names}${at}`;
  });
}
