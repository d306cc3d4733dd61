// One run or service, built from top to bottom: what must be there → memory → core → sockets → tasks → builds → machines → results. One part ends,
// all end. It is long because the ways of the tasks are still put together here.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Arrivals } from './arrivals.ts';
import { killAllGroups } from './child/groups.ts';
import { sleep } from './clock.ts';
import { readRecorded, recordedFile } from './config/recorded-inventory.ts';
import type { RunConfig } from './config/run-config.ts';
import { CacheOffers } from './core/cache-offer.ts';
import { type Core, iso } from './core/core.ts';
import { cancel, retry } from './core/desk.ts';
import { HostBook } from './core/hosts.ts';
import { unbootable } from './core/installer-files.ts';
import { Logins } from './core/logins.ts';
import { makeFinder, makeLookup } from './core/place.ts';
import type { TaskWorld } from './core/tasks.ts';
import { makeTurns } from './core/turns.ts';
import { Doors } from './doors.ts';
import { letThrough } from './install/folders.ts';
import { keygen } from './install/keys.ts';
import { nixEnvironment } from './install/plan.ts';
import { Secrets, withoutSecrets } from './install/secrets.ts';
import { Installers } from './installers.ts';
import { Launch } from './launch.ts';
import { Lifetime } from './lifetime.ts';
import type { InheritedUdp } from './listen/inherited.ts';
import { chooseInterfaces, listInterfaces, ownAddresses } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import { startOperator } from './listen/operator.ts';
import { openPoke } from './listen/poke.ts';
import { wake } from './listen/wake.ts';
import type { RunEvent } from './machine/event.ts';
import type { System } from './machine/host.ts';
import { halfWritten } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { isEnd, type Stage } from './machine/stage.ts';
import { hostsLine, strangerText } from './machine/stranger.ts';
import { wholeInventory } from './machine/whole-inventory.ts';
import { Machines } from './machines.ts';
import { callerOf } from './nix/runner.ts';
import type { Installer } from './nix/types.ts';
import { prepareRun } from './preparation.ts';
import { findPrograms } from './programs.ts';
import { runRights } from './rights.ts';
import { RunNetwork } from './run-network.ts';
import { gcPart, ServedHosts, type Service } from './service.ts';
import { openState } from './state.ts';
import { cardMacs } from './store/registrations.ts';
import { beginRunLogs } from './store/run-logs.ts';

/** Machines that are looked at while they are woken. */
const looksAtOnce = 16;
const httpPort = 7480;
const grpcPort = 7481;

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
  const { signal } = world;
  const endless = world.service !== undefined;
  const { stateDir } = config;
  const book = new HostBook(endless ? [] : config.hosts);
  // Children don't get the variables that hold secrets.
  const env = withoutSecrets(world.env, config.hosts);
  const searchPath = env.PATH ?? '';
  const now = () => Date.now();
  // For waits: the clock on the wall may be set meanwhile.
  const ticks = () => performance.now();

  // What this machine must have, before anything is made.
  const programs = findPrograms(searchPath, config.nixosAnywhere);
  const links = chooseInterfaces(listInterfaces(), {
    interfaces: config.interfaces,
    ...given('address', config.address),
  });
  const found = findLoaders(neededLoaders(config.hosts.map((host) => host.system)), config.ipxeDir);
  const notice = (text: string) => world.emit({ event: 'notice', at: iso(now()), level: 'warning', text });
  const generate = keygen(searchPath);

  const lifetime = new Lifetime(signal);
  try {
    // Memory.
    signal.throwIfAborted();
    const state = await openState({
      stateDir,
      uid: world.uid,
      runtimeDir: env.XDG_RUNTIME_DIR,
      keygen: generate,
      now,
      ticks,
      warn: notice,
    });
    lifetime.opened(() => state.close());
    const runFolder = join(stateDir, 'run');
    const rights = await runRights(config, { env, cwd: world.cwd, programs, runFolder, node: process.execPath });
    if (rights.notice !== undefined) notice(rights.notice);
    if (rights.as !== undefined) await letThrough(state.folder.path, rights.as);
    const { registrations, marks } = state;
    const logFiles = beginRunLogs({ logDir: config.logDir, now, ticks, warn: (text) => notice(text) });
    lifetime.opened(() => logFiles?.close());
    const network = new RunNetwork({ links, config, hosts: book, state, ownAddresses });
    const installers = new Installers();

    // The core. The doors open later, and are asked all the same.
    const doors = new Doors();
    const clocks = { now, ticks };
    const ports = { httpPort, grpcPort };
    const machines = new Machines({
      config,
      endless,
      hosts: book,
      state,
      network,
      loaders: found.loaders,
      httpPort,
      doors,
      lifetime,
      logFiles,
      show: (event) => world.emit(event),
      ...clocks,
    });
    const { account, answers, consent, core, loading, patience, plans, redactor, trails, warnings, waves } = machines;
    const { emit } = account;
    const arrivals = new Arrivals({
      config,
      endless,
      hosts: book,
      state,
      network,
      installers,
      machines,
      ...ports,
      ...clocks,
    });
    const { admission, heard, inventories, tokens, whereabouts, checkedIn } = arrivals;

    // Sockets.
    signal.throwIfAborted();
    const open = await doors.open({
      config,
      hosts: book,
      state,
      network,
      loaders: found,
      installers,
      machines,
      arrivals,
      lifetime,
      env,
      rights,
      inherited: world.inherited,
      version: world.version,
      warn: notice,
      ...ports,
      ...clocks,
    });
    const { cache, http, relays, agents: sessions } = open;
    const { own } = network;
    const serveClosures = () =>
      cache?.paths.serve(
        new Set(plans.built().flatMap(({ closure, diskoClosure }) => [closure, diskoClosure ?? []].flat())),
      );

    const near = makeFinder(links, ticks, { open: openPoke });
    const copies = makeTurns(config.jobs, (host) => core.hold(host));
    const logins = new Logins();
    lifetime.opened(() => logins.closeAll());
    const tasks: TaskWorld = {
      plans,
      logins,
      whenBuilt: (host, taskSignal) => plans.whenBuilt(host, taskSignal),
      buildFailed: (host) => plans.failed(host),
      finder: {
        ...near,
        find: (macs, taskSignal, relay) =>
          relay === undefined ? near.find(macs, taskSignal) : relays.relays.find(relay, macs),
      },
      relays: relays.way,
      agents: {
        async connected(host, deadlineMs, taskSignal, bootId) {
          const there = () =>
            heard.bootOf(host) !== undefined && (bootId === undefined || heard.bootOf(host) === bootId);
          for (const until = ticks() + deadlineMs; !there(); await sleep(100, taskSignal)) {
            if (taskSignal.aborted) throw new Error('called off');
            if (ticks() > until) throw new Error('its agent registered but opened no session');
          }
        },
        session: (host) => heard.session(host),
        async instruct(host, action, deadlineMs) {
          const result = await sessions.instruct(host, action, deadlineMs);
          if (result.ok && (action.$case === 'reboot' || action.$case === 'powerOff')) heard.leaves(host);
          return result;
        },
      },
      // Of the installed system, where it checked in; what it took beyond a router, as its relay told; and what we gave.
      leased: (macs, relay) => [
        ...macs.flatMap((mac) => checkedIn.get(machines.hostOfMac.get(mac, relay) ?? '') ?? []),
        ...(relay === undefined ? whereabouts.beyond(macs) : []),
        ...macs.flatMap((mac) =>
          relay === undefined ? [...network.leased(mac), ...whereabouts.leased(mac)] : network.leased(mac, relay),
        ),
      ],
      provedBefore: (host) => state.lastAddresses.get(host),
      cardsOf: (host) => cardMacs(registrations.get(host)),
      lookup: makeLookup({ own }),
      keysFor: (bootId) => admission.keysFor(bootId),
      keysGiven: (bootId) => admission.keysGiven(bootId),
      marks,
      begun: state.begun,
      looks: new Map(),
      inventory: (host) => inventories.get(host),
      keepInventory: (host, inventory) => inventories.set(host, inventory),
      installerKey: (host) => registrations.get(host)?.sshHostKey,
      tell: (host, happening) =>
        core.happened(
          host,
          'reason' in happening ? { ...happening, reason: redactor.text(happening.reason) } : happening,
        ),
      emit,
      now,
      sleep,
      recorded: async (host) => {
        const found = recordedFile(host, config);
        if (found === undefined) return undefined;
        try {
          return { file: found.file, inventory: readRecorded(found.file, readFileSync) };
        } catch (error) {
          if (found.optional && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
          throw error;
        }
      },
      strictHardware: config.strictHardware,
      wake: async (macs, taskSignal, relay) => {
        if (relay !== undefined) {
          const { sent: count, failures } = await relays.relays.wake(relay, macs);
          for (const failure of failures) warnings.warn(failure);
          return count;
        }
        const host = macs[0] && book.withMac(macs[0]);
        const places = network.wakePlaces(host);
        const options = { signal: taskSignal, beyond: places.beyond };
        const reports = await Promise.all(macs.map((mac: Mac) => wake(mac, places.links, options)));
        for (const failure of reports.flatMap((report) => report.failures)) warnings.warn(failure);
        return reports.reduce((sum, report) => sum + report.sent, 0);
      },
      inTurn: (call, host, taskSignal) => copies(() => waves.timed(call), host, taskSignal),
      wakeInTurn: (host, taskSignal) => waves.turn(host, taskSignal),
      lookInTurn: makeTurns(looksAtOnce, () => () => {}),
      expects: (host) => tokens.expects(host, ticks()),
      mayLoseData: (host) => consent.mayLoseData(host),
      consentIsUsedUp: (host) => consent.isUsedUp(host),
      consentUsed: (host) => consent.use(host),
      asksFirst: endless,
      runKey: state.runKey,
      proofKey: state.proofKey,
      proofFolder: state.folder.path,
      keygen: generate,
      identities: [state.proofKey.privateFile, ...(config.sshKey?.kind === 'private' ? [config.sshKey.path] : [])],
      ...given('agentSocket', env.SSH_AUTH_SOCK),
      stateDir,
      secrets: new Secrets({
        folder: dirname(config.hostsFile),
        env: world.env,
        ...given('as', world.uid === 0 ? callerOf(world.env) : undefined),
        prompted: world.prompted ?? new Map(),
        redactor,
        warn: (host, text) => account.notice('warning', text, host),
      }),
      ...given('childUser', rights.as),
      ...given('cache', cache && new CacheOffers({ port: httpPort, path: '/nix', publicKey: cache.paths.publicKey })),
      cacheUnused: (host, why) => trails.cacheUnused(host, why),
      nixosAnywhere: programs.nixosAnywhere,
      realSsh: programs.ssh,
      searchPath,
      nixEnv: nixEnvironment(env),
      proofPatienceMs: Math.max(10, patience.proving - 5) * 1000,
      answersCurrent: (host, taskSignal) =>
        host.relay === undefined ? answers.current() : relays.relays.current(host.relay, taskSignal),
    };
    // Builds: each machine begins as soon as its own part of the preparation is there.
    const launch = new Launch({
      hosts: book,
      core,
      account,
      plans,
      marks,
      takeInstaller(system: System, installer: Installer) {
        loading.take(system, installers.take(system, installer));
        http.setFiles(installers.served);
      },
      unbootable: (plan) =>
        unbootable(plan.host, installers.files(plan.host.system)!, { address: own[0]!, httpPort, grpcPort }),
      built: serveClosures,
    });
    let parts = 0;
    const preparing = new Set<Promise<void>>();
    const building = new AbortController();
    const buildSignal = AbortSignal.any([signal, building.signal]);
    const prepareAndLaunch = async (wanted: RunConfig, evaluated?: () => void): Promise<void> => {
      const env = withoutSecrets(world.env, [...config.hosts, ...book.all()]);
      const part = endless ? { part: gcPart(stateDir, parts++) } : {};
      const within = { cwd: world.cwd, env, rights, signal: buildSignal, ...part };
      const preparation = launch.prepare(
        wanted.hosts,
        (told) => prepareRun(wanted, within, emit, told),
        buildSignal,
        evaluated,
      );
      const over = preparation.catch(() => undefined).finally(() => preparing.delete(over));
      preparing.add(over);
      await preparation;
    };
    const tellSubnets = () => {
      const { warnings, lines } = network.told();
      for (const text of warnings) account.notice('warning', text);
      for (const text of lines) account.notice('info', text);
    };
    const served =
      world.service &&
      new ServedHosts({
        outside: world.service,
        config,
        book,
        core,
        account,
        loaders: found.loaders,
        consent,
        unplaceable: (declared) => network.problems(declared),
        takeSubnets(declared) {
          network.declare(declared);
          answers.changed();
          tellSubnets();
        },
        forget(host, why) {
          launch.forget(host);
          void logins.close(host);
          serveClosures();
          arrivals.forget(host);
          account.forgetLog(host);
          account.log.remove(host);
          trails.forget(host);
          sessions.drop(host, why);
        },
        changed() {
          network.replan();
          answers.changed();
        },
        prepare: prepareAndLaunch,
      });
    machines.begin({ tasks, roster: served?.roster });

    const desk = {
      core,
      account,
      admission,
      built: (host: string) => plans.hopes(host),
      renewConsent: (host: string) => consent.renew(host),
      ...(served !== undefined && { prepareAgain: (host: string) => served.roster.again(host) }),
      bootOf: (host: string) => heard.bootOf(host),
    };
    signal.throwIfAborted();
    const operator = await startOperator(state.operatorSocket, {
      machines: () => account.machines(),
      strangers: () => arrivals.strangers(),
      relays: () => relays.states(),
      inventory: (host) => ({
        inventory: wholeInventory(state.hardware.inventory(host), inventories.get(host)),
        facter: state.hardware.facter(host),
        facterMissing: state.hardware.facterMissing(host),
      }),
      retry: (host) => retry(desk, host),
      cancel: (host) => cancel(desk, host),
      wake: (host) => tasks.wake(book.named(host)?.macs ?? [], signal, book.named(host)?.relay),
      watch: (listener) => account.watch(listener),
      trail: (host) => trails.of(host),
      logs: account.log,
    });
    lifetime.opened(() => operator.close());
    for (const { name, address, prefixLength, dhcp } of network.plan.interfaces)
      account.notice('info', `serving ${name} (${address}/${prefixLength}), DHCP: ${dhcpWords[dhcp]}`);
    tellSubnets();

    // Machines.
    // What is still built when nobody waits for it any more is called off; a moment later its children are killed.
    lifetime.opened(() => {
      building.abort();
      return Promise.all(preparing).then(() => undefined);
    });
    if (world.service === undefined || served === undefined) {
      for (const host of config.hosts) core.add(host.name);
      prepareAndLaunch(config).catch(lifetime.broke);
    } else {
      world.service.ready(() => doors.counters());
      await lifetime.until(served.begin());
      await lifetime.until();
    }
    await machines.ended();
    // Results.
    const half = core.lives().filter((life) => !isEnd(life.stage) && halfWritten(life) && heard.lately(life.host));
    await core.close(10_000);
    // What a login left running on a machine doesn't end with its connection.
    await Promise.allSettled(half.map(({ host }) => sessions.instruct(host, { $case: 'abort', value: {} }, 3000)));
    for (const stranger of arrivals.strangers())
      account.notice('info', `${strangerText(stranger)} and is in no hosts file; to add it: ${hostsLine(stranger)}`);
    if (arrivals.strangersForgotten > 0)
      account.notice('info', `${arrivals.strangersForgotten} more asked to boot, and were forgotten`);
    return endsOf(core);
  } finally {
    await lifetime.close();
    killAllGroups();
  }
}

function endsOf(core: Core): RunEnd {
  return { ends: new Map(core.lives().map((life) => [life.host, life.stage])) };
}

const dhcpWords = { proxy: 'beside another server', range: 'only server', off: 'off' } as const;

function neededLoaders(systems: readonly System[]) {
  return [
    ...(systems.includes('x86_64-linux') ? (['bios', 'x64'] as const) : []),
    ...(systems.includes('aarch64-linux') ? (['arm64'] as const) : []),
  ];
}

/** A field, when there is a value for it. */
function given<Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [key in Key]?: Value };
}
