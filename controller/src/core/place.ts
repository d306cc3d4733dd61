// Where a machine is by now: its MACs looked for on every provisioning interface. One poke of a subnet serves all who ask meanwhile.
import { lookup as lookUpName } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { after as realTimer, sleep } from '../clock.ts';
import { findByMac, neighbours, type PokeSocket, parseNeighbours, pokeSubnet, widestPrefix } from '../install/find.ts';
import type { Mac } from '../machine/mac.ts';
import { inSubnet } from './network.ts';

export interface Segment {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

/** Nobody could look, or nobody said what was seen: who was looked for may be there, or not. */
export class NotLooked extends Error {
  override name = 'NotLooked';
}

export interface Finder {
  /**
   * Addresses at which any of the MACs answers now, the likeliest first; none: nobody answers.
   * @param relay behind which they are; absent: on our own networks
   * @throws NotLooked when that can't be said
   */
  find(macs: readonly Mac[], signal?: AbortSignal, relay?: string): Promise<readonly string[]>;
  /** The MAC that the neighbour table has for an address on any of our interfaces. */
  macOf(address: string): Promise<Mac | undefined>;
}

/** A poke that is younger than this is not repeated, milliseconds. */
const freshMs = 3000;

export interface FinderWorld {
  /** Whose datagrams leave by that segment's interface. Absent: by the route to the address. */
  readonly open?: (segment: Segment) => PokeSocket | Promise<PokeSocket>;
  /** For tests. */
  readonly table?: string;
  readonly pause?: (milliseconds: number) => Promise<void>;
}

/** @param now milliseconds of a clock that nobody sets */
export function makeFinder(segments: readonly Segment[], now: () => number, world: FinderWorld = {}): Finder {
  const { table, pause = sleep } = world;
  const pokes = new Map<string, { at: number; done: Promise<string | undefined> }>();

  /** Why nobody there was asked. */
  const poke = (segment: Segment): Promise<string | undefined> => {
    const last = pokes.get(segment.name);
    if (last !== undefined && now() - last.at < freshMs) return last.done;
    const cidr = `${segment.address}/${Math.max(segment.prefixLength, widestPrefix)}`;
    // Answers to the last datagrams need a moment.
    const done = pokeSubnet(cidr, world.open === undefined ? {} : { open: () => world.open!(segment) }).then(
      async () => {
        await pause(500);
        return undefined;
      },
      // The table may still know it.
      (error: Error) => `${segment.name}: ${error.message}`,
    );
    pokes.set(segment.name, { at: now(), done });
    return done;
  };

  return {
    async find(macs, signal) {
      const unasked: string[] = [];
      const found = await Promise.all(
        segments.map(async (segment) => {
          const why = await poke(segment);
          if (why !== undefined) unasked.push(why);
          if (signal?.aborted) return [];
          return await findByMac({ macs, interfaceName: segment.name, ...(table !== undefined && { table }) }).catch(
            (error: Error) => {
              unasked.push(error.message);
              return [];
            },
          );
        }),
      );
      const addresses = [...new Set(found.flat())];
      if (addresses.length === 0 && unasked.length > 0) throw new NotLooked([...new Set(unasked)].join('; '));
      return addresses;
    },
    async macOf(address) {
      for (const segment of segments) {
        const entry = (await neighbours(segment.name)).find((each) => each.address === address);
        if (entry !== undefined) return entry.mac;
      }
      return undefined;
    },
  };
}

/**
 * The MAC that this computer's neighbour table has for an address; `foreign`: it is on none of the links.
 * @param ours the address of ours that it reached: of links with the same private addresses it is meant on the one that has this
 */
export function neighbourAt(
  links: readonly Segment[],
  address: string,
  ours?: string,
  table: () => string = () => readFileSync('/proc/net/arp', 'utf8'),
): Mac | 'foreign' | undefined {
  const near = links.filter((link) => inSubnet(address, link));
  if (near.length === 0) return 'foreign';
  const reached = near.find((link) => link.address === ours);
  const entries = parseNeighbours(table()).filter((each) => each.address === address);
  return (reached === undefined ? entries : entries.filter(({ interfaceName }) => interfaceName === reached.name))[0]
    ?.mac;
}

/** How long names are asked for at a time, milliseconds. */
const lookupMs = 2000;

export interface LookupWorld {
  /** All IPv4 addresses of a name. */
  readonly ask?: (name: string) => Promise<readonly string[]>;
  readonly after?: (milliseconds: number, call: () => void) => () => void;
  /** Our own addresses: a name that leads here says nothing. */
  readonly own: readonly string[];
}

/**
 * Asks the system's name service, which also looks into /etc/hosts and search domains. One question at a time: each holds a thread of Node's small
 * pool for as long as a silent name server lets it wait, and files are read by the same threads.
 */
export function makeLookup(world: LookupWorld): (names: readonly string[]) => Promise<readonly string[]> {
  const { own, ask = askSystem, after = realTimer } = world;
  let last: Promise<unknown> = Promise.resolve();
  return async (names) => {
    const found = new Set<string>();
    let over = false;
    const all = last.then(async () => {
      for (const name of names) {
        if (over) return;
        for (const address of await ask(name).catch(() => []))
          if (isIPv4(address) && !/^(?:127|0)\./.test(address) && !own.includes(address)) found.add(address);
      }
    });
    last = all;
    let off = () => {};
    const late = new Promise<void>((resolve) => {
      off = after(lookupMs, resolve);
    });
    await Promise.race([all, late]);
    off();
    over = true;
    return [...found];
  };
}

async function askSystem(name: string): Promise<string[]> {
  return (await lookUpName(name, { family: 4, all: true })).map(({ address }) => address);
}
