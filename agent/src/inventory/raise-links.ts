// A card that nobody has brought up can't tell its carrier, speed or neighbour. In an installer, where nobody else wants it, it is brought up for that:
// without an address, and never one that somebody uses. It stays up: switches speak every 30 seconds.
import { writeFile } from 'node:fs/promises';
import { readMac } from '../cmdline.ts';
import type { Clock } from '../host.ts';
import type { Source } from './source.ts';
import { readJson, Tree } from './tree.ts';

export interface RaiseWorld {
  readonly source: Source;
  /** Rejects with an error that has `code`. */
  readonly write: (path: string, text: string) => Promise<void>;
  readonly clock: Pick<Clock, 'ticks' | 'sleep'>;
}

/** Some drivers load firmware first. */
const raiseMs = 5000;
const mostLinks = 64;
const lookMs = 100;
/** include/uapi/linux/if.h */
const isUp = 1;

/** Names of links that have an address of their own, up or not, or that a bond, bridge or team has; undefined when `ip` doesn't tell. */
export function usedLinks(json: string): Set<string> | undefined {
  const list = readJson(json);
  if (!Array.isArray(list)) return undefined;
  const used = new Set<string>();
  for (const entry of list as ({ ifname?: unknown; master?: unknown; addr_info?: unknown } | null)[])
    if (typeof entry?.ifname === 'string') {
      const addresses = Array.isArray(entry.addr_info) ? entry.addr_info.length : 0;
      if (addresses > 0 || entry.master !== undefined) used.add(entry.ifname);
    }
  return used;
}

/**
 * @param waitMs for carriers, once all are up; 0: nothing is done
 * @param bootMac of the card that the machine booted from; it is left alone whatever it looks like
 * @returns names of the links that were brought up. Never rejects
 */
export async function raiseLinks(world: RaiseWorld, waitMs: number, bootMac: string | undefined): Promise<string[]> {
  if (waitMs <= 0) return [];
  const { source, clock } = world;
  const tree = new Tree(source, 'nics', []);
  const { code, stdout } = await source.run(['ip', '-j', 'address', 'show'], 3000);
  const used = code === 0 ? usedLinks(stdout) : undefined;
  if (used === undefined) return [];
  const idle: string[] = [];
  for (const name of await tree.list('/sys/class/net'))
    if (!used.has(name) && idle.length < mostLinks && (await isIdle(tree, name, bootMac))) idle.push(name);
  const raised = (await Promise.all(idle.map(async (name) => ((await raise(world, name)) ? [name] : [])))).flat();
  const carrier = async (name: string): Promise<boolean> =>
    (await tree.flag(`/sys/class/net/${name}/carrier`)) === true;
  for (const until = clock.ticks() + waitMs; raised.length > 0 && clock.ticks() < until; await clock.sleep(lookMs))
    if ((await Promise.all(raised.map(carrier))).every((each) => each)) break;
  return raised;
}

/** A card of the machine that is down and that nobody has set up. */
async function isIdle(tree: Tree, name: string, bootMac: string | undefined): Promise<boolean> {
  const base = `/sys/class/net/${name}`;
  if ((await tree.real(`${base}/device`)) === undefined) return false;
  const flags = Number.parseInt((await tree.hex(`${base}/flags`, 1)) ?? '', 16);
  if (!Number.isInteger(flags) || (flags & isUp) !== 0) return false;
  if (bootMac !== undefined && readMac((await tree.value(`${base}/address`)) ?? '') === bootMac) return false;
  // ARPHRD_ETHER, ARPHRD_INFINIBAND
  if (![1, 32].includes((await tree.count(`${base}/type`)) ?? 0)) return false;
  const entries = await tree.list(base);
  if (entries.some((entry) => entry === 'master' || entry === 'wireless' || entry === 'phy80211')) return false;
  if (entries.some((entry) => entry.startsWith('upper_'))) return false;
  // A virtual function has the port of its physical one.
  return !(await tree.list(`${base}/device`)).includes('physfn');
}

/**
 * Two switches come first (Linux Documentation/networking/ip-sysctl.rst). Without them a router of whatever network this is would give the card an
 * address and a route; and on the network that the machine was reached by it would answer ARP for the address of the other card, with its own MAC.
 */
async function raise({ source, write }: RaiseWorld, name: string): Promise<boolean> {
  try {
    await write(`/proc/sys/net/ipv4/conf/${name}/arp_ignore`, '8\n');
    await write(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1\n').catch((error: NodeJS.ErrnoException) => {
      // A kernel without IPv6.
      if (error.code !== 'ENOENT') throw error;
    });
  } catch {
    return false;
  }
  return (await source.run(['ip', 'link', 'set', 'dev', name, 'up'], raiseMs)).code === 0;
}

/** Of this machine. */
export function raiseWorld(source: Source, clock: RaiseWorld['clock']): RaiseWorld {
  return { source, write: (path, text) => writeFile(path, text), clock };
}
