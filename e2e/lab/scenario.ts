// The frame of a scenario: a lab, the supplies of a run, the common arguments; on failure the story of what was seen; nothing left behind.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import { type Stage, waySteps } from '../../controller/src/machine/stage.ts';
import { run } from './child.ts';
import { closeLabsOnSignals, createLab, type Lab, type LabOptions } from './lab.ts';
import { resultsOf } from './later-runs.ts';
import { firmwareLab, type Need, needFiles, needMemory, needPrograms } from './need.ts';
import { lan } from './net.ts';
import type { NixieRun } from './nixie-run.ts';
import { prove } from './proof.ts';
import { agentFile, diskSerial, makeSupplies, runArguments, type SpecialMachines, type Supplies } from './supplies.ts';

export interface Scene {
  readonly lab: Lab;
  readonly supplies: Supplies;
  /** Everything but the hosts that differ per run: `--installer … --known-hosts … --dhcp … --json`. */
  readonly args: readonly string[];
  readonly knownHosts: string;
}

/** What an install in the lab needs from this computer. */
export const installLab: readonly Need[] = [
  ...firmwareLab,
  needPrograms(['nix', 'ssh', 'ssh-keygen', 'sfdisk', 'apt-get', 'dpkg-deb', 'unshare']),
  needFiles([agentFile]),
  needMemory(4096),
];

/** An install under emulation takes about a minute on an idle computer; one with other tests beside it several times that. */
export const installLimitMs = 600_000;

closeLabsOnSignals();

export async function inScene(
  options: Omit<LabOptions, 'deadlineMs'> & {
    deadlineMs?: number;
    nixieDhcp?: readonly string[];
    hosts?: readonly string[];
    /** More keys in the hosts file, by host. */
    hostKeys?: Readonly<Record<string, Record<string, unknown>>>;
  } & SpecialMachines,
  act: (scene: Scene) => Promise<void>,
): Promise<void> {
  const machines = options.machines.map((machine, i) => ({ diskSerial: diskSerial(i), ...machine }));
  const lab = await createLab({ deadlineMs: 3 * installLimitMs, ...options, machines });
  try {
    const names = machines.map(({ name }) => name);
    const supplies = await makeSupplies(join(lab.folder, 'operator'), names, options);
    const knownHosts = join(lab.folder, 'known_hosts');
    const dhcp =
      options.dhcp === 'foreign' || options.beyond === true || options.site !== undefined
        ? ['--dhcp', 'proxy']
        : ['--dhcp', `range=${lan.prefix}.100-${lan.prefix}.199`];
    const args = [
      ...runArguments(supplies, lab.writeHosts(options.hosts ?? names, options.hostKeys), knownHosts),
      ...dhcp,
      '--json',
    ];
    await act({ lab, supplies, args, knownHosts });
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`${what}\n${lab.story()}`, { cause: error });
  } finally {
    await lab.close();
  }
  assert.equal((await run(['ip', 'netns', 'list'])).stdout.includes(lab.net.id), false, 'no namespace is left');
}

/** Runs Nixie to its end. */
export async function install(scene: Scene): Promise<{ run: NixieRun; status: number }> {
  const run = scene.lab.runNixie(scene.args, { nix: scene.supplies.nix, deadlineMs: installLimitMs });
  return { run, status: await run.status() };
}

export function stagesOf(run: NixieRun, host: string): Stage[] {
  return run.events
    .filter((event): event is Extract<RunEvent, { event: 'stage' }> => event.event === 'stage' && event.host === host)
    .map((event) => event.stage);
}

/** What a run warned of. That a stage stands still for longer than usual tells how slow this computer is, and of no fault. */
export function warningsOf(events: readonly RunEvent[]): string[] {
  const told = events.flatMap((event) => (event.event === 'notice' && event.level !== 'info' ? [event.text] : []));
  return told.filter((text) => !/^[a-z]+: nothing has moved for \d+ s: /.test(text));
}

/** In each stage that lasted, its percentage moved, and neither that nor the one of the whole way ever went back. */
export function assertMoved(run: NixieRun, host: string): void {
  const stages: { stage: Stage; at: number; percents: number[] }[] = [];
  let overall = 0;
  for (const event of run.events) {
    if (!('host' in event) || event.host !== host) continue;
    const at = Date.parse(event.at);
    if (event.event === 'stage' && event.stage !== stages.at(-1)?.stage) {
      if (event.stage === 'loading' || event.stage === 'firmware') overall = 0; // it may have begun anew
      stages.push({ stage: event.stage, at, percents: [] });
    } else if (event.event === 'progress' && event.percent !== undefined && event.stage === stages.at(-1)?.stage) {
      stages.at(-1)!.percents.push(event.percent);
      assert.ok((event.overall_percent ?? 0) >= overall, `${host}: ${event.stage} went back: ${JSON.stringify(event)}`);
      overall = event.overall_percent ?? overall;
    }
  }
  for (const [i, { stage, at, percents }] of stages.entries()) {
    const seconds = ((stages[i + 1]?.at ?? at) - at) / 1000;
    const sorted = [...percents].sort((a, b) => a - b);
    assert.deepEqual(percents, sorted, `${host}: ${stage} went back`);
    if (seconds >= 3)
      assert.ok(new Set(percents).size > 1, `${host}: ${stage} stood at ${percents} for ${seconds.toFixed(1)} s`);
  }
}

/** Every host of the run is proved, by Nixie's word and without it; it was woken once, and went through its life in order. */
export async function assertProved(scene: Scene, run: NixieRun, hosts: readonly string[]): Promise<void> {
  const results = resultsOf(run);
  assert.deepEqual(
    results.map(({ host, result }) => `${host} ${result}`).sort(),
    hosts.map((host) => `${host} proved`).sort(),
  );
  for (const { host, address, toplevel, host_key } of results) {
    assert.ok(
      address !== undefined && toplevel !== undefined && host_key !== undefined,
      `${host}: address, system, key`,
    );
    const machine = scene.lab.machines[host]!;
    assert.equal(machine.boots, 1, `${host} was powered on once, and restarted by itself`);
    const proof = await prove(scene.lab, scene.supplies, machine, { address, knownHosts: scene.knownHosts });
    assert.equal(proof.hostname, host);
    assert.equal(proof.system, toplevel);
    assert.match(proof.root, machine.spec.secondDisk === 'first' ? /^\/dev\/vdb\d ext4$/ : /^\/dev\/vda\d ext4$/);
    assert.ok(proof.serial.includes(toplevel), `${host} printed its system when it booted: ${proof.serial}`);
    const passed = stagesOf(run, host).filter((stage) => (waySteps as readonly string[]).includes(stage));
    const places = passed.map((stage) => (waySteps as readonly string[]).indexOf(stage));
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
      `${host} went forward only: ${passed.join(' ')}`,
    );
    assertMoved(run, host);
    for (const stage of ['waking', 'registered', 'disko', 'install', 'rebooting', 'proving'] as const)
      assert.ok(passed.includes(stage), `${host} passed ${stage}: ${passed.join(' ')}`);
  }
  const left = await run.exited.then(() => programsLeft(scene.lab.net.srv));
  assert.deepEqual(left, [], 'nothing of nixie runs on');
}

/** Process ids inside a namespace. */
export async function programsIn(namespace: string): Promise<string[]> {
  return (await run(['ip', 'netns', 'pids', namespace])).stdout.split('\n').filter((line) => line !== '');
}

/** Those that stay. Killed is not gone: the kernel needs a moment, and more of it on a busy computer. */
export async function programsLeft(namespace: string): Promise<string[]> {
  for (const end = performance.now() + 10_000; ; await sleep(50)) {
    const left = await programsIn(namespace);
    if (left.length === 0 || performance.now() > end) return left;
  }
}

/** Its nix took all of both closures from the binary cache: not one path was sent over ssh, and nothing was complained of. */
export function assertFetched(run: NixieRun, host: string): void {
  const lines = run.events.flatMap((event) => (event.event === 'log' && event.host === host ? event : []));
  for (const source of ['disko', 'install']) {
    const copied = lines.filter((line) => line.source === source && line.text.startsWith('copying path '));
    const pushed = copied.filter(({ text }) => / to 'ssh:/.test(text));
    assert.deepEqual(pushed, [], `${host}: ${source}: paths were pushed`);
    const fetched = copied.filter(({ text }) => / from 'http:\/\/[0-9.]+:7480\/nix'/.test(text));
    assert.ok(fetched.length > 0, `${host}: ${source}: no path was fetched`);
  }
  const told = run.events.filter((event) => event.event === 'notice' && /binary cache/.test(event.text));
  assert.deepEqual(told, []);
}
