// One run or service, built from top to bottom: what must be there → memory → core → sockets → tasks → builds → machines → results. One part ends,
// all end.
import { join } from 'node:path';
import { Arrivals } from './arrivals.ts';
import { Builds } from './builds.ts';
import { killAllGroups } from './child/groups.ts';
import type { RunConfig } from './config/run-config.ts';
import type { Account } from './core/account.ts';
import { iso } from './core/core.ts';
import { HostBook } from './core/hosts.ts';
import type { TaskWorld } from './core/task-world.ts';
import { Doors, type OpenDoors } from './doors.ts';
import { letThrough } from './install/folders.ts';
import { keygen } from './install/keys.ts';
import { withoutSecrets } from './install/secrets.ts';
import { Installers } from './installers.ts';
import { Lifetime } from './lifetime.ts';
import type { InheritedUdp } from './listen/inherited.ts';
import { chooseInterfaces, listInterfaces, ownAddresses } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import { startOperator } from './listen/operator.ts';
import type { RunEvent } from './machine/event.ts';
import type { System } from './machine/host.ts';
import { halfWritten } from './machine/life.ts';
import { isEnd, type Stage } from './machine/stage.ts';
import { hostsLine, strangerText } from './machine/stranger.ts';
import { Machines } from './machines.ts';
import { makeOperatorDesk } from './operator-desk.ts';
import { findPrograms } from './programs.ts';
import { runRights } from './rights.ts';
import { RunNetwork } from './run-network.ts';
import { makeTaskWorld } from './run-tasks.ts';
import { ServedHosts, type ServedWorld, type Service } from './service.ts';
import { openState } from './state.ts';
import { beginRunLogs } from './store/run-logs.ts';

/** Where machines find HTTP and agents; boot scripts name them. */
const ports = { httpPort: 7480, grpcPort: 7481 } as const;
/** What the last tasks may take when a run is stopped, and an agent to end what a login left. Milliseconds. */
const closeMs = 10_000;
const abortMs = 3000;

export interface DaemonWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  emit(event: RunEvent): void;
  /** What the operator typed for secrets: by `secretName`. */
  readonly prompted?: ReadonlyMap<string, Buffer>;
  /** Ends the run: sockets are closed, children ended. */
  readonly signal: AbortSignal;
  /** Sockets that systemd opened for us. */
  readonly inherited?: readonly InheritedUdp[];
  /** Of nixie, told to relays. */
  readonly version?: string;
  /** Absent: the run ends when every host has ended. */
  readonly service?: Service;
}

export interface RunEnd {
  readonly ends: ReadonlyMap<string, Stage>;
}

/**
 * Installs what the configuration says; resolves when every host has ended, or after the signal. A service ends by the signal alone, and takes
 * what its hosts file says whenever that is read again.
 * @throws Unusable, NixError (the flake as a whole), PortTaken, NoSuchInterface, NotRoot, LoaderMissing, ProgramMissing
 */
export async function runInstall(config: RunConfig, world: DaemonWorld): Promise<RunEnd> {
  const { signal, cwd, uid, service } = world;
  const endless = service !== undefined;
  // Children don't get the variables that hold secrets.
  const env = withoutSecrets(world.env, config.hosts);
  const searchPath = env.PATH ?? '';
  // `ticks` is for waits: the clock on the wall may be set meanwhile.
  const clocks = { now: () => Date.now(), ticks: () => performance.now() };
  const warn = (text: string) => world.emit({ event: 'notice', at: iso(clocks.now()), level: 'warning', text });

  // What this computer must have, before anything is made.
  const programs = findPrograms(searchPath, config.nixosAnywhere);
  const links = chooseInterfaces(listInterfaces(), {
    interfaces: config.interfaces,
    ...(config.address !== undefined && { address: config.address }),
  });
  const loaders = findLoaders(neededLoaders(config.hosts.map((host) => host.system)), config.ipxeDir);
  const generate = keygen(searchPath);

  const lifetime = new Lifetime(signal);
  try {
    // Memory.
    signal.throwIfAborted();
    const { stateDir, logDir } = config;
    const runtimeDir = env.XDG_RUNTIME_DIR;
    const state = await openState({ stateDir, uid, runtimeDir, keygen: generate, ...clocks, warn });
    lifetime.opened(() => state.close());
    const runFolder = join(stateDir, 'run');
    const rights = await runRights(config, { env, cwd, programs, runFolder, node: process.execPath });
    if (rights.notice !== undefined) warn(rights.notice);
    if (rights.as !== undefined) await letThrough(state.folder.path, rights.as);
    const logFiles = beginRunLogs({ logDir, ...clocks, warn });
    lifetime.opened(() => logFiles?.close());
    const hosts = new HostBook(endless ? [] : config.hosts);
    const network = new RunNetwork({ links, config, hosts, state, ownAddresses });
    const installers = new Installers();
    const run = { config, endless, hosts, state, network, installers, lifetime, ...ports, ...clocks };

    // Core. The doors open later, and are asked all the same.
    const doors = new Doors();
    const show = (event: RunEvent) => world.emit(event);
    const machines = new Machines({ ...run, loaders: loaders.loaders, doors, logFiles, show });
    const arrivals = new Arrivals({ ...run, machines });
    const { account, core } = machines;

    // Sockets.
    signal.throwIfAborted();
    const { inherited, version } = world;
    const open = await doors.open({
      ...run,
      loaders,
      machines,
      arrivals,
      env,
      rights,
      inherited,
      version,
      warn,
    });

    // Tasks.
    const secretsFrom = { env: world.env, uid, prompted: world.prompted ?? new Map() };
    const parts = { ...run, machines, arrivals, doors: open, rights };
    const tasks = makeTaskWorld({ ...parts, programs, keygen: generate, env, secretsFrom });

    // Builds: each machine begins as soon as its own part of the preparation is there.
    const builds = new Builds({ ...parts, env: world.env, cwd, signal });
    const served = service && servedHosts({ ...parts, outside: service, loaders: loaders.loaders, tasks, builds });
    const roster = served?.roster;
    machines.begin({ tasks, roster });
    signal.throwIfAborted();
    const desk = makeOperatorDesk({ ...parts, relays: open.relays, tasks, roster, signal });
    const operator = await startOperator(state.operatorSocket, desk);
    lifetime.opened(() => operator.close());
    for (const { name, address, prefixLength, dhcp } of network.plan.interfaces)
      account.notice('info', `serving ${name} (${address}/${prefixLength}), DHCP: ${dhcpWords[dhcp]}`);
    tellSubnets(network, account);

    // Machines.
    lifetime.opened(() => builds.close());
    if (service === undefined || served === undefined) {
      for (const host of config.hosts) core.add(host.name);
      builds.prepare(config).catch(lifetime.broke);
    } else {
      service.ready(() => doors.counters());
      await lifetime.until(served.begin());
      await lifetime.until();
    }
    await machines.ended();

    // Results.
    const { heard } = arrivals;
    const half = core.lives().filter((life) => !isEnd(life.stage) && halfWritten(life) && heard.lately(life.host));
    await core.close(closeMs);
    // What a login left running on a machine doesn't end with its connection.
    await Promise.allSettled(
      half.map(({ host }) => open.agents.instruct(host, { $case: 'abort', value: {} }, abortMs)),
    );
    for (const stranger of arrivals.strangers())
      account.notice('info', `${strangerText(stranger)} and is in no hosts file; to add it: ${hostsLine(stranger)}`);
    if (arrivals.strangersForgotten > 0)
      account.notice('info', `${arrivals.strangersForgotten} more asked to boot, and were forgotten`);
    return { ends: new Map(core.lives().map((life) => [life.host, life.stage])) };
  } finally {
    await lifetime.close();
    killAllGroups();
  }
}

interface ServedParts extends Pick<ServedWorld, 'outside' | 'config' | 'loaders'> {
  readonly hosts: HostBook;
  readonly network: RunNetwork;
  readonly machines: Machines;
  readonly arrivals: Pick<Arrivals, 'forget'>;
  readonly doors: Pick<OpenDoors, 'agents'>;
  readonly tasks: Pick<TaskWorld, 'logins'>;
  readonly builds: Builds;
}

/** The hosts of a service, which come, change and go: what all parts of the run do then. */
function servedHosts(parts: ServedParts): ServedHosts {
  const { outside, config, loaders, hosts, network, machines, arrivals, doors, tasks, builds } = parts;
  const { account, answers, consent, core } = machines;
  return new ServedHosts({
    outside,
    config,
    book: hosts,
    core,
    account,
    loaders,
    consent,
    unplaceable: (declared) => network.problems(declared),
    takeSubnets(declared) {
      network.declare(declared);
      answers.changed();
      tellSubnets(network, account);
    },
    forget(host, why) {
      builds.forget(host);
      void tasks.logins.close(host);
      arrivals.forget(host);
      machines.forget(host);
      doors.agents.drop(host, why);
    },
    changed() {
      network.replan();
      answers.changed();
    },
    prepare: (wanted, evaluated) => builds.prepare(wanted, evaluated),
  });
}

function tellSubnets(network: RunNetwork, account: Pick<Account, 'notice'>): void {
  const { warnings, lines } = network.told();
  for (const text of warnings) account.notice('warning', text);
  for (const text of lines) account.notice('info', text);
}

const dhcpWords = { proxy: 'beside another server', range: 'only server', off: 'off' } as const;

function neededLoaders(systems: readonly System[]) {
  return [
    ...(systems.includes('x86_64-linux') ? (['bios', 'x64'] as const) : []),
    ...(systems.includes('aarch64-linux') ? (['arm64'] as const) : []),
  ];
}
