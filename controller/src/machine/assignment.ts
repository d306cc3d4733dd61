// Which address each MAC gets when we are the DHCP server. Decided from the hosts file before anything is served, never by a packet.
import { addressNumber, addressText, maskNumber, parseAddress } from '../wire/dhcp4/address.ts';
import type { Host } from './host.ts';
import type { Mac } from './mac.ts';

export interface AssignmentParts {
  readonly hosts: readonly Host[];
  /** Our own address on the interface and the length of its network's prefix: the network that is served. */
  readonly address: string;
  readonly prefixLength: number;
  /** Both ends included. */
  readonly range: { readonly from: string; readonly to: string };
  /** Addresses that are somebody's already: all of our own, the router's, ones that a client declined. */
  readonly taken: readonly string[];
  /** What MACs had in earlier runs, listed or not. */
  readonly previous: Readonly<Record<Mac, string>>;
}

export interface AssignmentProblem {
  readonly kind: 'range' | 'outside' | 'twice' | 'taken' | 'too small';
  /** Absent when it is about the range. */
  readonly host?: string;
  readonly text: string;
}

export type Assignment =
  | { readonly kind: 'assigned'; readonly addresses: Readonly<Record<Mac, string>> }
  | { readonly kind: 'problems'; readonly problems: readonly AssignmentProblem[] };

/** FNV-1a: where in the range the search for a free address begins, so that a MAC finds its address again even when all state is lost. */
function hash(mac: Mac): number {
  let sum = 0x811c9dc5;
  for (const character of mac) sum = Math.imul(sum ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return sum;
}

/**
 * Static addresses first (a host's `address` is its first MAC's), then earlier ones, then free ones of the range. The same hosts and earlier
 * addresses always give the same result, in whatever order the hosts are written.
 */
export function assignAddresses(parts: AssignmentParts): Assignment {
  const problems: AssignmentProblem[] = [];
  const mask = maskNumber(parts.prefixLength);
  const network = (addressNumber(parts.address) & mask) >>> 0;
  const last = (network | ~mask) >>> 0;
  const subnet = `${addressText(network)}/${parts.prefixLength}`;
  // Network and broadcast address are nobody's, except in the two-address networks of RFC 3021.
  const usable = (value: number): boolean =>
    value >= network && value <= last && (parts.prefixLength >= 31 || (value !== network && value !== last));

  const [from, to] = [parts.range.from, parts.range.to].map((text) =>
    parseAddress(text) === undefined ? undefined : addressNumber(text),
  );
  if (from === undefined || to === undefined || !usable(from) || !usable(to) || from > to) {
    const text = `range ${parts.range.from}-${parts.range.to}: both ends must be addresses of ${subnet}, the lower one first`;
    return { kind: 'problems', problems: [{ kind: 'range', text }] };
  }

  const taken = new Set([...parts.taken, parts.address].map(addressNumber));
  const holder = new Map<number, string>(); // address → host, of those given so far
  const addresses: Record<Mac, string> = {};
  const give = (host: Host, mac: Mac, value: number): void => {
    holder.set(value, host.name);
    addresses[mac] = addressText(value);
  };

  for (const host of parts.hosts) {
    const mac = host.macs[0];
    if (host.address === undefined || mac === undefined) continue;
    const says = `host "${host.name}": address ${host.address}`;
    const value = parseAddress(host.address) === undefined ? undefined : addressNumber(host.address);
    if (value === undefined || !usable(value)) {
      problems.push({ kind: 'outside', host: host.name, text: `${says} is not of ${subnet}` });
    } else if (taken.has(value)) {
      problems.push({ kind: 'taken', host: host.name, text: `${says} is in use already` });
    } else if (holder.has(value)) {
      problems.push({ kind: 'twice', host: host.name, text: `${says} is also the one of host "${holder.get(value)}"` });
    } else {
      give(host, mac, value);
    }
  }

  const waiting = parts.hosts
    .flatMap((host) => host.macs.map((mac) => ({ host, mac })))
    .filter(({ host, mac }) => addresses[mac] === undefined && !(host.address !== undefined && host.macs[0] === mac))
    .sort((a, b) => (a.mac < b.mac ? -1 : 1));
  const free = (value: number): boolean => !taken.has(value) && !holder.has(value);

  const fresh = waiting.filter(({ host, mac }) => {
    const earlier = parts.previous[mac];
    const value = earlier === undefined || parseAddress(earlier) === undefined ? undefined : addressNumber(earlier);
    if (value === undefined || value < from || value > to || !free(value)) return true;
    give(host, mac, value);
    return false;
  });

  // Machines that aren't listed any more may still hold what they had, so that is given last.
  const remembered = new Set(
    Object.values(parts.previous)
      .filter((text) => parseAddress(text))
      .map(addressNumber),
  );
  const size = to - from + 1;
  const search = (mac: Mac, fits: (value: number) => boolean): number | undefined => {
    const start = hash(mac) % size;
    for (let step = 0; step < size; step += 1) {
      const value = from + ((start + step) % size);
      if (fits(value)) return value;
    }
    return undefined;
  };
  let missing = 0;
  for (const { host, mac } of fresh) {
    const value = search(mac, (each) => free(each) && !remembered.has(each)) ?? search(mac, free);
    if (value === undefined) missing += 1;
    else give(host, mac, value);
  }
  if (missing > 0) {
    const text = `range ${parts.range.from}-${parts.range.to}: ${missing} more address${missing === 1 ? ' is' : 'es are'} needed`;
    problems.push({ kind: 'too small', text });
  }
  return problems.length > 0 ? { kind: 'problems', problems } : { kind: 'assigned', addresses };
}
