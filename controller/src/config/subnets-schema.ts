// The shape of `$subnets` in the hosts file, and what its entries mean. What concerns several of them is in subnets.ts.
import * as z from 'zod';
import type { Subnet } from '../machine/subnet.ts';
import { addressText, maskNumber } from '../wire/dhcp4/address.ts';
import { ipv4Pattern, isHostIpv4, parseIpv4 } from './ipv4.ts';

const accepted = (text: string) => ({ error: `accepted: ${text}` });

const cidrAccepted = 'an IPv4 network with 8 to 30 bits, like "10.78.0.0/24"';
const addressAccepted = (what: string) => `${what}, like "10.77.0.1"`;
const rangeAccepted = 'first and last address of at most 65536, like "10.78.0.100-10.78.0.199"';
/** As many as an answer of ours names. */
const mostDns = 4;
const dnsAccepted = `1 to ${mostDns} IPv4 addresses, like ["10.77.0.53"]`;
const relayAccepted =
  'a name of 1 to 63 letters, digits, ".", "_" and "-" that begins with a letter or digit, as given to nixie relay-token';

const ipv4 = ipv4Pattern.slice(1, -1);

/** Network and prefix length of `10.78.0.0/24`; undefined when it is none, or an address within one. */
export function readCidr(text: string): Pick<Subnet, 'network' | 'prefixLength'> | undefined {
  const [network, length] = /^([^/]+)\/(\d{1,2})$/.exec(text)?.slice(1) ?? [];
  const number = parseIpv4(network ?? '');
  const prefixLength = Number(length);
  if (network === undefined || number === undefined || !isHostIpv4(number)) return undefined;
  if (prefixLength < 8 || prefixLength > 30) return undefined;
  return (number & ~maskNumber(prefixLength)) === 0 ? { network, prefixLength } : undefined;
}

/** Of `10.78.0.7/24` the network that was probably meant. */
export function networkMeant(text: string): string | undefined {
  const [address, length] = /^([^/]+)\/(\d{1,2})$/.exec(text)?.slice(1) ?? [];
  const number = parseIpv4(address ?? '');
  const prefixLength = Number(length);
  if (number === undefined || prefixLength < 8 || prefixLength > 30) return undefined;
  const meant = `${addressText((number & maskNumber(prefixLength)) >>> 0)}/${prefixLength}`;
  return readCidr(meant) && meant;
}

/** Both ends of `FROM-TO`, the lower one first. */
export function readRange(text: string): { from: string; to: string } | undefined {
  const [from, to] = /^([^-]+)-([^-]+)$/.exec(text)?.slice(1) ?? [];
  const [first, last] = [parseIpv4(from ?? ''), parseIpv4(to ?? '')];
  if (first === undefined || last === undefined || !isHostIpv4(first) || !isHostIpv4(last)) return undefined;
  return last < first || last - first >= 65_536 ? undefined : { from: from!, to: to! };
}

const address = (what: string, description: string) =>
  z
    .string(accepted(addressAccepted(what)))
    .refine((word) => isHostIpv4(parseIpv4(word) ?? 0), accepted(addressAccepted(what)))
    .meta({ pattern: ipv4Pattern, description });

const subnetFields = {
  cidr: z
    .string(accepted(cidrAccepted))
    .refine((word) => readCidr(word) !== undefined, accepted(cidrAccepted))
    .meta({ pattern: `^${ipv4}/([89]|[12][0-9]|30)$`, description: 'Network that machines are in behind a relay.' }),
  controller_address: address(
    'an IPv4 address of the controller',
    'Address by which its machines reach the controller; that of the interface to which the relay sends unless given.',
  ).optional(),
  range: z
    .string(accepted(rangeAccepted))
    .refine((word) => readRange(word) !== undefined, accepted(rangeAccepted))
    .meta({
      pattern: `^${ipv4}-${ipv4}$`,
      description: 'Nixie is its only DHCP server, with these addresses. Absent: another is.',
    })
    .optional(),
  router: address(
    'an IPv4 address of the subnet',
    'Router that its machines are told, with a range; the relay unless given.',
  ).optional(),
  dns: z
    .array(address('an IPv4 address of a name server', 'Address of a name server.'), accepted(dnsAccepted))
    .min(1, accepted(dnsAccepted))
    .max(mostDns, accepted(dnsAccepted))
    .meta({ description: 'Name servers that its machines are told, the first one first; with a range.' })
    .optional(),
  relay: z
    .string(accepted(relayAccepted))
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, accepted(relayAccepted))
    .meta({ description: 'Name of the nixie relay that serves it; absent for relays of routers and switches.' })
    .optional(),
};

export const subnetKeys: readonly string[] = Object.keys(subnetFields);

export const subnetSchema = z
  .strictObject(subnetFields, accepted('an object, like {"cidr": "10.78.0.0/24"}'))
  .meta({ description: 'One network behind a relay.' });

export type SubnetEntry = z.infer<typeof subnetSchema>;

export const subnetsSchema = z
  .array(subnetSchema, accepted('an array of objects, like [{"cidr": "10.78.0.0/24"}]'))
  .max(256, accepted('an array of at most 256 subnets'))
  .meta({ description: 'Networks that the controller is not in itself.' });

export function toSubnet(entry: SubnetEntry): Subnet {
  const range = entry.range === undefined ? undefined : readRange(entry.range)!;
  return {
    cidr: entry.cidr,
    ...readCidr(entry.cidr)!,
    ...(entry.controller_address !== undefined && { controllerAddress: entry.controller_address }),
    ...(range !== undefined && { range }),
    ...(entry.router !== undefined && { router: entry.router }),
    ...(entry.dns !== undefined && { dns: entry.dns }),
    ...(entry.relay !== undefined && { relay: entry.relay }),
  };
}
