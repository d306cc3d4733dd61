// `nixie --inventory-only`: every machine that asks and may be answered boots the installer, is read and is switched off. Built from top to bottom,
// like daemon.ts, but from parts that know of no disk: what partitions, copies or logs in is in none of the files that this one imports, nobody's
// key is let in to the installer, and an agent is told nothing but `inspect` and `powerOff` (a test in e2e/house follows the imports).
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { makeAgentDesk } from './agent-desk.ts';
import type { InstallerFiles } from './answer/script.ts';
import { killAllGroups } from './child/groups.ts';
import { after, sleep } from './clock.ts';
import { allowedAs, type InventoryRun, mostMachines } from './config/inventory-run.ts';
import { Admission } from './core/admission.ts';
import { Answers } from './core/answers.ts';
import { Core, iso } from './core/core.ts';
import { Heard } from './core/heard.ts';
import { HostBook } from './core/hosts.ts';
import { filesOf } from './core/installer-files.ts';
import { alsoReachedAt, inSubnet, planNetwork } from './core/network.ts';
import { neighbourAt } from './core/place.ts';
import { readTask } from './core/read-machine.ts';
import { makeScene } from './core/scene.ts';
import { Warnings } from './core/warnings.ts';
import { Whereabouts } from './core/whereabouts.ts';
import { keygen } from './install/keys.ts';
import { startAgentServer } from './listen/agents.ts';
import { type BootServer, startBootServer } from './listen/boot-server.ts';
import { startHttp } from './listen/http.ts';
import { chooseInterfaces, listInterfaces, ownAddresses } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import type { Seen } from './listen/seen.ts';
import { servedInstaller } from './listen/served-installer.ts';
import type { RunEvent } from './machine/event.ts';
import type { Host, System } from './machine/host.ts';
import { type Life, patience } from './machine/life.ts';
import { type Mac, parseMac } from './machine/mac.ts';
import { hostsSkeleton, nameFor, type ReadMachine } from './machine/skeleton.ts';
import { isEnd } from './machine/stage.ts';
import { StrangerBook, systemOf } from './machine/stranger.ts';
import { TokenBook } from './machine/token.ts';
import { callerOf } from './nix/runner.ts';
import { prepareRun } from './preparation.ts';
import { flakeRights } from './rights.ts';
import { makeSightings } from './sightings.ts';
import { openState } from './state.ts';
import { openHardware } from './store/hardware.ts';
import { openInventoryFolder } from './store/inventory-folder.ts';
import type { KeptRegistration } from './store/registrations.ts';

const httpPort = 7480;
const grpcPort = 7481;
const closeMs = 7000;

export interface InventoryRunWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  emit(event: RunEvent): void;
  /** Ends the run: what was read is kept. */
  readonly signal: AbortSignal;
}

export interface InventoryRunEnd {
  /** Names of the machines that were read. */
  readonly read: readonly string[];
  /** MAC and reason of those that were answered and could not be read. */
  readonly failed: readonly (readonly [mac: Mac, reason: string])[];
}

/** @throws Error, NixError, and those of the ports, interfaces, loaders and the state folder, as a run that installs */
export async function runInventory(run: InventoryRun, world: InventoryRunWorld): Promise<InventoryRunEnd> {
  const { env, signal } = world;
  const { stateDir } = run;
  const now = () => Date.now();
  const ticks = () => performance.now();
  const { emit } = world;
  const notice = (level: 'info' | 'warning', text: string, host?: string) =>
    emit({ event: 'notice', at: iso(now()), level, text, ...(host === undefined ? {} : { host }) });
  const links = chooseInterfaces(listInterfaces(), {
    interfaces: run.interfaces,
    ...(run.address === undefined ? {} : { address: run.address }),
  });
  const systems = Object.keys(run.installers) as System[];
  const loaders = systems.flatMap((system) =>
    system === 'x86_64-linux' ? (['bios', 'x64'] as const) : (['arm64'] as const),
  );
  const found = findLoaders(loaders, run.ipxeDir);
  const closers: (() => Promise<void> | void)[] = [];
  try {
    signal.throwIfAborted();
    const state = await openState({
      stateDir,
      uid: world.uid,
      runtimeDir: env.XDG_RUNTIME_DIR,
      keygen: keygen(env.PATH ?? ''),
      now,
      ticks,
      warn: (text) => notice('warning', text),
    });
    closers.push(() => state.close());
    const caller = world.uid === 0 ? callerOf(env) : undefined;
    const folder = openInventoryFolder(run.out, caller);
    const hardware = openHardware(join(state.folder.path, 'hardware'));
    const book = new HostBook();
    const planFor = (hosts: readonly Host[]) =>
      planNetwork(links, run.dhcp, hosts, state.leases, state.declined, {
        all: run.subnets,
        earlier: state.subnetLeases,
      });
    const first = planFor([]);
    if ('problems' in first) throw Object.assign(new Error(first.problems.join('\n')), { name: 'Unusable' });
    let network = first.plan;
    const isNear = (address: string) => links.some((link) => inSubnet(address, link));
    const whereabouts = new Whereabouts({ subnets: () => network.subnets, isNear, ticks });
    const alsoAt = alsoReachedAt(links, run.subnets, ownAddresses());
    const heard = new Heard(ticks);
    const warnings = new Warnings((text, host) => notice('warning', text, host), ticks);
    const registrations = new Map<string, KeptRegistration>();
    const installers = new Map<System, InstallerFiles>();
    const strangers = new StrangerBook();
    const machines = new Map<string, ReadMachine>();
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => undefined);
    const enough = Promise.withResolvers<void>();
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });

    let boot: BootServer | undefined;
    const scene = () => makeScene({ ...network, loaders: found.loaders, httpPort }, book.all(), core.lives());
    const answers = new Answers(scene, async (next) => boot?.setScene(next), broken.reject);
    const core: Core = new Core(
      {
        now,
        ticks,
        after,
        journal: state.journal,
        // Its end is the word for one that nothing was written to; what was read is told in words of its own.
        emit: (event) => {
          if (event.event !== 'stage' || event.stage !== 'refused') emit(event);
        },
        run: (task, life, taskSignal) => readTask(reading, task, life, taskSignal),
        changed: () => answers.changed(),
      },
      patience,
    );

    /** One that asked and may be answered; firmware asks again. */
    const admit = (mac: Mac, { stranger = {} }: Seen): void => {
      const allowed = allowedAs(run.allowed, mac);
      const system = systemOf(stranger);
      if (allowed === undefined || system === undefined || !installers.has(system)) return;
      const open = core.lives().filter(({ stage }) => stage !== 'failed').length;
      if (open >= (run.count ?? mostMachines) || book.all().length >= mostMachines) return;
      const name = allowed === 'any' ? `machine-${mac.replaceAll(':', '')}` : allowed.name;
      const macs = allowed === 'any' ? [mac] : allowed.macs;
      if (book.named(name) !== undefined) return;
      const host: Host = {
        name,
        flakeAttr: name,
        macs,
        ...(allowed === 'any' || allowed.subnet === undefined ? {} : { subnet: allowed.subnet }),
        system,
        tags: [],
        boot: allowed === 'any' ? [] : allowed.boot,
        expectDisks: [],
        wipe: false,
      };
      const planned = planFor([...book.all(), host]);
      if ('problems' in planned) {
        warnings.warn(`${mac} asked to boot, and there is no address for it: ${planned.problems.join('; ')}`);
        return;
      }
      book.put(host);
      network = planned.plan;
      strangers.forget(mac);
      core.add(name);
      core.happened(name, { kind: 'begin' });
    };

    const admission = new Admission({
      core,
      hosts: book,
      tokens: new TokenBook(randomBytes),
      alive: (host) => heard.lately(host),
      registrations: {
        get: (host) => registrations.get(host),
        put: (host, registration) => void registrations.set(host, registration),
      },
      installer: (system) => installers.get(system),
      macAt: (address, ours) => neighbourAt(links, address, ours),
      contradicts: (host, macs, address) => whereabouts.contradicts(host, macs, address),
      // Nobody logs in.
      authorizedKeys: [],
      credentialSecret: state.tls.credentialSecret,
      fingerprint: state.tls.fingerprint,
      httpPort,
      grpcPort,
      now,
      ticks,
      emit,
    });
    const sightings = makeSightings({
      strangers,
      whereabouts,
      hostOfMac: { get: (mac) => book.withMac(mac)?.name },
      stageOf: (host) => core.life(host)?.stage,
      happened: (host, happening) => core.happened(host, happening),
      emit,
      warn: (text, host) => warnings.warn(text, host),
      network: () => network,
      avoid(address) {
        state.decline(address);
        const other = planFor(book.all());
        if ('plan' in other) network = other.plan;
        answers.changed();
        return network;
      },
      now,
      ticks,
    });
    const seen = (each: Seen) => {
      sightings(each);
      if (each.stranger !== undefined && each.mac !== undefined) admit(each.mac, each);
    };

    // What is served is built before anybody is answered.
    const rights = await flakeRights(
      { flake: run.flake, installers: run.installers, stateDir },
      { env, cwd: world.cwd },
    );
    if (rights.notice !== undefined) notice('warning', rights.notice);
    const prepared = await prepareRun({ ...run, hosts: [] }, { env, cwd: world.cwd, signal, rights }, emit);
    for (const text of prepared.warnings) notice('warning', text);
    for (const [system, failure] of prepared.installerFailures)
      throw Object.assign(new Error(`installer for ${system}: ${failure.text}`), { name: 'NixError' });
    signal.throwIfAborted();
    const files = new Map([...prepared.installers.values()].flatMap((installer) => [...servedInstaller(installer)]));
    for (const [system, installer] of prepared.installers) installers.set(system, filesOf(installer));

    const knownAt = (seen: Mac | 'foreign' | undefined) =>
      seen !== undefined && seen !== 'foreign' && book.withMac(seen) !== undefined ? seen : undefined;
    const own = [...new Set([...links, ...alsoAt].map(({ address }) => address))];
    const http = await startHttp({
      addresses: own,
      port: httpPort,
      script: (ask) => admission.script(ask),
      loaders: found.files,
      macAt: (address, ours) => knownAt(neighbourAt(links, address, ours)),
      onSeen: seen,
      onProgress: () => {},
    });
    closers.push(() => http.close());
    http.setFiles(files);
    const agents = await startAgentServer({
      addresses: own,
      port: grpcPort,
      tls: state.tls,
      core: makeAgentDesk({
        admission,
        registrations: { get: (host) => registrations.get(host) },
        heard,
        inventories: new Map(),
        hardware,
        warnings,
        heardOf: () => {},
        stageOf: (host) => core.life(host)?.stage,
        said(host, lines) {
          for (const { source, text } of lines) emit({ event: 'log', at: iso(now()), host, source, text });
        },
        room: () => Promise.resolve(),
        emit,
        now,
      }),
    });
    closers.push(() => agents.close());

    /** Written after each machine: what was read is not lost by what comes. */
    const keep: Parameters<typeof readTask>[0]['keep'] = (life: Life, known) => {
      const mac = life.mac!;
      const listed = allowedAs(run.allowed, mac);
      const taken = new Set([...machines.values()].map(({ name }) => name));
      const name = listed === undefined || listed === 'any' ? nameFor(mac, known.inventory, taken) : listed.name;
      const place = folder.put(name, known);
      machines.set(life.host, { name, mac, inventory: known.inventory });
      folder.putHosts(hostsSkeleton([...machines.values()]));
      const { disks, nics } = known.inventory;
      notice(
        'info',
        `read: ${name}, ${disks.length} disks, ${nics.length} network cards: ${place}; switching it off`,
        life.host,
      );
      // Its other cards have asked, too: they are the same machine.
      const cards = new Set(nics.flatMap((nic) => parseMac(nic.permanentMac ?? nic.mac ?? '') ?? []));
      for (const other of book.all())
        if (other.name !== life.host && other.macs.every((each) => cards.has(each)) && !machines.has(other.name)) {
          core.remove(other.name);
          book.remove(other.name);
        }
      if (run.count !== undefined && machines.size >= run.count) enough.resolve();
      return `it was read as ${name}`;
    };
    const reading: Parameters<typeof readTask>[0] = {
      agents: {
        async connected(host, deadlineMs, taskSignal, bootId) {
          const there = () =>
            heard.bootOf(host) !== undefined && (bootId === undefined || heard.bootOf(host) === bootId);
          for (const until = ticks() + deadlineMs; !there(); await sleep(100, taskSignal)) {
            if (taskSignal.aborted) throw new Error('called off');
            if (ticks() > until) throw new Error('its agent registered but opened no session');
          }
        },
        instruct: (host, action, deadlineMs) => agents.instruct(host, action, deadlineMs),
      },
      full: (host) => hardware.inventory(host),
      facter: (host) => hardware.facter(host),
      facterMissing: (host) => hardware.facterMissing(host),
      keep,
      tell: (host, happening) => core.happened(host, happening),
      sleep,
      ticks,
    };
    boot = await startBootServer({
      scene: scene(),
      loaderFiles: found.files,
      interfaces: links,
      alsoAt,
      onSeen: seen,
      onNotice: (text) => notice('info', text),
      onFailure: broken.reject,
      dhcp: run.dhcp.mode !== 'off',
    });
    closers.push(() => boot?.close());
    notice(
      'info',
      `reading machines that boot from ${links.map(({ name }) => name).join(', ')} into ${run.out}; ${endWords(run)}`,
    );

    let off = () => {};
    const late = new Promise<void>((resolve) => {
      if (run.milliseconds !== undefined) off = after(run.milliseconds, resolve);
    });
    await Promise.race([enough.promise, late, stopped, broken.promise]);
    off();
    // Those that were read are being switched off; those in the middle are, too: nobody will come back to them.
    const open = core.lives().filter((life) => !isEnd(life.stage) && heard.lately(life.host));
    await Promise.race([core.settle(15_000), stopped.then(() => sleep(3000))]);
    await core.close(5000);
    await Promise.allSettled(
      open
        .filter(({ host }) => !machines.has(host))
        .map(({ host }) => agents.instruct(host, { $case: 'powerOff', value: { delayMs: 0 } }, 3000)),
    );
    const failed = core
      .lives()
      .filter(({ host }) => !machines.has(host))
      .map((life): [Mac, string] => [
        book.named(life.host)?.macs[0] ?? (life.host as Mac),
        life.stage === 'failed' ? (life.reason ?? 'it failed') : `the run ended while it was ${life.stage}`,
      ]);
    return { read: [...machines.values()].map(({ name }) => name), failed };
  } finally {
    for (const close of closers.reverse())
      await Promise.race([
        Promise.resolve()
          .then(close)
          .catch(() => undefined),
        sleep(closeMs),
      ]);
    killAllGroups();
  }
}

function endWords({ count, milliseconds }: InventoryRun): string {
  const ends = [
    ...(count === undefined ? [] : [`after ${count} ${count === 1 ? 'machine' : 'machines'}`]),
    ...(milliseconds === undefined ? [] : [`after ${Math.round(milliseconds / 1000)} seconds`]),
    'by Ctrl-C',
  ];
  return `it ends ${ends.join(' or ')}`;
}
