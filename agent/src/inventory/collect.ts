// The whole inventory: every section on its own, each with an end, so that one odd part costs only itself.
import { networkInterfaces } from 'node:os';
import type { Inventory, ReadError } from '@nixie/proto/inventory';
import { run } from '../child.ts';
import { readBootWords } from '../cmdline.ts';
import { agentVersion } from '../version.ts';
import { collectBoot } from './boot.ts';
import { collectCpu } from './cpu.ts';
import { withDeadline } from './deadline.ts';
import { collectDisks, type FindSystem } from './disks.ts';
import { collectMemory } from './memory.ts';
import { collectNics, type NicSurroundings, readPermanent } from './nics.ts';
import { collectSystem } from './system.ts';
import { Tree } from './tree.ts';

export interface CollectOptions {
  /** `/` for this machine. Below another root no program is run and no address is asked for. */
  readonly root: string;
  /** The card the firmware booted from, lower case with colons. */
  readonly bootMac?: string | undefined;
  /** The local address that reached the controller. */
  readonly reachedBy?: string | undefined;
  /** For looking at the contents of each disk; all disks are looked at at once. */
  readonly diskDeadlineMs?: number;
  /** Tells whose NixOS a file system holds; absent: nobody asks. */
  readonly findSystem?: FindSystem;
}

const sectionMs = 2000;

/** Never throws. */
export async function collectInventory(options: CollectOptions): Promise<Inventory> {
  const { root, reachedBy, diskDeadlineMs = 5000, findSystem } = options;
  const began = performance.now();
  const errors: ReadError[] = [];
  const section = async <T>(name: string, ms: number, work: (tree: Tree) => Promise<T>): Promise<T | undefined> => {
    const tree = new Tree(root, name, errors);
    let value: T | undefined;
    try {
      const late = await withDeadline(
        work(tree).then((done) => {
          value = done;
        }),
        ms,
      );
      if (late) tree.note('', 'deadline');
    } catch (error) {
      tree.note('', (error as NodeJS.ErrnoException).code ?? (error as Error).name);
    }
    return value;
  };
  const bootMac = options.bootMac ?? (await section('boot', sectionMs, bootedFrom));
  const [boot, system, cpu, memory, disks, nics] = await Promise.all([
    section('boot', sectionMs, (tree) => collectBoot(tree, bootMac)),
    section('system', sectionMs, collectSystem),
    section('cpu', sectionMs, collectCpu),
    section('memory', sectionMs, collectMemory),
    section('disks', diskDeadlineMs + (findSystem === undefined ? 4000 : 13_000), (tree) =>
      collectDisks(tree, diskDeadlineMs, undefined, findSystem),
    ),
    section('nics', 2 * sectionMs, async (tree) => collectNics(tree, await surroundings(tree, bootMac, reachedBy))),
  ]);
  return {
    schemaVersion: 1,
    agentVersion,
    collectedInMs: Math.round(performance.now() - began),
    boot,
    system,
    cpu,
    memory,
    disks: disks ?? [],
    nics: nics ?? [],
    depth: 'quick',
    numa: [],
    pci: [],
    usb: [],
    arrays: [],
    errors: [...errors].sort((a, b) => (`${a.section} ${a.path}` < `${b.section} ${b.path}` ? -1 : 1)),
  };
}

async function bootedFrom(tree: Tree): Promise<string | undefined> {
  return readBootWords((await tree.text('/proc/cmdline')) ?? '').bootMac;
}

async function surroundings(
  tree: Tree,
  bootMac: string | undefined,
  reachedBy: string | undefined,
): Promise<NicSurroundings> {
  if (tree.root !== '/') return { permanent: new Map(), addresses: new Map(), bootMac, reachedBy };
  const { code, stdout, why } = await run(['ip', '-d', '-j', 'link'], { deadlineMs: 1500 });
  if (code !== 0) tree.note('ip -d -j link', why === 'ENOENT' ? 'not-installed' : (why ?? `status-${code}`));
  const addresses = new Map<string, string[]>();
  for (const [name, entries] of Object.entries(networkInterfaces()))
    addresses.set(
      name,
      (entries ?? []).flatMap(({ cidr }) => (cidr === null ? [] : [cidr])),
    );
  return { permanent: readPermanent(code === 0 ? stdout : ''), addresses, bootMac, reachedBy };
}
