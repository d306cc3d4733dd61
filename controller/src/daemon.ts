// One run, built from top to bottom: configuration → sockets → build → core → results. One part ends, all end.
// It is long because it alone knows all parts: how they hang together is read here and nowhere else.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstructionResult } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import type { Machine, WatchResponse } from '@nixie/proto/operator';
import pLimit from 'p-limit';
import type { InstallerFiles } from './answer/script.ts';
import type { RunConfig } from './config/run-config.ts';
import { makeStateDir } from './config/state-dir.ts';
import { Admission } from './core/admission.ts';
import { Core, iso } from './core/core.ts';
import { inSubnet, planNetwork } from './core/network.ts';
import { makeFinder } from './core/place.ts';
import { type Prepared, prepare } from './core/prepare.ts';
import { makeScene } from './core/scene.ts';
import { type AgentLink, type Plan, runTask, type TaskWorld } from './core/tasks.ts';
import { parseNeighbours } from './install/find.ts';
import { makeRunFolder } from './install/folders.ts';
import { killAllGroups } from './install/groups.ts';
import { keygen, makeKey, proofKey } from './install/keys.ts';
import { nixEnvironment } from './install/plan.ts';
import { startAgentServer } from './listen/agents.ts';
import { startBootServer } from './listen/boot-server.ts';
import { startHttp } from './listen/http.ts';
import { chooseInterfaces, listInterfaces } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import { startOperator } from './listen/operator.ts';
import type { Seen } from './listen/seen.ts';
import { wake } from './listen/wake.ts';
import type { RunEvent } from './machine/event.ts';
import type { System } from './machine/host.ts';
import { type Life, patience as usualPatience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { isEnd, type Stage } from './machine/stage.ts';
import { TokenBook } from './machine/token.ts';
import { NixError } from './nix/failure.ts';
import { parseFlakeRef } from './nix/flake-ref.ts';
import { folderProbe, makeRunner } from './nix/runner.ts';
import { storeReader } from './nix/store-reader.ts';
import type { Installer } from './nix/types.ts';
import { findPrograms } from './programs.ts';
import { openJournal } from './store/journal.ts';
import { addKnownHost } from './store/known-hosts.ts';
import { readLeases, writeLeases } from './store/leases.ts';
import { openRegistrations } from './store/registrations.ts';
import { loadTls } from './store/tls.ts';

export const httpPort = 7480;
export const grpcPort = 7481;
/** Lines kept of each host for the report of its failure. */
const logKept = 40;

/** The configuration can't be used as it is; nothing was started. */
export class Unusable extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'Unusable';
    this.problems = problems;
  }
}

export interface DaemonWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  emit(event: RunEvent): void;
  /** Ends the run: sockets are closed, children ended. */
  readonly signal: AbortSignal;
}

export interface RunEnd {
  readonly ends: ReadonlyMap<string, Stage>;
}

/**
 * Installs what the configuration says; resolves when every host has ended, or after the signal.
 * @throws Unusable, NixError (the flake as a whole), PortTaken, NoSuchInterface, NotRoot, LoaderMissing, ProgramMissing
 */
export async function runInstall(config: RunConfig, world: DaemonWorld): Promise<RunEnd> {
  const { signal, env } = world;
  const now = () => Date.now();
  const programs = findPrograms(env.PATH ?? '', config.nixosAnywhere);
  const links = chooseInterfaces(listInterfaces(), {
    interfaces: config.interfaces,
    ...(config.address === undefined ? {} : { address: config.address }),
  });
  const systems = new Set(config.hosts.map((host) => host.system));
  const found = findLoaders(
    [
      ...(systems.has('x86_64-linux') ? (['bios', 'x64'] as const) : []),
      ...(systems.has('aarch64-linux') ? (['arm64'] as const) : []),
    ],
    config.ipxeDir,
  );
  makeStateDir(config.stateDir, world.uid);
  const leasesFile = join(config.stateDir, 'leases.json');
  const previous = readLeases(leasesFile);
  const network = planNetwork(links, config.dhcp, config.hosts, previous);
  if ('problems' in network) throw new Unusable(network.problems);
  const { interfaces, addresses } = network.plan;
  writeLeases(leasesFile, { ...previous, ...addresses });

  const closers: (() => Promise<void> | void)[] = [];
  const logs = new Map<string, string[]>();
  const watchers = new Set<(message: WatchResponse) => void>();
  const emit = (event: RunEvent) => {
    if (event.event === 'log' && event.host !== undefined) keepLog(event.host, [`${event.source}: ${event.text}`]);
    world.emit(event);
    for (const tell of watchers) tell({ message: { $case: 'eventJson', value: JSON.stringify(event) } });
  };
  const keepLog = (host: string, lines: readonly string[]) =>
    logs.set(host, [...(logs.get(host) ?? []), ...lines].slice(-logKept));
  const notice = (level: 'info' | 'warning' | 'error', text: string, host?: string) =>
    emit({ event: 'notice', at: iso(now()), level, text, ...(host === undefined ? {} : { host }) });

  try {
    const tls = await loadTls(config.stateDir);
    const folder = await makeRunFolder(join(config.stateDir, 'run'));
    closers.push(() => folder.remove());
    const generate = keygen(env.PATH ?? '');
    const runKey = await makeKey(folder.keys, 'run', 'nixie-run', generate);
    const proof = await proofKey(config.stateDir, generate);
    const journal = openJournal(join(config.stateDir, 'journal.jsonl'));
    closers.push(() => journal.close());
    const registrations = openRegistrations(join(config.stateDir, 'registrations'));
    const inventories = new Map<string, Inventory>();
    const plans = new Map<string, Plan>();
    const installers = new Map<System, Installer>();
    const tokens = new TokenBook(randomBytes);
    const patience = { ...usualPatience, ...config.patience };
    const finder = makeFinder(links, now);
    const copies = pLimit(config.jobs);
    const leased = (macs: readonly Mac[]) => macs.flatMap((mac) => addresses[mac] ?? []);

    let sceneCurrent: Promise<void> = Promise.resolve();
    const sceneNow = () =>
      makeScene({ interfaces, addresses, loaders: found.loaders, httpPort }, config.hosts, core.lives());
    let allEnded: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      allEnded = resolve;
    });
    const core: Core = new Core(
      {
        now,
        after: (milliseconds, call) => {
          const timer = setTimeout(call, Math.min(milliseconds, 0x7fff_ffff));
          return () => clearTimeout(timer);
        },
        journal,
        emit: (event) => {
          emit(event);
          if (event.event === 'stage') machineChanged(event.host, event.stage);
        },
        run: (task, life, taskSignal) => runTask(taskWorld, task, life, taskSignal),
        changed: () => {
          const scene = sceneNow();
          sceneCurrent = sceneCurrent
            .then(() => boot?.setScene(scene))
            .catch((error: Error) => notice('error', `answers to firmware: ${error.message}`));
          if (core.ended) allEnded();
        },
      },
      patience,
    );
    const machineChanged = (name: string, stage: Stage) => {
      const message = machineOf(name);
      if (message !== undefined) for (const tell of watchers) tell({ message: { $case: 'machine', value: message } });
      if (isEnd(stage)) report(name, stage);
    };
    const report = (name: string, stage: Stage) => {
      const life = core.life(name)!;
      const plan = plans.get(name);
      if (stage === 'proved' && life.provedKey !== undefined && config.knownHosts !== undefined)
        addKnownHost(config.knownHosts, [name, ...(life.address === undefined ? [] : [life.address])], life.provedKey);
      const seconds = Object.fromEntries(
        Object.entries(life.spent).map(([each, spent]) => [each, Math.round(spent) / 1000]),
      );
      emit({
        event: 'result',
        at: iso(now()),
        host: name,
        result: stage,
        seconds,
        ...(life.reason === undefined ? {} : { reason: life.reason }),
        ...(life.address === undefined ? {} : { address: life.address }),
        ...(plan === undefined ? {} : { toplevel: plan.system.toplevel.out }),
        ...(life.provedKey === undefined ? {} : { host_key: life.provedKey }),
        ...(stage === 'failed' ? { log: (logs.get(name) ?? []).slice(-15) } : {}),
      });
    };
    const machineOf = (name: string): Machine | undefined => {
      const life = core.life(name);
      const host = config.hosts.find((each) => each.name === name);
      if (life === undefined || host === undefined) return undefined;
      return {
        host: name,
        macs: [...host.macs],
        stage: life.stage,
        stageSinceUnixMs: BigInt(Math.round(life.since)),
        address: life.address,
        reason: life.reason,
        toplevel: plans.get(name)?.system.toplevel.out,
        agentConnected: agents?.sessions().includes(name),
      };
    };

    const installerFiles = (system: System): InstallerFiles | undefined => {
      const installer = installers.get(system);
      return (
        installer && {
          kernelSha256: installer.kernel.sha256,
          initrdSha256: installer.initrd.sha256,
          kernelParams: installer.commandLine,
          // The compressed image, what it unpacks to, and room to work.
          needsBytes: installer.kernel.bytes + 3 * installer.initrd.bytes + 128 * 1024 * 1024,
        }
      );
    };
    const admission = new Admission({
      core,
      hosts: config.hosts,
      tokens,
      registrations,
      installer: installerFiles,
      macAt: (address) => {
        if (!links.some((link) => inSubnet(address, link))) return 'foreign';
        const entry = parseNeighbours(readFileSync('/proc/net/arp', 'utf8')).find((each) => each.address === address);
        return entry?.mac;
      },
      authorizedKeys: [
        `${runKey.publicKey} nixie-run`,
        ...(config.sshKey === undefined ? [] : [config.sshKey.publicKey]),
      ],
      credentialSecret: tls.credentialSecret,
      fingerprint: tls.fingerprint,
      httpPort,
      grpcPort,
      now,
      emit,
    });

    const waking: ReadonlySet<Stage> = new Set(['waking', 'firmware', 'loading']);
    const hostOfMac = new Map(config.hosts.flatMap((host) => host.macs.map((mac) => [mac, host.name] as const)));
    const seen = (each: Seen) => {
      const host = each.machine ?? (each.mac === undefined ? undefined : hostOfMac.get(each.mac));
      emit({
        event: 'seen',
        at: iso(now()),
        kind: each.kind,
        ...(host === undefined ? {} : { host }),
        ...(each.mac === undefined ? {} : { mac: each.mac }),
        ...(each.interface === undefined ? {} : { interface: each.interface }),
        ...((each.detail ?? each.why) === undefined
          ? {}
          : { detail: [each.why, each.detail].filter(Boolean).join(': ') }),
      });
      const stage = host === undefined ? undefined : core.life(host)?.stage;
      if (host !== undefined && (stage === 'waking' || stage === 'firmware') && asksToBoot(each)) {
        if (stage === 'waking') core.happened(host, { kind: 'firmware-asked' });
      }
    };
    const boot = await startBootServer({
      scene: sceneNow(),
      loaderFiles: found.files,
      interfaces: links,
      onSeen: seen,
      onFailure: (error) => broken(error),
      dhcp: config.dhcp.mode !== 'off',
    });
    closers.push(() => boot.close());
    let broken: (error: Error) => void = () => {};
    const breaks = new Promise<never>((_resolve, reject) => {
      broken = reject;
    });
    breaks.catch(() => {});

    const http = await startHttp({
      addresses: links.map((link) => link.address),
      port: httpPort,
      script: (ask) => admission.script(ask),
      loaders: found.files,
      onSeen: seen,
      onProgress: (progress) => {
        const host = progress.mac === undefined ? undefined : hostOfMac.get(progress.mac);
        const stage = host === undefined ? undefined : core.life(host)?.stage;
        if (host !== undefined && stage !== undefined && waking.has(stage))
          emit({
            event: 'progress',
            at: iso(now()),
            host,
            stage,
            done_bytes: progress.sentBytes,
            total_bytes: progress.totalBytes,
          });
      },
    });
    closers.push(() => http.close());

    const agents = await startAgentServer({
      addresses: links.map((link) => link.address),
      port: grpcPort,
      tls,
      core: {
        onRegister(request, peer) {
          const answer = admission.register(request, peer);
          if (!('refused' in answer) && request.inventory !== undefined)
            inventories.set(answer.host, request.inventory);
          return answer;
        },
        readCredential: (text) => admission.credential(text),
        onSessionUp(host, about) {
          const refused = admission.session(host, about);
          if (refused === undefined && !inventories.has(host)) {
            const kept = registrations.get(host);
            if (kept !== undefined) inventories.set(host, kept.inventory);
          }
          return refused;
        },
        onSessionDown: (host, why) =>
          emit({ event: 'log', at: iso(now()), host, source: 'session', text: `ended: ${why}` }),
        onHeartbeat: () => {},
        onProgress: () => {},
        onLog(host, lines, dropped) {
          for (const line of lines) emit({ event: 'log', at: iso(now()), host, source: line.source, text: line.text });
          if (dropped > 0)
            emit({ event: 'log', at: iso(now()), host, source: 'agent', text: `${dropped} lines were lost` });
        },
        onOdd: (peer, what) => notice('warning', `an agent at ${peer}: ${what}`),
      },
    });
    closers.push(() => agents.close());

    const link: AgentLink = {
      async connected(host, _bootId, deadlineMs, taskSignal) {
        const until = now() + deadlineMs;
        while (!agents.sessions().includes(host)) {
          if (taskSignal.aborted) throw new Error('called off');
          if (now() > until) throw new Error('its agent registered but opened no session');
          await sleep(100, taskSignal);
        }
      },
      instruct: (host, action, deadlineMs): Promise<InstructionResult> => agents.instruct(host, action, deadlineMs),
    };
    const taskWorld: TaskWorld = {
      plans,
      finder,
      agents: link,
      leased,
      inventory: (host) => inventories.get(host),
      keepInventory: (host, inventory) => inventories.set(host, inventory),
      tell: (host, happening) => core.happened(host, happening),
      emit,
      now,
      sleep,
      wake: async (macs, taskSignal) => {
        let sent = 0;
        for (const mac of macs) {
          const report = await wake(mac, links, { signal: taskSignal });
          sent += report.sent;
          for (const failure of report.failures) notice('warning', `wake ${mac}: ${failure}`);
        }
        return sent;
      },
      inTurn: (call) => copies(call),
      keepLog,
      mayLoseData: (host) => host.wipe || config.reinstall.has(host.name),
      runKey,
      proofKey: proof,
      keygen: generate,
      identities: [proof.privateFile, ...(config.sshKey?.kind === 'private' ? [config.sshKey.path] : [])],
      ...(env.SSH_AUTH_SOCK === undefined ? {} : { agentSocket: env.SSH_AUTH_SOCK }),
      stateDir: config.stateDir,
      nixosAnywhere: programs.nixosAnywhere,
      realSsh: programs.ssh,
      searchPath: env.PATH ?? '',
      nixEnv: nixEnvironment(env),
      proofPatienceMs: Math.max(10, patience.proving - 5) * 1000,
      answersCurrent: () => sceneCurrent,
    };
    const operator = await startOperator(join(config.stateDir, 'operator.sock'), {
      machines: () => core.lives().flatMap((life) => machineOf(life.host) ?? []),
      inventory: (host) => inventories.get(host),
      retry: (host) => refusal(core.happened(host, { kind: 'retry' })),
      cancel: (host) => refusal(core.happened(host, { kind: 'cancelled', reason: 'cancelled by the operator' })),
      wake: (host) => taskWorld.wake(config.hosts.find((each) => each.name === host)?.macs ?? [], signal),
      watch: (listener) => {
        watchers.add(listener);
        return () => watchers.delete(listener);
      },
    });
    closers.push(() => operator.close());
    for (const each of interfaces)
      notice(
        'info',
        `serving ${each.name} (${each.address}/${each.prefixLength}), DHCP: ${each.dhcp === 'range' ? 'only server' : each.dhcp}`,
      );

    const prepared = await prepareRun(config, world, emit);
    for (const [system, installer] of prepared.installers) installers.set(system, installer);
    for (const warning of prepared.warnings) notice('warning', warning);
    http.setFiles(
      new Map(
        [...prepared.installers.values()].flatMap((installer) => [
          [`${installer.kernel.sha256}/kernel`, file(installer.kernel)] as const,
          [`${installer.initrd.sha256}/initrd`, file(installer.initrd)] as const,
        ]),
      ),
    );
    for (const host of config.hosts) core.add(host.name);
    for (const [name, plan] of prepared.plans) plans.set(name, plan);
    for (const [name, failure] of prepared.failures) {
      keepLog(name, failure.log);
      core.happened(name, { kind: 'failed', reason: failure.text });
    }
    for (const name of plans.keys()) core.happened(name, { kind: 'begin' });
    if (core.ended) allEnded();
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([ended, stopped, breaks]);
    if (!signal.aborted) await core.settle(15_000);
    await core.close(10_000);
    return { ends: new Map(core.lives().map((life: Life) => [life.host, life.stage])) };
  } finally {
    for (const close of closers.reverse()) await Promise.resolve(close()).catch?.(() => undefined);
    killAllGroups();
  }
}

/** Evaluates and builds; used by the dry run as well. */
export async function prepareRun(
  config: RunConfig,
  world: DaemonWorld,
  emit: (event: RunEvent) => void,
): Promise<Prepared> {
  const { env, cwd, signal } = world;
  const refs = [config.flake, ...Object.values(config.installers)].map((ref) => parseFlakeRef(ref, cwd, folderProbe));
  const { run } = await makeRunner({
    env,
    folders: refs.flatMap((ref) => ref.folder ?? []),
    homeDir: join(config.stateDir, 'home'),
  });
  const gcRootsDir = join(config.stateDir, 'gcroots');
  await mkdir(gcRootsDir, { recursive: true, mode: 0o700 });
  return await prepare({
    flake: config.flake,
    installers: config.installers,
    hosts: config.hosts,
    run,
    cwd,
    probe: folderProbe,
    store: storeReader(),
    gcRootsDir,
    nowMs: () => Date.now(),
    signal,
    deadlineMs: config.buildTimeoutSeconds * 1000,
    onProgress: (progress) =>
      emit({
        event: 'prepare',
        at: iso(Date.now()),
        text: progress.text,
        ...(progress.done === undefined ? {} : { done: progress.done }),
        ...(progress.total === undefined ? {} : { total: progress.total }),
      }),
  });
}

export { NixError };

/** Firmware or iPXE that wants a boot file; an operating system that renews its lease is no sign of a network boot. */
function asksToBoot(seen: Seen): boolean {
  return seen.kind === 'dhcp-answered' || seen.kind === 'tftp-started' || seen.kind === 'tftp-probed';
}

function file(of: { path: string; bytes: number; sha256: string }) {
  return { path: of.path, size: of.bytes, sha256: of.sha256 };
}

function refusal(advanced: { moved: true } | { moved: false; sentence: string }): { refused: string } | undefined {
  return advanced.moved ? undefined : { refused: advanced.sentence };
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end, { once: true });
  });
}
