// What machines are to run: one evaluation, one build, and each host told as soon as its own part is there. A host that fails here fails alone.
import pLimit from 'p-limit';
import type { Host, System } from '../machine/host.ts';
import { hintsUnused } from '../machine/root-disk.ts';
import { build } from '../nix/build.ts';
import { type Closure, closureOf } from '../nix/closure.ts';
import type { RunNix } from '../nix/command.ts';
import { evaluate } from '../nix/evaluate.ts';
import type { FolderProbe } from '../nix/flake-ref.ts';
import { readInstallerFiles, type StoreReader } from '../nix/installer.ts';
import type {
  BuildResult,
  Evaluation,
  HostSystem,
  Installer,
  InstallerParts,
  NixFailure,
  NixProgress,
  Output,
} from '../nix/types.ts';
import type { BuiltPlan, Plan } from './task-world.ts';

export interface PrepareOptions {
  readonly flake: string;
  readonly installers: Readonly<Partial<Record<System, string>>>;
  readonly hosts: readonly Host[];
  readonly run: RunNix;
  readonly cwd: string;
  readonly probe: FolderProbe;
  readonly store: StoreReader;
  readonly gcRootsDir: string;
  readonly nowMs: () => number;
  /** Calls back once after so many milliseconds; the result calls it off. */
  readonly after: (milliseconds: number, call: () => void) => () => void;
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly onProgress: (progress: NixProgress) => void;
  /** Absent: nobody goes on before all is done. */
  readonly told?: Told;
}

/** What is known of one host or platform, in the moment in which it is: no host waits for another. Each host comes to `built` or `failed`, once. */
export interface Told {
  /** The flake was read: the build begins. */
  evaluated(): void;
  warned(text: string): void;
  installer(system: System, installer: Installer): void;
  /** Its configuration is sound and its installer is there: it may be woken. Its own system may not be there yet. */
  begins(plan: Plan): void;
  /** After `begins`. */
  built(plan: BuiltPlan): void;
  failed(host: Host, failure: NixFailure): void;
}

export interface Prepared {
  readonly evaluation: Evaluation;
  readonly plans: ReadonlyMap<string, BuiltPlan>;
  /** Why a host can't be installed; a host is either here or in `plans`. */
  readonly failures: ReadonlyMap<string, NixFailure>;
  readonly installers: ReadonlyMap<System, Installer>;
  /** Why there is no installer for a platform. */
  readonly installerFailures: ReadonlyMap<System, NixFailure>;
  readonly warnings: readonly string[];
}

/** Calls of nix that sum up a closure, at the same time. */
const closuresAtOnce = 4;

const hostKey = (name: string) => `host ${name}`;
const installerKey = (system: string) => `installer ${system}`;

/** @throws NixError when the flake as a whole can't be read; after that every host has its own result */
export async function prepare(options: PrepareOptions): Promise<Prepared> {
  const { hosts, run, signal, nowMs, onProgress, told } = options;
  const evaluation = await evaluate({
    flake: options.flake,
    installers: options.installers,
    hosts,
    run,
    cwd: options.cwd,
    probe: options.probe,
    nowMs,
    onProgress,
    signal,
    deadlineMs: options.deadlineMs,
  });
  told?.evaluated();
  const failures = new Map<string, NixFailure>();
  const installerFailures = new Map<System, NixFailure>();
  const installers = new Map<System, Installer>();
  const warnings: string[] = [];
  const warn = (all: readonly string[]): void => {
    warnings.push(...all);
    for (const text of all) told?.warned(text);
  };
  warn(evaluation.warnings);
  const fail = (host: Host, failure: NixFailure): void => {
    if (failures.has(host.name)) return;
    failures.set(host.name, failure);
    told?.failed(host, failure);
  };
  const failPlatform = (system: System, failure: NixFailure): void => {
    installerFailures.set(system, failure);
    for (const host of hosts) if (host.system === system) fail(host, prefixed(`installer for ${system}`, failure));
  };

  const wanted: Record<string, readonly Output[]> = {};
  const results = new Map<string, PromiseWithResolvers<BuildResult>>();
  const want = (name: string, outputs: readonly Output[]): Promise<BuildResult> => {
    wanted[name] = outputs;
    const result = Promise.withResolvers<BuildResult>();
    results.set(name, result);
    return result.promise;
  };
  // Installers first: what is wanted first is mostly built first, and all machines need them.
  const platforms = new Map<System, Promise<void>>();
  for (const [system, found] of Object.entries(evaluation.installers) as [
    System,
    NonNullable<Evaluation['installers'][System]>,
  ][]) {
    if (!found.ok) failPlatform(system, found.failure);
    else platforms.set(system, bringInstaller(system, found.value, want(installerKey(system), outputs(found.value))));
  }
  async function bringInstaller(system: System, parts: InstallerParts, built: Promise<BuildResult>): Promise<void> {
    const result = await built;
    if (!result.ok) return failPlatform(system, result.failure);
    let installer: Installer;
    try {
      installer = await readInstallerFiles(system, parts, options.store);
    } catch (error) {
      return failPlatform(system, { cause: 'unknown', text: (error as Error).message, log: [] });
    }
    installers.set(system, installer);
    warn(installer.warnings);
    told?.installer(system, installer);
  }

  // Hosts of one configuration share it.
  const closures = new Map<string, Promise<Closure>>();
  const limit = pLimit(closuresAtOnce);
  const closure = (out: string): Promise<Closure> => {
    const known = closures.get(out) ?? limit(() => closureOf(out, { run, signal }));
    closures.set(out, known);
    return known;
  };
  const sums = new Map<string, BuiltPlan>();
  const bringHost = async (host: Host, system: HostSystem, built: Promise<BuildResult>): Promise<void> => {
    const { name } = host;
    // One that fails while its installer is still built fails now.
    const own = built.then((result) => {
      if (!result.ok) fail(host, result.failure);
    });
    await platforms.get(host.system);
    if (!failures.has(name)) told?.begins({ host, system });
    await own;
    if (failures.has(name)) return;
    try {
      const [whole, disko] = await Promise.all([closure(system.toplevel.out), closure(system.diskoScript.out)]);
      const plan = { host, system, closure: whole, diskoClosure: disko };
      sums.set(name, plan);
      told?.built(plan);
    } catch (error) {
      fail(host, { cause: 'unknown', text: (error as Error).message, log: [] });
    }
  };
  const brought = hosts.map((host) => {
    const found = evaluation.hosts[host.name];
    if (failures.has(host.name)) return undefined;
    if (found === undefined) return fail(host, { cause: 'unknown', text: 'the evaluation has nothing of it', log: [] });
    if (!found.ok) return fail(host, found.failure);
    const problem = unfit(host, found.value, platforms.has(host.system));
    if (problem !== undefined) return fail(host, { cause: 'unknown', text: problem, log: [] });
    const { toplevel, diskoScript } = found.value;
    return bringHost(host, found.value, want(hostKey(host.name), [toplevel, diskoScript]));
  });
  const building = build({
    wanted,
    run,
    nowMs,
    gcRootsDir: options.gcRootsDir,
    onProgress,
    signal,
    deadlineMs: options.deadlineMs,
    after: options.after,
    onResult: (name, result) => results.get(name)?.resolve(result),
  });
  const [built] = await Promise.all([building, ...brought, ...platforms.values()]);
  warn(built.warnings);
  // In the order of the hosts file, whichever was summed up first.
  const plans = new Map(hosts.flatMap(({ name }) => (sums.has(name) ? [[name, sums.get(name)!] as const] : [])));
  return { evaluation, plans, failures, installers, installerFailures, warnings };
}

/** Why it can't be installed, whatever is built for it. */
function unfit(host: Host, system: HostSystem, hasInstaller: boolean): string | undefined {
  if (!hasInstaller) return `there is no installer for ${host.system}: give --installer ${host.system}=REF`;
  if (system.system !== undefined && system.system !== host.system)
    return `its configuration is built for ${system.system}, but the hosts file says ${host.system}: set "system" there`;
  return hintsUnused(host, system.diskDevices && Object.values(system.diskDevices));
}

function outputs(parts: InstallerParts): Output[] {
  return parts.form === 'bundle' ? [parts.bundle] : [parts.kernel, parts.ramdisk, parts.toplevel];
}

function prefixed(what: string, failure: NixFailure): NixFailure {
  return { ...failure, text: `${what}: ${failure.text}` };
}
