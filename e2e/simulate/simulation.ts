// One run: machines, a network, a controller that may be killed and comes back, and time until everybody has ended.
import type { Inventory } from '@nixie/proto/inventory';
import type { DiskHints, Host } from '../../controller/src/machine/host.ts';
import { type Mac, parseMac } from '../../controller/src/machine/mac.ts';
import { hintedDevice } from '../../controller/src/machine/root-disk.ts';
import type { Stage } from '../../controller/src/machine/stage.ts';
import { Clock } from './clock.ts';
import { ControllerLife, type Kept } from './controller.ts';
import { type Content, Disk, hostKeyOf, inventoryOf } from './disk.ts';
import { Fate, fateOf } from './faults.ts';
import { emptyState } from './kept.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { broken, configurations, declaredDisk, hinted, toplevelOf } from './nix.ts';
import { Random } from './random.ts';
import { type Broken, Witness } from './witness.ts';

export interface SimulationOptions {
  readonly machines: number;
  readonly seed: number;
  /** 0 to 1: share of machines that have a fault; packets lost, kills and clock jumps grow with it. */
  readonly faults: number;
  /** Installs at the same time; absent: a twelfth of the machines. */
  readonly jobs?: number;
  /** Share of machines whose system can't be built; absent: one in a hundred where there are faults. */
  readonly unbuildable?: number;
  /** Seconds of the build of an output of this name; absent: chance decides, and some are there already. */
  readonly buildSeconds?: (name: string) => number;
  /** A machine whose lines are all wanted. */
  readonly traced?: string;
  readonly trace?: (line: string) => void;
}

export interface SimulationResult {
  readonly machines: number;
  readonly seed: number;
  readonly faults: number;
  readonly mode: 'proxy' | 'range';
  readonly ends: Readonly<Record<string, number>>;
  /** By end and reason, numbers and names taken out; the most frequent first. */
  readonly reasons: readonly (readonly [string, number])[];
  readonly faultsHappened: Readonly<Record<string, number>>;
  /** How machines ended whose installer was booted afresh. */
  readonly afterFreshBoot: Readonly<Record<string, number>>;
  /** Lives of the controller. */
  readonly lives: number;
  readonly evaluations: number;
  readonly builds: number;
  /** What the last life of the controller told of waves. */
  readonly waves: readonly string[];
  /** By machine, see Witness. */
  readonly moments: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly virtualSeconds: number;
  readonly events: number;
  readonly lines: number;
  readonly hash: string;
  readonly most: Readonly<Record<string, number>>;
  readonly broken?: Broken & { readonly lately: readonly string[] };
}

const hour = 3_600_000;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { machines: count, seed, faults } = options;
  const unbuildable = options.unbuildable ?? (faults > 0 ? 0.01 : 0);
  const random = new Random(`nixie ${seed} ${count} ${faults}`);
  const clock = new Clock();
  const witness = new Witness(() => clock.ticks, options.traced, options.trace);
  const mode = seed % 2 === 0 ? 'proxy' : 'range';
  const network = new Network({ clock, witness, random: random.child('network'), loss: 0.05 * faults, mode });
  const kept = emptyState(random);
  const reinstall = new Set<string>();
  // Of every machine, or a run that is strict installs none.
  const recorded = new Map<string, Inventory>();
  const hosts = Array.from({ length: count }, (_, i) =>
    addMachine(i, { random, network, kept, reinstall, recorded, faults, witness, unbuildable }),
  );

  const ends = new Map<string, { stage: Stage; reason: string }>();
  const lives: ControllerLife[] = [];
  const retried = new Set<string>();
  const begin = () => {
    const life: ControllerLife = new ControllerLife({
      number: lives.length + 1,
      kept,
      hosts,
      reinstall,
      recorded,
      strictHardware: true,
      endless: false,
      network,
      random: random.child(`controller ${lives.length + 1}`),
      jobs: options.jobs ?? Math.max(4, Math.ceil(count / 12)),
      buildSeconds: options.buildSeconds ?? ((name) => buildSecondsOf(new Random(`build ${seed} ${name}`))),
      onEnd(host, stage) {
        ends.set(host, { stage, reason: life.core.life(host)?.reason ?? '' });
        const machine = network.machines.find((each) => each.host.name === host);
        if (stage !== 'failed' || retried.has(host) || !machine?.fate.kinds.has('retried by the operator')) return;
        retried.add(host);
        life.after(20_000, () => {
          if (life.core.life(host)?.stage !== 'failed' || !machine.fate.strikes('retried by the operator')) return;
          life.core.happened(host, { kind: 'retry' });
        });
      },
    });
    ends.clear();
    lives.push(life);
    network.controller = life;
    witness.note(undefined, `life ${lives.length} of the controller`);
    void life.live().catch((error: Error) => witness.holds(false, undefined, `the controller ended: ${error.stack}`));
  };
  begin();
  plagues({ random: random.child('plagues'), faults, clock, witness, network, begin });

  await clock.run(() => witness.broken !== undefined || (network.controller?.over ?? false), 72 * hour);
  const controller = network.controller;
  witness.holds(controller?.over ?? false, undefined, 'the controller never came to an end');
  for (const life of controller?.core.lives() ?? [])
    witness.holds(ends.has(life.host), life.host, `it never ended: ${life.stage}`);
  witness.holds(ends.size === count, undefined, `${count - ends.size} machines were forgotten`);
  for (const [index, { counts }] of lives.entries()) {
    witness.holds(counts.evaluations <= 1, undefined, `life ${index + 1} evaluated ${counts.evaluations} times`);
    witness.holds(counts.builds <= 1, undefined, `life ${index + 1} built ${counts.builds} times`);
  }
  const last = lives.at(-1)!;
  const virtualSeconds = clock.ticks / 1000;
  // Nothing goes on behind the back of a controller that has ended.
  if (witness.broken === undefined) {
    network.controller = undefined;
    const writes = network.machines.reduce((sum, { disk }) => sum + disk.writes, 0);
    await clock.run(() => false, clock.ticks + 2 * hour);
    const later = network.machines.reduce((sum, { disk }) => sum + disk.writes, 0);
    witness.holds(later === writes, undefined, `${later - writes} writes after the end of the controller`);
  }
  return {
    machines: count,
    seed,
    faults,
    mode,
    ends: tally([...ends.values()].map(({ stage }) => stage)),
    reasons: Object.entries(tally([...ends.values()].map(({ stage, reason }) => `${stage}: ${plain(reason)}`))).sort(
      (a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1),
    ),
    faultsHappened: Object.fromEntries([...witness.faults].sort()),
    afterFreshBoot: tally([...(witness.passed.get('restarting') ?? [])].map((host) => ends.get(host)?.stage ?? 'none')),
    lives: lives.length,
    evaluations: last.counts.evaluations,
    builds: last.counts.builds,
    waves: last.told,
    moments: witness.moments,
    virtualSeconds,
    events: clock.fired,
    lines: witness.lines,
    most: {
      ...last.most,
      journal: kept.journal.length,
      alarms: clock.pending,
    },
    ...(witness.broken === undefined
      ? {}
      : { broken: { ...witness.broken, lately: witness.lately(witness.broken.host) } }),
    hash: witness.digest(),
  };
}

interface Making {
  readonly random: Random;
  readonly network: Network;
  readonly kept: Kept;
  readonly reinstall: Set<string>;
  readonly recorded: Map<string, Inventory>;
  readonly faults: number;
  readonly witness: Witness;
  readonly unbuildable: number;
}

function addMachine(index: number, making: Making): Host {
  const { random: all, network, kept, reinstall, recorded, faults, witness, unbuildable } = making;
  const name = `m${index + 1}`;
  const random = all.child(name);
  const mac = (card: number): Mac =>
    parseMac(
      `52:54:${[card, index >> 16, index >> 8, index].map((part) => (part & 255).toString(16).padStart(2, '0')).join(':')}`,
    )!;
  const fate = new Fate(fateOf(random, faults), (kind) => witness.fault(name, kind));
  const byHints = random.chance(0.15);
  const attr = unbuildable > 0 && random.chance(unbuildable) ? broken : byHints ? hinted : random.pick(configurations);
  const before = random.next();
  let content: Content = { kind: 'blank' };
  let wipe = random.chance(0.1);
  if (before < 0.04) content = { kind: 'foreign' };
  const installed = before > 0.94;
  if (installed) {
    const hostKey = hostKeyOf(random);
    const toplevel = before > 0.96 ? toplevelOf(attr) : toplevelOf('older');
    content = { kind: 'system', toplevel, hostKey, life: 0 };
    if (before < 0.985) kept.hostKeys.set(name, hostKey);
    if (random.chance(0.2)) reinstall.add(name);
    wipe = false;
  }
  const host: Host = {
    name,
    flakeAttr: attr,
    macs: random.chance(0.1) ? [mac(0), mac(1)] : [mac(0)],
    system: 'x86_64-linux',
    tags: [],
    boot: [],
    expectDisks: [],
    ...(attr === hinted ? { disk: hintsOf(index, random) } : {}),
    wipe,
  };
  const disk = new Disk(content, {
    path: fate.has('wrong disk') ? '/dev/sda' : declaredDisk,
    serial: `S${index}`,
    sizeBytes: 512_110_190_592,
    unreadable: fate.has('unreadable disk'),
    removable: fate.has('removable disk'),
  });
  const beside = new Disk(
    { kind: 'foreign' },
    { path: '/dev/sdb', serial: `BESIDE${index}`, sizeBytes: 4_000_787_030_016, unreadable: false, removable: false },
  );
  const mayLoseData = wipe || reinstall.has(name);
  const then = inventoryOf(attr === hinted ? [disk, beside] : [disk], 'then', host.macs, '10.80.0.9/18');
  // Somebody exchanged its disk since.
  const recordedSerial = random.chance(0.05) ? `T${index}` : disk.shape.serial;
  then.disks[0]!.serial = recordedSerial;
  recorded.set(name, then);
  const machine = new Machine({
    host,
    recordedSerial,
    firmware: random.pick(['uefi', 'uefi', 'bios', 'http'] as const),
    networkFirst: random.chance(0.8),
    disk,
    fate,
    random,
    network,
    declaredDisk: attr === hinted ? hintedDevice : declaredDisk,
    ...(attr === hinted ? { beside } : {}),
    mayLoseData,
  });
  network.add(machine);
  if (installed && random.chance(0.7)) void machine.startInstalled();
  return host;
}

/** Systems take from nothing to half an hour, the installer at most two minutes. */
function buildSecondsOf(random: Random): number {
  return random.chance(0.2) ? 0 : random.int(1, random.chance(0.3) ? 1800 : 120);
}

/** Most of them mean the first disk alone, some mean both or none. */
function hintsOf(index: number, random: Random): DiskHints {
  return random.pick<DiskHints>([
    { serial: `s${index}*` },
    { maxSizeBytes: 600_000_000_000 },
    { minSizeBytes: 400_000_000_000, maxSizeBytes: 1_000_000_000_000, rotational: false },
    { byPath: `pci-${`S${index}`.length}` },
    { minSizeBytes: 400_000_000_000 },
    { model: 'NONE OF THEM' },
  ]);
}

interface Plague {
  readonly random: Random;
  readonly faults: number;
  readonly clock: Clock;
  readonly witness: Witness;
  readonly network: Network;
  readonly begin: () => void;
}

/** What befalls everybody: the controller is killed, its clock is set, the operator changes a mind. */
function plagues({ random, faults, clock, witness, network, begin }: Plague): void {
  const within = 0.75 * hour;
  for (let i = 0; i < Math.round(faults * 6); i++) {
    clock.after(random.int(1000, within), () => {
      const { controller } = network;
      if (controller === undefined || controller.over) return;
      witness.fault(undefined, 'controller killed');
      network.controller = undefined;
      controller.kill();
      clock.after(random.int(500, 60_000), begin);
    });
  }
  for (let i = 0; i < Math.round(faults * 6); i++) {
    const by = random.pick([-1, 1]) * random.pick([2000, 600_000, 7_200_000, 400 * 24 * hour]);
    clock.after(random.int(1000, within), () => {
      witness.fault(undefined, `clock jumps ${by > 0 ? 'forward' : 'back'}`);
      clock.jump(by);
    });
  }
  for (const machine of network.machines) {
    if (!machine.fate.kinds.has('cancelled by the operator')) continue;
    clock.after(random.int(100_000, 0.4 * hour), () => {
      if (network.controller === undefined || !machine.fate.strikes('cancelled by the operator')) return;
      network.controller.core.happened(machine.host.name, { kind: 'cancelled', reason: 'cancelled by the operator' });
    });
  }
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** Without what differs from machine to machine. */
function plain(reason: string): string {
  return reason
    .replace(/\/nix\/store\/\S+/g, 'PATH')
    .replace(/\d+(?:\.\d+){3}/g, 'ADDRESS')
    .replace(/\bm\d+\b/g, 'NAME')
    .replace(/\b(?:BESIDE|S|s)\d+X?\b/g, 'SERIAL')
    .replace(/ (?:fits|does not fit): .*/, ' …')
    .replace(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'MAC');
}
