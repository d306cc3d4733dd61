// The whole inventory: every section on its own, each with an end, so that one odd part costs only itself.
import type { Inventory, ReadError, Sensor } from '@nixie/proto/inventory';
import { readBootWords } from '../cmdline.ts';
import { hrMs } from '../machine-clock.ts';
import { agentVersion } from '../version.ts';
import { collectArrays } from './arrays.ts';
import { collectBmc } from './bmc.ts';
import { collectBoot } from './boot.ts';
import { collectCpu, collectCpuDetails } from './cpu.ts';
import { withDeadline } from './deadline.ts';
import { collectDisks, disksMs, type FindSystem, lookBriefly, lookInto } from './disks.ts';
import { hashHardware } from './hardware-hash.ts';
import { collectKernelErrors } from './kernel-errors.ts';
import { collectMemory } from './memory.ts';
import { collectNics } from './nics.ts';
import { collectNuma } from './numa.ts';
import { collectPci } from './pci.ts';
import { recordedSource } from './recorded.ts';
import { collectSensors } from './sensors.ts';
import { collectHealth } from './smart.ts';
import { machineSource, type Source } from './source.ts';
import { collectSystem } from './system.ts';
import { collectTpm } from './tpm.ts';
import { Tree } from './tree.ts';
import { collectUsb } from './usb.ts';

export interface CollectOptions {
  /** `/` for this machine. Below another root no program is run and no address is asked for; what was recorded of them counts. */
  readonly root: string;
  /** Instead of what `root` means. */
  readonly source?: Source;
  /** `quick` is what safety and identification need, in a moment; `full` everything, and programs that take their time. */
  readonly depth?: 'quick' | 'full';
  /** The card the firmware booted from, lower case with colons. */
  readonly bootMac?: string | undefined;
  /** The local address that reached the controller. */
  readonly reachedBy?: string | undefined;
  /** For looking at the contents of each disk; all disks are looked at at once. */
  readonly diskDeadlineMs?: number;
  /** A file that hangs costs its section. Generous: on a slow machine that is busy booting, a second is soon gone. */
  readonly sectionMs?: number;
  /** For programs that ask other machines, controllers and disks: the slowest is a BMC. */
  readonly slowMs?: number;
  /** False: a disk on which nothing is found is not read further, and not called blank. */
  readonly proveBlank?: boolean;
  /** Tells whose NixOS a file system holds; absent: nobody asks. */
  readonly findSystem?: FindSystem;
}

/** @throws when a recorded tree can't be read; never for what a machine is like */
export async function collectInventory(options: CollectOptions): Promise<Inventory> {
  const { root, depth = 'quick', reachedBy, diskDeadlineMs = 5000, findSystem } = options;
  const { sectionMs = 5000, slowMs = 45_000 } = options;
  const source = options.source ?? (root === '/' ? machineSource : recordedSource(root));
  const full = depth === 'full';
  const began = hrMs();
  const errors: ReadError[] = [];
  const section = async <T>(name: string, ms: number, work: (tree: Tree) => Promise<T>): Promise<T | undefined> => {
    const tree = new Tree(source, name, errors);
    let value: T | undefined;
    try {
      const late = await withDeadline(
        work(tree).then((done) => {
          value = done;
        }),
        ms,
      );
      if (late) tree.note('', 'deadline', true);
    } catch (error) {
      tree.note('', (error as NodeJS.ErrnoException).code ?? (error as Error).name, true);
    }
    return value;
  };
  const ifFull = async <T>(name: string, ms: number, work: (tree: Tree) => Promise<T>): Promise<T | undefined> =>
    full ? section(name, ms, work) : undefined;
  const bootMac = options.bootMac ?? (await section('boot', sectionMs, bootedFrom));

  const [boot, system, cpu, memory, disks, nics] = await Promise.all([
    section('boot', sectionMs, (tree) => collectBoot(tree, bootMac)),
    section('system', sectionMs, collectSystem),
    section('cpu', sectionMs, collectCpu),
    section('memory', sectionMs, collectMemory),
    section('disks', disksMs(diskDeadlineMs, findSystem !== undefined), (tree) =>
      collectDisks(tree, diskDeadlineMs, options.proveBlank === false ? lookBriefly : lookInto, findSystem),
    ),
    section('nics', full ? slowMs : 2 * sectionMs, (tree) => collectNics(tree, { bootMac, reachedBy, full })),
  ]);
  // Thousands of small files: not beside those that count, which have deadlines.
  const sensors: Sensor[] = [];
  const [cpuDetails, numa, pci, usb, tpm, bmc, arrays, kernelErrors] = await Promise.all([
    ifFull('cpu', 2 * sectionMs, collectCpuDetails),
    ifFull('numa', sectionMs, collectNuma),
    ifFull('pci', 2 * sectionMs, collectPci),
    ifFull('usb', 2 * sectionMs, collectUsb),
    ifFull('tpm', sectionMs, collectTpm),
    ifFull('bmc', slowMs, collectBmc),
    ifFull('arrays', sectionMs, collectArrays),
    ifFull('kernel', sectionMs, collectKernelErrors),
    ifFull('sensors', sectionMs, (tree) => collectSensors(tree, sensors)),
  ]);
  // After the disks: it needs to know them, and must not stand between them and the one who waits for them.
  if (full && disks !== undefined) await section('health', slowMs, (tree) => collectHealth(tree, disks));

  const inventory: Inventory = {
    schemaVersion: 1,
    agentVersion,
    collectedInMs: Math.round(hrMs() - began),
    boot,
    system,
    cpu: cpu && { ...cpu, ...cpuDetails },
    memory,
    // What comes in after a deadline must not change what was reported.
    disks: (disks ?? []).map((disk) => ({ ...disk })),
    nics: (nics ?? []).map((nic) => ({ ...nic })),
    errors: [...errors].sort((a, b) => (key(a) < key(b) ? -1 : 1)),
    depth,
    numa: numa ?? [],
    pci: pci ?? [],
    usb: usb ?? [],
    tpm,
    bmc,
    arrays: arrays ?? [],
    sensors: [...sensors],
    kernelErrors: kernelErrors ?? [],
  };
  if (full) inventory.hardwareSha256 = hashHardware(inventory);
  return inventory;
}

const key = ({ section, path, code }: ReadError): string => `${section} ${path} ${code}`;

async function bootedFrom(tree: Tree): Promise<string | undefined> {
  return readBootWords((await tree.text('/proc/cmdline')) ?? '').bootMac;
}
