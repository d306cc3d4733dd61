// Everything that must be built before a machine is touched: one evaluation, one build. A host that fails here fails alone.
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
  Evaluation,
  HostSystem,
  Installer,
  InstallerParts,
  NixFailure,
  NixProgress,
  Output,
} from '../nix/types.ts';
import type { Plan } from './tasks.ts';

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
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly onProgress: (progress: NixProgress) => void;
}

export interface Prepared {
  readonly evaluation: Evaluation;
  readonly plans: ReadonlyMap<string, Plan>;
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

export async function prepare(options: PrepareOptions): Promise<Prepared> {
  const { hosts, run, signal, nowMs, onProgress } = options;
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
  const failures = new Map<string, NixFailure>();
  const installerFailures = new Map<System, NixFailure>();
  const systems = new Map<string, HostSystem>();
  const parts = new Map<System, InstallerParts>();
  const wanted: Record<string, readonly Output[]> = {};
  for (const [system, found] of Object.entries(evaluation.installers) as [
    System,
    NonNullable<Evaluation['installers'][System]>,
  ][]) {
    if (!found.ok) {
      installerFailures.set(system, found.failure);
      for (const host of hosts)
        if (host.system === system) failures.set(host.name, prefixed(`installer for ${system}`, found.failure));
      continue;
    }
    parts.set(system, found.value);
    wanted[installerKey(system)] = outputs(found.value);
  }
  for (const host of hosts) {
    const found = evaluation.hosts[host.name];
    if (found === undefined || failures.has(host.name)) continue;
    if (!found.ok) failures.set(host.name, found.failure);
    else {
      systems.set(host.name, found.value);
      wanted[hostKey(host.name)] = [found.value.toplevel, found.value.diskoScript];
    }
  }
  const built = await build({
    wanted,
    run,
    nowMs,
    gcRootsDir: options.gcRootsDir,
    onProgress,
    signal,
    deadlineMs: options.deadlineMs,
  });
  const warnings = [...evaluation.warnings, ...built.warnings];
  const installers = new Map<System, Installer>();
  for (const [system, value] of parts) {
    const result = built.results[installerKey(system)];
    let failure = result !== undefined && !result.ok ? result.failure : undefined;
    if (failure === undefined) {
      try {
        const installer = await readInstallerFiles(system, value, options.store);
        installers.set(system, installer);
        warnings.push(...installer.warnings);
        continue;
      } catch (error) {
        failure = { cause: 'unknown', text: (error as Error).message, log: [] };
      }
    }
    installerFailures.set(system, failure);
    for (const host of hosts)
      if (host.system === system) failures.set(host.name, prefixed(`installer for ${system}`, failure));
  }
  // Hosts of one configuration share it.
  const closures = new Map<string, Promise<Closure>>();
  const limit = pLimit(closuresAtOnce);
  const closure = (out: string): Promise<Closure> => {
    const known = closures.get(out) ?? limit(() => closureOf(out, { run, signal }));
    closures.set(out, known);
    return known;
  };
  const planned = async (host: Host): Promise<void> => {
    const system = systems.get(host.name);
    if (system === undefined || failures.has(host.name)) return;
    const result = built.results[hostKey(host.name)];
    const unused = hintsUnused(host, system.diskDevices && Object.values(system.diskDevices));
    if (result !== undefined && !result.ok) failures.set(host.name, result.failure);
    else if (!installers.has(host.system))
      failures.set(host.name, {
        cause: 'unknown',
        text: `there is no installer for ${host.system}: give --installer ${host.system}=REF`,
        log: [],
      });
    else if (system.system !== undefined && system.system !== host.system)
      failures.set(host.name, {
        cause: 'unknown',
        text: `its configuration is built for ${system.system}, but the hosts file says ${host.system}: set "system" there`,
        log: [],
      });
    else if (unused !== undefined) failures.set(host.name, { cause: 'unknown', text: unused, log: [] });
    else {
      try {
        const [whole, disko] = await Promise.all([closure(system.toplevel.out), closure(system.diskoScript.out)]);
        sums.set(host.name, { host, system, closure: whole, diskoClosure: disko });
      } catch (error) {
        failures.set(host.name, { cause: 'unknown', text: (error as Error).message, log: [] });
      }
    }
  };
  const sums = new Map<string, Plan>();
  await Promise.all(hosts.map(planned));
  // In the order of the hosts file, whichever was summed up first.
  const plans = new Map(hosts.flatMap(({ name }) => (sums.has(name) ? [[name, sums.get(name)!] as const] : [])));
  return { evaluation, plans, failures, installers, installerFailures, warnings };
}

function outputs(parts: InstallerParts): Output[] {
  return parts.form === 'bundle' ? [parts.bundle] : [parts.kernel, parts.ramdisk, parts.toplevel];
}

function prefixed(what: string, failure: NixFailure): NixFailure {
  return { ...failure, text: `${what}: ${failure.text}` };
}
