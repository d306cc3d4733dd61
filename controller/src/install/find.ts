// Finds machines by MAC when their address has changed: after the reboot another DHCP client asks, with another client id.
// One datagram to each address of the subnet makes the kernel ask for its hardware address; the answers are in its neighbour table.
import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { sleep } from '../clock.ts';
import { type Mac, parseMac } from '../machine/mac.ts';

export interface Neighbour {
  readonly address: string;
  readonly mac: Mac;
}

/** The kernel's IPv4 neighbours on one interface, complete entries only. `table` is the path of the ARP table. */
export async function neighbours(interfaceName: string, table = '/proc/net/arp'): Promise<Neighbour[]> {
  const text = await readFile(table, 'utf8').catch((error) => {
    throw new Error(`read neighbours: ${(error as Error).message}`, { cause: error });
  });
  return parseNeighbours(text).filter((entry) => entry.interfaceName === interfaceName);
}

/** Text of proc(5) `/proc/net/arp`: address, hardware type, flags, hardware address, mask, device. */
export function parseNeighbours(text: string): (Neighbour & { readonly interfaceName: string })[] {
  const found: (Neighbour & { readonly interfaceName: string })[] = [];
  for (const line of text.split('\n').slice(1)) {
    const [address, , flags, hardware, , interfaceName] = line.trim().split(/\s+/);
    if (address === undefined || flags === undefined || hardware === undefined || interfaceName === undefined) continue;
    // ATF_COM of <net/if_arp.h>: the hardware address is known.
    if ((Number(flags) & 0x2) === 0) continue;
    const mac = parseMac(hardware);
    if (mac !== undefined) found.push({ address, mac, interfaceName });
  }
  return found;
}

/** Larger than a /22 is not poked: the neighbour table overflows (net.ipv4.neigh.default.gc_thresh3 is 1024). */
export const widestPrefix = 22;

/** All host addresses of `192.168.1.10/24`, without network and broadcast address. Throws when it is wider than /22 or no IPv4 subnet. */
export function subnetAddresses(cidr: string): string[] {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  const parts = match?.slice(1, 5).map(Number) ?? [];
  const prefix = Number(match?.[5]);
  if (match === null || parts.some((part) => part > 255) || prefix > 32) {
    throw new Error(`list subnet: expected an address with prefix such as 192.168.1.0/24, found "${cidr}"`);
  }
  if (prefix < widestPrefix)
    throw new Error(`list subnet: expected a prefix of /${widestPrefix} or longer, found "${cidr}"`);
  const size = 2 ** (32 - prefix);
  const whole = parts.reduce((sum, part) => sum * 256 + part, 0);
  const first = whole - (whole % size);
  // RFC 3021: a /31 has no network and no broadcast address.
  const edge = prefix >= 31 ? 0 : 1;
  const addresses: string[] = [];
  for (let number = first + edge; number < first + size - edge; number++) {
    addresses.push([24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.'));
  }
  return addresses;
}

/** Sending, for tests. */
export interface PokeSocket {
  /** @param failed the kernel didn't take it */
  send(address: string, port: number, failed: (error: Error) => void): void;
  close(): void;
}

export interface PokeOptions {
  readonly open?: () => PokeSocket | Promise<PokeSocket>;
  readonly wait?: (ms: number) => Promise<void>;
  readonly signal?: AbortSignal;
  /** Datagrams between two pauses of `pauseMs`: a burst to a whole subnet would be dropped by the kernel's queue for unknown neighbours. */
  readonly burst?: number;
  readonly pauseMs?: number;
}

// RFC 863 discard: nobody listens, and nobody minds.
const discardPort = 9;

/**
 * Sends one empty datagram to each address of the subnet, paced; about a second for a /22.
 * @throws Error when not one of them left
 */
export async function pokeSubnet(cidr: string, options: PokeOptions = {}): Promise<void> {
  const { open = openSocket, wait = sleep, signal, burst = 64, pauseMs = 60 } = options;
  const addresses = subnetAddresses(cidr);
  const socket = await open();
  let failures = 0;
  let last: Error | undefined;
  const failed = (error: Error) => {
    failures++;
    last = error;
  };
  try {
    for (const [index, address] of addresses.entries()) {
      if (signal?.aborted) return;
      if (index > 0 && index % burst === 0) await wait(pauseMs);
      socket.send(address, discardPort, failed);
    }
    // Time for the last answers, and for the datagrams to leave before the socket is closed.
    await wait(pauseMs);
    // A few may be refused: the kernel's queue is full, or a neighbour is known not to answer.
    if (last !== undefined && failures >= addresses.length)
      throw new Error(`ask ${cidr}: ${last.message}`, { cause: last });
  } finally {
    socket.close();
  }
}

function openSocket(): PokeSocket {
  const socket = createSocket('udp4');
  socket.on('error', () => {});
  return {
    send: (address, port, failed) =>
      socket.send(new Uint8Array(0), port, address, (error) => {
        if (error !== null) failed(error);
      }),
    close: () => socket.close(),
  };
}

export interface FindRequest extends PokeOptions {
  readonly macs: readonly Mac[];
  readonly interfaceName: string;
  /** Subnet of that interface; absent: only the table is read. */
  readonly cidr?: string;
  /** Path of the ARP table. */
  readonly table?: string;
  /** For the answers to the last datagrams. */
  readonly settleMs?: number;
}

/**
 * Addresses at which any of the MACs is seen, in the table's order. Known neighbours come first; the subnet is poked in any case, because an old
 * entry may outlive the address.
 */
export async function findByMac(request: FindRequest): Promise<string[]> {
  const { macs, interfaceName, cidr, table, wait = sleep, settleMs = 500 } = request;
  if (cidr !== undefined) {
    await pokeSubnet(cidr, request);
    await wait(settleMs);
  }
  const wanted = new Set(macs);
  const entries = await neighbours(interfaceName, table);
  return [...new Set(entries.filter((entry) => wanted.has(entry.mac)).map((entry) => entry.address))];
}
