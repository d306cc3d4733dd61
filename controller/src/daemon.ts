// One run or service, built from top to bottom: configuration → memory → core → sockets → build → machines → results. One part ends, all end.
// It is long because every part is put into its place here, and nowhere else.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Inventory } from '@nixie/proto/inventory';
import { makeAgentDesk } from './agent-desk.ts';
import { openCache } from './cache.ts';
import { killAllGroups } from './child/groups.ts';
import { after, sleep } from './clock.ts';
import { readRecorded, recordedFile } from './config/recorded-inventory.ts';
import type { RunConfig } from './config/run-config.ts';
import { Account } from './core/account.ts';
import { Admission } from './core/admission.ts';
import { Answers } from './core/answers.ts';
import { CacheOffers } from './core/cache-offer.ts';
import { CheckIns } from './core/check-in.ts';
import { Consent } from './core/consent.ts';
import { Core, iso } from './core/core.ts';
import { cancel, retry } from './core/desk.ts';
import { Heard } from './core/heard.ts';
import { HostBook } from './core/hosts.ts';
import { unbootable } from './core/installer-files.ts';
import { Loading } from './core/loading.ts';
import { Logins } from './core/logins.ts';
import { makeFinder, makeLookup, neighbourAt } from './core/place.ts';
import { Plans } from './core/plans.ts';
import { makeScene } from './core/scene.ts';
import { runTask, type TaskWorld } from './core/tasks.ts';
import { makeTurns } from './core/turns.ts';
import { Warnings } from './core/warnings.ts';
import { Waves } from './core/waves.ts';
import { Whereabouts } from './core/whereabouts.ts';
import { letThrough } from './install/folders.ts';
import { keygen, placedHostKey } from './install/keys.ts';
import { nixEnvironment } from './install/plan.ts';
import { makeRedactor } from './install/redact.ts';
import { Secrets, withoutSecrets } from './install/secrets.ts';
import { Installers } from './installers.ts';
import { Launch } from './launch.ts';
import { Lifetime } from './lifetime.ts';
import { type AgentServer, startAgentServer } from './listen/agents.ts';
import { type BootServer, startBootServer } from './listen/boot-server.ts';
import { type FileProgress, startHttp } from './listen/http.ts';
import type { InheritedUdp } from './listen/inherited.ts';
import { chooseInterfaces, listInterfaces, ownAddresses } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import { startOperator } from './listen/operator.ts';
import { hearOtherServers } from './listen/other-servers.ts';
import { openPoke } from './listen/poke.ts';
import { watchRelayRoutes } from './listen/relay-routes.ts';
import type { Seen } from './listen/seen.ts';
import { wake } from './listen/wake.ts';
import type { RunEvent } from './machine/event.ts';
import type { System } from './machine/host.ts';
import { halfWritten, patience as usualPatience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { isEnd, type Stage } from './machine/stage.ts';
import { hostsLine, StrangerBook, strangerText } from './machine/stranger.ts';
import { TokenBook } from './machine/token.ts';
import { wholeInventory } from './machine/whole-inventory.ts';
import { callerOf } from './nix/runner.ts';
import type { Installer } from './nix/types.ts';
import { prepareRun } from './preparation.ts';
import { findPrograms } from './programs.ts';
import { makeRelayPart, type RelayPart } from './relays.ts';
import { runRights } from './rights.ts';
import type { Roster } from './roster.ts';
import { RunNetwork } from './run-network.ts';
import { gcPart, ServedHosts, type Service } from './service.ts';
import { makeSightings } from './sightings.ts';
import { openState } from './state.ts';
import { addKnownHost, knownAs } from './store/known-hosts.ts';
import { cardMacs } from './store/registrations.ts';
import { beginRunLogs } from './store/run-logs.ts';
import { Trails } from './trails.ts';

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
    const { tls, registrations, marks } = state;
    const logFiles = beginRunLogs({ logDir: config.logDir, now, ticks, warn: (text) => notice(text) });
    lifetime.opened(() => logFiles?.close());
    const network = new RunNetwork({ links, config, hosts: book, state, ownAddresses });
    const whereabouts = new Whereabouts({
      subnets: () => network.plan.subnets,
      isNear: (address) => network.isNear(address),
      ticks,
    });
    const tokens = new TokenBook(randomBytes);
    state.restoreTokens(tokens);
    const heard = new Heard(ticks);
    const warnings = new Warnings((text, host) => account.notice('warning', text, host), ticks);
    const inventories = new Map<string, Inventory>();
    // Who waits for a build is on its way no more: another one may be woken in its place.
    const plans = new Plans({
      waits(host) {
        const release = core.hold(host);
        const over = account.waits(host, 'its build');
        waves.moved();
        return () => {
          over();
          release();
        };
      },
    });
    const installers = new Installers();
    const hostOfMac = { get: (mac: Mac, relay?: string) => book.withMac(mac, relay)?.name };
    const consent = new Consent({
      consents: state.consents,
      reinstall: config.reinstall,
      endless,
      warn: (text, host) => account.notice('warning', text, host),
    });
    const checkedIn = new Map<string, string>();

    // The core, and what is told of it. The sockets come later and are reached through these two.
    let boot: BootServer | undefined;
    let agents: AgentServer | undefined;
    let roster: Roster | undefined;
    let relayed: RelayPart | undefined;
    let ended = Promise.withResolvers<void>();
    const patience = { ...usualPatience, ...config.patience };
    const redactor = makeRedactor();
    const trails = new Trails({ hostOfMac, journal: state.journal, now });
    const account: Account = new Account({
      hosts: book,
      life: (host) => core.life(host),
      toplevel: (host) => (plans.failed(host) ? undefined : plans.get(host)?.system.toplevel.out),
      agentConnected: (host) => agents?.sessions().includes(host) ?? false,
      show(event) {
        trails.event(event);
        waves.see(event);
        world.emit(event);
        if (event.event !== 'result' || event.result !== 'failed') return;
        const advice = trails.advice(event.host);
        if (advice !== undefined) account.notice('warning', advice, event.host);
      },
      proved: (host, address, key) => {
        if (address !== undefined) state.lastAddresses.put(host, address);
        if (config.knownHosts !== undefined)
          addKnownHost(config.knownHosts, knownAs(host, address, book.named(host)?.relay), key);
      },
      unseen(host) {
        const relay = book.named(host)?.relay;
        if (relay === undefined || relayed === undefined) return undefined;
        const away = relayed.relays.isUp(relay) ? undefined : 'is not connected';
        const why = away ?? (relayed.relays.isSilent(relay) ? 'says nothing' : undefined);
        return why && `its relay ${relay} ${why}; what goes on there is heard when it is back`;
      },
      redactor,
      logFiles,
      now,
      ticks,
    });
    const { emit } = account;
    const beat = setInterval(() => account.tick(), 1000);
    lifetime.opened(() => clearInterval(beat));
    const loading = new Loading();
    const waves: Waves = new Waves({
      hosts: () => book.all(),
      life: (host) => core.life(host),
      hold: (host) => core.hold(host),
      seconds: () => account.seconds(),
      sizes: (host) => ({
        ...loading.sizes(host.system),
        copyBytes: plans.get(host.name)?.closure?.bytes,
      }),
      waits: (host) => plans.waits(host),
      jobs: config.jobs,
      loadingPatience: patience.loading,
      tell: (text) => account.notice('info', text),
      ticks,
      after,
    });
    lifetime.opened(() => waves.close());
    const scene = () =>
      makeScene({ ...network.plan, loaders: found.loaders, httpPort }, book.all(), core.lives(), (host) =>
        book.isLeaving(host),
      );
    const answers = new Answers(scene, async (next) => boot?.setScene(next), lifetime.broke);
    const core: Core = new Core(
      {
        now,
        ticks,
        after,
        journal: state.journal,
        emit(event) {
          emit(event);
          if (event.event !== 'stage') return;
          if (event.stage === 'loading') loading.begin(event.host);
          const host = book.named(event.host);
          if (event.stage === 'rebooting' && host !== undefined) consent.use(host);
          if (isEnd(event.stage)) marks.clear(event.host);
        },
        run: async (task, life, taskSignal) => {
          try {
            await runTask(tasks, task, life, taskSignal);
          } catch (error) {
            throw new Error(redactor.text((error as Error).message), { cause: error });
          }
        },
        changed: () => {
          answers.changed();
          relayed?.changed();
          roster?.moved();
          waves.moved();
          if (core.ended) ended.resolve();
        },
        overdue: (host, since) => relayed?.overdue(host, since),
        rested: () => roster?.moved(),
      },
      patience,
    );
    const admission = new Admission({
      core,
      hosts: book,
      tokens,
      tokensChanged: () => state.tokensChanged(tokens),
      alive: (host) => heard.lately(host),
      registrations,
      installer: (system) => installers.files(system),
      mayLoad: (host) => waves.mayLoad(host),
      keptAway: (host) => waves.keptByRelay(host),
      macAt: (address, ours) => neighbourAt(links, address, ours),
      contradicts: (host, macs, address) => whereabouts.contradicts(host, macs, address),
      authorizedKeys: [
        `${state.runKey.publicKey} nixie-run`,
        ...(config.sshKey === undefined ? [] : [config.sshKey.publicKey]),
      ],
      credentialSecret: tls.credentialSecret,
      fingerprint: tls.fingerprint,
      httpPort,
      grpcPort,
      now,
      ticks,
      emit,
    });
    const strangers = new StrangerBook();
    const sightings = makeSightings({
      strangers,
      whereabouts,
      hostOfMac,
      stageOf: (host) => core.life(host)?.stage,
      happened: (host, happening) => core.happened(host, happening),
      emit,
      warn: (text, host) => warnings.warn(text, host),
      network: () => network.plan,
      avoid(address) {
        network.avoid(address);
        answers.changed();
        return network.plan;
      },
      now,
      ticks,
    });
    // One that was added since is none any more, nor is one that --only leaves out.
    const leftOut = new HostBook(endless ? [] : config.allHosts);
    const unlisted = () =>
      strangers
        .all()
        .filter(({ mac, relay }) => (book.withMac(mac, relay) ?? leftOut.withMac(mac, relay)) === undefined);
    const taken = trails.follow(sightings);
    const relayRoutes = watchRelayRoutes({ onSeen: taken, ticks });
    const seen = (each: Seen) => {
      taken(each);
      relayRoutes(each);
    };

    const sent = (progress: FileProgress, relay?: string, byUplink = false): void => {
      trails.file(progress, relay);
      const { mac, file, sentBytes } = progress;
      const host = mac === undefined ? undefined : book.withMac(mac, relay);
      if (host !== undefined && !progress.file.endsWith('/image'))
        waves.sent(host, progress.file, progress.sentBytes, byUplink);
      if (host === undefined || core.life(host.name)?.stage !== 'loading') return;
      const all = loading.sent(host.name, host.system, file, sentBytes);
      if (all === undefined) return;
      const { done: done_bytes, total: total_bytes, paused } = all;
      const event = {
        event: 'progress',
        at: iso(now()),
        host: host.name,
        stage: 'loading',
        done_bytes,
        total_bytes,
      } as const;
      emit({ ...event, ...(paused ? { paused } : {}) });
    };

    // Sockets.
    signal.throwIfAborted();
    boot = await startBootServer({
      scene: scene(),
      loaderFiles: found.files,
      interfaces: links,
      alsoAt: network.alsoAt,
      onSeen: seen,
      onNotice: (text) => emit({ event: 'notice', at: iso(now()), level: 'info', text }),
      onFailure: lifetime.broke,
      dhcp: config.dhcp.mode !== 'off',
      ...given('inherited', world.inherited),
    });
    lifetime.opened(() => boot?.close());
    const others = hearOtherServers({
      interfaces: links,
      onSeen: seen,
      onListening: (name, whyNot) => trails.listening(name, whyNot),
    });
    lifetime.opened(() => others.close());
    const { own } = network;
    const cache = config.cache ? openCache({ stateDir, env, rights, warn: notice }) : undefined;
    lifetime.opened(() => cache?.door.close());
    const serveClosures = () =>
      cache?.paths.serve(
        new Set(plans.built().flatMap(({ closure, diskoClosure }) => [closure, diskoClosure ?? []].flat())),
      );
    const http = await startHttp({
      addresses: own,
      port: httpPort,
      script: (ask) => admission.script(ask),
      macAt(address, ours) {
        const mac = neighbourAt(links, address, ours);
        return mac !== undefined && mac !== 'foreign' && book.withMac(mac) !== undefined ? mac : undefined;
      },
      ...given('nix', cache?.door.answer),
      loaders: found.files,
      onSeen: seen,
      onProgress: (progress) => sent(progress),
    });
    lifetime.opened(() => http.close());
    const relays = makeRelayPart({
      stateDir,
      tls,
      version: world.version ?? '',
      ...given('listen', config.relayListen),
      own,
      httpPort,
      agentPort: grpcPort,
      hosts: book,
      life: (host) => core.life(host),
      alive: (host) => heard.lately(host),
      installers: installers.built,
      loaders: found,
      network: () => network.plan,
      tokens,
      tokensChanged: () => state.tokensChanged(tokens),
      admission,
      loads: (relay) => waves.loads(relay),
      ...given('cache', cache),
      folder: state.folder.path,
      ...given('childUser', rights.as),
      node: process.execPath,
      onSeen: taken,
      onProgress: sent,
      onState: (host, why, detail) => trails.relay(host, why, detail),
      notice: (level, text) => account.notice(level, text),
      warn: (text, key) => warnings.warn(text, undefined, key),
      now,
      ticks,
    });
    relayed = relays;
    lifetime.opened(() => relays.close());
    agents = await startAgentServer({
      placeOf: relays.placeOf,
      addresses: own,
      port: grpcPort,
      tls,
      checkIns: new CheckIns({
        life: (host) => core.life(host),
        relayOf: (host) => book.named(host)?.relay,
        toplevel: (host) => plans.get(host)?.system.toplevel.out,
        placedKey: (host) => placedHostKey(stateDir, host),
        happened: (host, happening) => core.happened(host, happening),
        log: (host, text) => account.notice('info', text, host),
        seenAt: (host, address) => checkedIn.set(host, address),
        secret: randomBytes(32),
        fingerprint: tls.fingerprint,
        randomBytes,
        ticks,
        now,
      }),
      core: trails.agents(
        makeAgentDesk({
          admission,
          registrations,
          heard,
          inventories,
          hardware: state.hardware,
          warnings,
          heardOf: (host) => account.heard(host),
          stageOf: (host) => core.life(host)?.stage,
          said: (host, lines) => account.said(host, lines),
          room: () => account.log.room(),
          emit,
          now,
        }),
      ),
    });
    lifetime.opened(() => agents?.close());
    const sessions = agents;
    await relays.open(() => sessions.loopback());

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
        ...macs.flatMap((mac) => checkedIn.get(hostOfMac.get(mac, relay) ?? '') ?? []),
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
    const desk = {
      core,
      account,
      admission,
      built: (host: string) => plans.hopes(host),
      renewConsent: (host: string) => consent.renew(host),
      ...(endless ? { prepareAgain: (host: string) => roster?.again(host) } : {}),
      bootOf: (host: string) => heard.bootOf(host),
    };
    signal.throwIfAborted();
    const operator = await startOperator(state.operatorSocket, {
      machines: () => account.machines(),
      strangers: () => unlisted(),
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
    const tellSubnets = () => {
      const { warnings, lines } = network.told();
      for (const text of warnings) account.notice('warning', text);
      for (const text of lines) account.notice('info', text);
    };
    tellSubnets();

    // Build, and machines: each begins as soon as its own part of the preparation is there.
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
    // What is still built when nobody waits for it any more is called off; a moment later its children are killed.
    lifetime.opened(() => {
      building.abort();
      return Promise.all(preparing).then(() => undefined);
    });
    if (world.service === undefined) {
      for (const host of config.hosts) core.add(host.name);
      prepareAndLaunch(config).catch(lifetime.broke);
    } else {
      const service = new ServedHosts({
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
          for (const memory of [inventories, checkedIn]) memory.delete(host);
          serveClosures();
          account.forgetLog(host);
          account.log.remove(host);
          admission.forget(host);
          trails.forget(host);
          sessions.drop(host, why);
        },
        changed() {
          network.replan();
          answers.changed();
        },
        prepare: prepareAndLaunch,
      });
      roster = service.roster;
      world.service.ready(async () => boot?.counters());
      await lifetime.until(service.begin());
      await lifetime.until();
    }
    // A machine that was refused is still being switched off at the end, and the operator may have one begin anew meanwhile.
    for (;;) {
      await lifetime.until(ended.promise);
      if (signal.aborted) break;
      ended = Promise.withResolvers();
      await Promise.race([core.settle(15_000), lifetime.stopped]);
      if (core.ended || signal.aborted) break;
    }
    const half = core.lives().filter((life) => !isEnd(life.stage) && halfWritten(life) && heard.lately(life.host));
    await core.close(10_000);
    // What a login left running on a machine doesn't end with its connection.
    await Promise.allSettled(half.map(({ host }) => sessions.instruct(host, { $case: 'abort', value: {} }, 3000)));
    for (const stranger of unlisted())
      account.notice('info', `${strangerText(stranger)} and is in no hosts file; to add it: ${hostsLine(stranger)}`);
    if (strangers.forgotten > 0)
      account.notice('info', `${strangers.forgotten} more asked to boot, and were forgotten`);
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
