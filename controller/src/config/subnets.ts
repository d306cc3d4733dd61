// What is wrong with declared subnets beside each other, and with hosts that are said to be in one.
import { inSubnet, type Subnet, subnetBroadcast, subnetKey } from '../machine/subnet.ts';
import type { Path } from './json-places.ts';
import { show } from './problem.ts';
import { networkMeant, readCidr, subnetsSchema, toSubnet } from './subnets-schema.ts';

type Complain = (path: Path, text: string) => void;
export const subnetsName = '$subnets';

/**
 * @param value of `$subnets`, which may be wrong in any way; of its entries only those are taken that are right in themselves
 * @param lineOf where the operator finds a place of the file
 */
export function readSubnets(value: unknown, complain: Complain, lineOf: (path: Path) => string): Subnet[] {
  if (!Array.isArray(value)) return [];
  const subnets: Subnet[] = [];
  const places: Path[] = [];
  value.forEach((entry: unknown, index) => {
    const path = [subnetsName, index];
    const cidr = (entry as { cidr?: unknown } | null)?.cidr;
    const meant = typeof cidr === 'string' && readCidr(cidr) === undefined ? networkMeant(cidr) : undefined;
    if (meant !== undefined) complain([...path, 'cidr'], `did you mean ${show(meant)}?`);
    const read = subnetsSchema.element.safeParse(entry);
    if (!read.success) return;
    const subnet = toSubnet(read.data);
    checkOne(subnet, path, complain);
    // Behind relays of their own two sites may have the same addresses; of what routers relay the address is all that is known.
    const before = subnets.findIndex((each) => each.relay === subnet.relay && overlap(each, subnet));
    if (before >= 0) {
      const same = subnets[before]!.cidr === subnet.cidr;
      const where = `${show(subnets[before]!.cidr)} (${lineOf(places[before]!)})`;
      complain(
        [...path, 'cidr'],
        `found ${show(subnet.cidr)}, which ${same ? 'is declared already' : `overlaps with ${where}`}${same ? ` (${lineOf(places[before]!)})` : ''}; accepted: each address in one subnet`,
      );
      return;
    }
    subnets.push(subnet);
    places.push(path);
  });
  return subnets;
}

function overlap(a: Subnet, b: Subnet): boolean {
  return inSubnet(a.network, b) || inSubnet(b.network, a);
}

function checkOne(subnet: Subnet, path: Path, complain: Complain): void {
  const { range, router, dns, cidr, network } = subnet;
  const edges = [network, subnetBroadcast(subnet)];
  const outside = (address: string) => !inSubnet(address, subnet) || edges.includes(address);
  if (range !== undefined) {
    const wrong = [range.from, range.to].filter(outside);
    if (wrong.length > 0)
      complain(
        [...path, 'range'],
        `found ${show(`${range.from}-${range.to}`)}, and ${wrong.join(' and ')} ${wrong.length === 1 ? 'is' : 'are'} not for machines of ${cidr}; accepted: two of its addresses, without the first and the last`,
      );
  }
  if (router !== undefined && outside(router))
    complain([...path, 'router'], `found ${show(router)}, accepted: an address of ${cidr} that a router can have`);
  if (dns !== undefined && range === undefined)
    complain(
      [...path, 'dns'],
      `found ${show(dns.join(', '))} without "range", accepted: with "range" only; elsewhere the DHCP server that gives out the addresses names them`,
    );
}

/**
 * The key of the subnet that a host names, by its cidr or by its relay.
 * @returns undefined after a complaint
 */
export function subnetNamed(
  word: string,
  subnets: readonly Subnet[],
  complain: (text: string) => void,
): Subnet | undefined {
  const named = subnets.filter((each) => [each.cidr, each.relay, subnetKey(each)].includes(word));
  if (named.length === 1) return named[0];
  const ways = (named.length === 0 ? subnets : named).map((each) => show(subnetKey(each)));
  const known = ways.length === 0 ? `none is declared; "${subnetsName}" declares them` : ways.slice(0, 8).join(', ');
  complain(`found ${show(word)}, which ${named.length === 0 ? 'is no subnet' : 'may be several'}; accepted: ${known}`);
  return undefined;
}

/** Why the host can't have this address where it is. */
export function addressElsewhere(address: string, subnet: Subnet): string | undefined {
  return inSubnet(address, subnet)
    ? undefined
    : `found ${show(address)}, accepted: an address of ${subnet.cidr}, its subnet`;
}
