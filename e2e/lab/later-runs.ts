// The runs after the first: against machines that run their system, and against machines that are off while Nixie remembers nothing.
import { mkdirSync, rmSync } from 'node:fs';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import { diskDigest } from './disk-digest.ts';
import type { Lab } from './lab.ts';
import type { NixieRun } from './nixie-run.ts';
import type { Supplies } from './supplies.ts';

type Result = Extract<RunEvent, { event: 'result' }>;

export interface LaterRun {
  /** It did what it must. */
  readonly good: boolean;
  readonly summary: string;
  readonly status: number;
  readonly seconds: number;
  readonly results: readonly Result[];
  readonly run: NixieRun;
}

export function resultsOf(run: NixieRun): Result[] {
  return run.events.filter((event): event is Result => event.event === 'result');
}

function withoutJson(args: readonly string[]): string[] {
  return args.filter((arg) => arg !== '--json');
}

async function finish(run: NixieRun, startedAt: number): Promise<Omit<LaterRun, 'good' | 'summary'>> {
  const status = await run.status();
  return { status, seconds: (Date.now() - startedAt) / 1000, results: resultsOf(run), run };
}

function told(results: readonly Result[]): string {
  return results
    .map(({ host, result, reason }) => `${host} ${result}${reason === undefined ? '' : ` (${reason})`}`)
    .join(', ');
}

/** The same command again while the machines run: every one is skipped, none is woken, exit 0. */
export async function runOnceMore(lab: Lab, supplies: Supplies, args: readonly string[]): Promise<LaterRun> {
  const boots = Object.values(lab.machines).map((machine) => machine.boots);
  const startedAt = Date.now();
  const run = lab.runNixie([...withoutJson(args), '--json'], { nix: supplies.nix, deadlineMs: 300_000 });
  const ended = await finish(run, startedAt);
  const stillOn = Object.values(lab.machines).every((machine, i) => machine.on && machine.boots === boots[i]);
  const skipped = ended.results.length === boots.length && ended.results.every(({ result }) => result === 'skipped');
  return {
    ...ended,
    good: ended.status === 0 && skipped && stillOn,
    summary: `exit ${ended.status} after ${ended.seconds.toFixed(1)} s: ${told(ended.results)}; machines ${stillOn ? 'went on running' : 'DID NOT go on running'}`,
  };
}

/** Machines off, network first, Nixie's state gone: the installer boots, sees disks that hold data, and refuses. */
export async function runForgetful(lab: Lab, supplies: Supplies, args: readonly string[]): Promise<LaterRun> {
  const machines = Object.values(lab.machines);
  for (const machine of machines) {
    await machine.powerButton().catch(() => {});
    await machine.waitOff(30_000).catch(() => machine.powerOff());
  }
  const before = await Promise.all(machines.map((machine) => diskDigest(machine.disk)));
  rmSync(lab.stateFolder, { recursive: true, force: true });
  mkdirSync(lab.stateFolder, { mode: 0o700 });
  for (const machine of machines) machine.bootOrder = 'network-first';
  const startedAt = Date.now();
  const run = lab.runNixie([...withoutJson(args), '--json'], { nix: supplies.nix, deadlineMs: 900_000 });
  const ended = await finish(run, startedAt);
  for (const machine of machines) await machine.powerOff();
  const after = await Promise.all(machines.map((machine) => diskDigest(machine.disk)));
  const untouched = before.every((digest, i) => digest === after[i]);
  const refused = ended.results.length === machines.length && ended.results.every(({ result }) => result === 'refused');
  return {
    ...ended,
    good: untouched && refused && ended.status !== 0,
    summary: `exit ${ended.status} after ${ended.seconds.toFixed(1)} s: ${told(ended.results)}; disks ${untouched ? 'unchanged' : 'CHANGED'}`,
  };
}
