// Which network interfaces there are and which of them Nixie serves.
import { readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Mac } from '../machine/mac.ts';
import { parseMac } from '../machine/mac.ts';
import { NoSuchInterface } from './errors.ts';

/** An Ethernet interface that is up and has an IPv4 address; one entry for each of its addresses, in the kernel's order. */
export interface LinkInterface {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly mac: Mac;
  /** bytes of IP packet */
  readonly mtu: number;
  /** A network card, or a bridge, bond or VLAN above one: not the inside of a container host or a VPN. */
  readonly physical: boolean;
}

/** What is asked about a device; the real one reads /sys/class/net. */
export interface SysReader {
  text(path: string): string | undefined;
  names(path: string): readonly string[];
}

export const readSys: SysReader = {
  text: (path) => {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch {
      return undefined;
    }
  },
  names: (path) => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
};

/** A card has a `device`; what stands above one has `lower_NAME` links to it. */
function isPhysical(sys: SysReader, name: string, depth = 0): boolean {
  const entries = sys.names(`/sys/class/net/${name}`);
  if (entries.includes('device')) return true;
  if (depth > 4) return false;
  return entries.some(
    (entry) => entry.startsWith('lower_') && isPhysical(sys, entry.slice('lower_'.length), depth + 1),
  );
}

export function listInterfaces(sys: SysReader = readSys, found = networkInterfaces()): LinkInterface[] {
  const list: LinkInterface[] = [];
  for (const [name, addresses] of Object.entries(found)) {
    for (const entry of addresses ?? []) {
      const mac = parseMac(entry.mac);
      const prefixLength = Number(entry.cidr?.split('/')[1]);
      // Without a MAC it is a tunnel; firmware is not to be found behind it.
      if (entry.family !== 'IPv4' || entry.internal || mac === undefined || !Number.isInteger(prefixLength)) continue;
      list.push({
        name,
        address: entry.address,
        prefixLength,
        mac,
        mtu: Number(sys.text(`/sys/class/net/${name}/mtu`) ?? 1500),
        physical: isPhysical(sys, name),
      });
    }
  }
  return list;
}

/** Every IPv4 address of this computer with its interface, loopback and tunnels too. */
export function ownAddresses(found = networkInterfaces()): { name: string; address: string }[] {
  return Object.entries(found).flatMap(([name, entries]) =>
    (entries ?? []).filter(({ family }) => family === 'IPv4').map(({ address }) => ({ name, address })),
  );
}

/** `10.0.0.7`, 24 → `10.0.0.255` */
export function broadcastAddress(address: string, prefixLength: number): string {
  const hostBits = 32 - prefixLength;
  const mask = hostBits === 0 ? 0 : 2 ** hostBits - 1;
  const value = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const broadcast = (value | mask) >>> 0;
  return [24, 16, 8, 0].map((shift) => (broadcast >>> shift) & 0xff).join('.');
}

export interface Wanted {
  /** From `--interface`, any number. */
  readonly interfaces: readonly string[];
  /** From `--address`: the interface that has it, and this address of it. */
  readonly address?: string;
}

function describe(list: readonly LinkInterface[]): string {
  if (list.length === 0) return 'no interface is up and has an IPv4 address';
  return `there are ${list.map((link) => `${link.name} (${link.address}/${link.prefixLength})`).join(', ')}`;
}

/**
 * The interfaces to serve, each with one address.
 * - Named ones, in that order. An address alone selects its interface; with names it must belong to one of them.
 * - Otherwise all that lead to a physical network. Bridges of containers and VPNs are left out: no machine boots there, and a DHCP server of
 *   theirs would be disturbed. Where none is physical (a virtual machine's or a namespace's inside) and there is only one, that one.
 * @throws NoSuchInterface with what there is
 */
export function chooseInterfaces(all: readonly LinkInterface[], wanted: Wanted): LinkInterface[] {
  const chosen = new Map<string, LinkInterface>();
  if (wanted.interfaces.length > 0) {
    for (const name of wanted.interfaces) {
      const link = all.find((candidate) => candidate.name === name);
      if (!link) {
        throw new NoSuchInterface(
          name,
          `interface ${name} is not there, not up or has no IPv4 address; ${describe(all)}`,
        );
      }
      chosen.set(name, link);
    }
  }
  if (wanted.address !== undefined) {
    const link = all.find((candidate) => candidate.address === wanted.address);
    if (!link) {
      throw new NoSuchInterface(wanted.address, `no interface has the address ${wanted.address}; ${describe(all)}`);
    }
    if (chosen.size > 0 && !chosen.has(link.name)) {
      const names = [...chosen.keys()].join(', ');
      throw new NoSuchInterface(
        wanted.address,
        `the address ${wanted.address} belongs to ${link.name}, not to ${names}`,
      );
    }
    chosen.set(link.name, link);
  }
  if (chosen.size > 0) return [...chosen.values()];

  const first = new Map<string, LinkInterface>();
  for (const link of all) if (!first.has(link.name)) first.set(link.name, link);
  const candidates = [...first.values()];
  const physical = candidates.filter((link) => link.physical);
  if (physical.length > 0) return physical;
  if (candidates.length === 1) return candidates;
  const why = candidates.length === 0 ? 'nothing to serve' : 'none of the interfaces leads to a physical network';
  throw new NoSuchInterface('', `${why}; ${describe(candidates)}; name one with --interface`);
}
