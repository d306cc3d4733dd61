// One run, built from top to bottom: configuration → memory → core → sockets → build → machines → results. One part ends, all end.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Inventory } from '@nixie/proto/inventory';
import pLimit from 'p-limit';
import type { InstallerFiles } from './answer/script.ts';
import type { RunConfig } from './config/run-config.ts';
import { makeStateDir } from './config/state-dir.ts';
import { Account } from './core/account.ts';
import { Admission } from './core/admission.ts';
import { Core, iso } from './core/core.ts';
import { inSubnet, planNetwork } from './core/network.ts';
import { makeFinder } from './core/place.ts';
import { makeScene } from './core/scene.ts';
import { type Plan, runTask, type TaskWorld } from './core/tasks.ts';
import { parseNeighbours } from './install/find.ts';
import { makeRunFolder } from './install/folders.ts';
import { killAllGroups } from './install/groups.ts';
import { keygen, makeKey, proofKey } from './install/keys.ts';
import { nixEnvironment } from './install/plan.ts';
import { makeRedactor } from './install/redact.ts';
import { Secrets, withoutSecrets } from './install/secrets.ts';
import { type AgentServer, startAgentServer } from './listen/agents.ts';
import { type BootServer, startBootServer } from './listen/boot-server.ts';
import { startHttp } from './listen/http.ts';
import { chooseInterfaces, listInterfaces } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import { startOperator } from './listen/operator.ts';
import type { Seen } from './listen/seen.ts';
import { wake } from './listen/wake.ts';
import type { RunEvent } from './machine/event.ts';
import type { System } from './machine/host.ts';
import { patience as usualPatience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import type { Stage } from './machine/stage.ts';
import { TokenBook } from './machine/token.ts';
import { callerOf } from './nix/runner.ts';
import type { Installer } from './nix/types.ts';
import { prepareRun } from './preparation.ts';
import { findPrograms } from './programs.ts';
import { openJournal } from './store/journal.ts';
import { addKnownHost } from './store/known-hosts.ts';
import { readLeases, writeLeases } from './store/leases.ts';
import { openRegistrations } from './store/registrations.ts';
import { loadTls } from './store/tls.ts';

const httpPort = 7480;
const grpcPort = 7481;

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
  /** What the operator typed for secrets: by `secretName`. */
  readonly prompted?: ReadonlyMap<string, Buffer>;
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
  const { signal } = world;
  const { hosts, stateDir } = config;
  // Children don't get the variables that hold secrets.
  const env = withoutSecrets(world.env, hosts);
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
  const found = findLoaders(neededLoaders(hosts.map((host) => host.system)), config.ipxeDir);
  makeStateDir(stateDir, world.uid);
  const leasesFile = join(stateDir, 'leases.json');
  const previous = readLeases(leasesFile);
  const network = planNetwork(links, config.dhcp, hosts, previous);
  if ('problems' in network) throw new Unusable(network.problems);
  const { interfaces, addresses } = network.plan;
  writeLeases(leasesFile, { ...previous, ...addresses });

  const closers: (() => Promise<void> | void)[] = [];
  try {
    // Memory.
    const tls = await loadTls(stateDir);
    const folder = await makeRunFolder(join(stateDir, 'run'));
    closers.push(() => folder.remove());
    const generate = keygen(searchPath);
    const runKey = await makeKey(folder.keys, 'run', 'nixie-run', generate);
    const proof = await proofKey(stateDir, generate);
    const journal = openJournal(join(stateDir, 'journal.jsonl'));
    closers.push(() => journal.close());
    const registrations = openRegistrations(join(stateDir, 'registrations'));
    const inventories = new Map<string, Inventory>();
    const plans = new Map<string, Plan>();
    const installers = new Map<System, Installer>();
    const hostOfMac = new Map(hosts.flatMap((host) => host.macs.map((mac) => [mac, host.name] as const)));

    // The core, and what is told of it. The sockets come later and are reached through these two.
    let boot: BootServer | undefined;
    let agents: AgentServer | undefined;
    const ended = Promise.withResolvers<void>();
    const patience = { ...usualPatience, ...config.patience };
    const redactor = makeRedactor();
    const account: Account = new Account({
      hosts,
      life: (host) => core.life(host),
      toplevel: (host) => plans.get(host)?.system.toplevel.out,
      agentConnected: (host) => agents?.sessions().includes(host) ?? false,
      show: world.emit,
      proved: (host, address, key) => {
        if (config.knownHosts !== undefined)
          addKnownHost(config.knownHosts, [host, ...(address === undefined ? [] : [address])], key);
      },
      redactor,
      now,
    });
    const { emit } = account;
    const scene = () => makeScene({ interfaces, addresses, loaders: found.loaders, httpPort }, hosts, core.lives());
    let answers: Promise<void> = Promise.resolve();
    const core: Core = new Core(
      {
        now,
        after,
        journal,
        emit,
        run: async (task, life, taskSignal) => {
          try {
            await runTask(tasks, task, life, taskSignal);
          } catch (error) {
            throw new Error(redactor.text((error as Error).message), { cause: error });
          }
        },
        changed: () => {
          const next = scene();
          answers = answers.then(() => boot?.setScene(next)).catch((error: Error) => ended.reject(error));
          if (core.ended) ended.resolve();
        },
      },
      patience,
    );
    const admission = new Admission({
      core,
      hosts,
      tokens: new TokenBook(randomBytes),
      registrations,
      installer: (system) => filesOf(installers.get(system)),
      macAt: (address) => {
        if (!links.some((link) => inSubnet(address, link))) return 'foreign';
        return parseNeighbours(readFileSync('/proc/net/arp', 'utf8')).find((each) => each.address === address)?.mac;
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
    const seen = (each: Seen) => {
      const host = each.machine ?? (each.mac === undefined ? undefined : hostOfMac.get(each.mac));
      const detail = [each.why, each.detail].filter((part) => part !== undefined).join(': ');
      emit({
        event: 'seen',
        at: iso(now()),
        kind: each.kind,
        ...given('host', host),
        ...given('mac', each.mac),
        ...given('interface', each.interface),
        ...given('detail', detail === '' ? undefined : detail),
      });
      if (host !== undefined && core.life(host)?.stage === 'waking' && asksToBoot(each))
        core.happened(host, { kind: 'firmware-asked' });
    };

    // Sockets.
    boot = await startBootServer({
      scene: scene(),
      loaderFiles: found.files,
      interfaces: links,
      onSeen: seen,
      onFailure: ended.reject,
      dhcp: config.dhcp.mode !== 'off',
    });
    closers.push(() => boot?.close());
    const own = links.map((link) => link.address);
    const http = await startHttp({
      addresses: own,
      port: httpPort,
      script: (ask) => admission.script(ask),
      loaders: found.files,
      onSeen: seen,
      onProgress: ({ mac, sentBytes, totalBytes }) => {
        const host = mac === undefined ? undefined : hostOfMac.get(mac);
        if (host !== undefined && core.life(host)?.stage === 'loading')
          emit({
            event: 'progress',
            at: iso(now()),
            host,
            stage: 'loading',
            done_bytes: sentBytes,
            total_bytes: totalBytes,
          });
      },
    });
    closers.push(() => http.close());
    agents = await startAgentServer({
      addresses: own,
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
          const kept = registrations.get(host);
          if (!inventories.has(host) && kept !== undefined) inventories.set(host, kept.inventory);
          return admission.session(host, about);
        },
        onSessionDown: (host, why) =>
          emit({ event: 'log', at: iso(now()), host, source: 'session', text: `ended: ${why}` }),
        onHeartbeat: () => {},
        onProgress: () => {},
        onLog(host, lines, dropped) {
          for (const { source, text } of lines) emit({ event: 'log', at: iso(now()), host, source, text });
          if (dropped > 0)
            emit({ event: 'log', at: iso(now()), host, source: 'agent', text: `${dropped} lines were lost` });
        },
        onOdd: (peer, what) => account.notice('warning', `an agent at ${peer}: ${what}`),
      },
    });
    closers.push(() => agents?.close());
    const sessions = agents;

    const copies = pLimit(config.jobs);
    const tasks: TaskWorld = {
      plans,
      finder: makeFinder(links, ticks),
      agents: {
        async connected(host, deadlineMs, taskSignal) {
          for (const until = ticks() + deadlineMs; !sessions.sessions().includes(host); await sleep(100, taskSignal)) {
            if (taskSignal.aborted) throw new Error('called off');
            if (ticks() > until) throw new Error('its agent registered but opened no session');
          }
        },
        instruct: (host, action, deadlineMs) => sessions.instruct(host, action, deadlineMs),
      },
      leased: (macs) => macs.flatMap((mac) => addresses[mac] ?? []),
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
      wake: async (macs, taskSignal) => {
        const reports = await Promise.all(macs.map((mac: Mac) => wake(mac, links, { signal: taskSignal })));
        for (const failure of reports.flatMap((report) => report.failures)) account.notice('warning', failure);
        return reports.reduce((sum, report) => sum + report.sent, 0);
      },
      inTurn: (call) => copies(call),
      keepLog: (host, lines) => account.keepLog(host, lines),
      mayLoseData: (host) => host.wipe || config.reinstall.has(host.name),
      runKey,
      proofKey: proof,
      keygen: generate,
      identities: [proof.privateFile, ...(config.sshKey?.kind === 'private' ? [config.sshKey.path] : [])],
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
      nixosAnywhere: programs.nixosAnywhere,
      realSsh: programs.ssh,
      searchPath,
      nixEnv: nixEnvironment(env),
      proofPatienceMs: Math.max(10, patience.proving - 5) * 1000,
      answersCurrent: () => answers,
    };
    const operator = await startOperator(join(stateDir, 'operator.sock'), {
      machines: () => account.machines(),
      inventory: (host) => inventories.get(host),
      retry: (host) => refusal(core.happened(host, { kind: 'retry' })),
      cancel: (host) => refusal(core.happened(host, { kind: 'cancelled', reason: 'cancelled by the operator' })),
      wake: (host) => tasks.wake(hosts.find((each) => each.name === host)?.macs ?? [], signal),
      watch: (listener) => account.watch(listener),
    });
    closers.push(() => operator.close());
    for (const { name, address, prefixLength, dhcp } of interfaces)
      account.notice('info', `serving ${name} (${address}/${prefixLength}), DHCP: ${dhcpWords[dhcp]}`);

    // Build.
    const prepared = await prepareRun(config, { ...world, env }, emit);
    for (const [system, installer] of prepared.installers) installers.set(system, installer);
    for (const warning of prepared.warnings) account.notice('warning', warning);
    http.setFiles(
      new Map(
        [...installers.values()].flatMap(({ kernel, initrd }) => [
          [`${kernel.sha256}/kernel`, { ...kernel, size: kernel.bytes }] as const,
          [`${initrd.sha256}/initrd`, { ...initrd, size: initrd.bytes }] as const,
        ]),
      ),
    );

    // Machines.
    for (const host of hosts) core.add(host.name);
    for (const [name, plan] of prepared.plans) plans.set(name, plan);
    for (const [name, failure] of prepared.failures) {
      account.keepLog(name, failure.log);
      core.happened(name, { kind: 'failed', reason: failure.text });
    }
    for (const name of plans.keys()) core.happened(name, { kind: 'begin' });
    signal.addEventListener('abort', () => ended.resolve(), { once: true });
    if (signal.aborted) ended.resolve();
    await ended.promise;
    // A machine that was refused is still being switched off.
    if (!signal.aborted) await core.settle(15_000);
    await core.close(10_000);
    return { ends: new Map(core.lives().map((life) => [life.host, life.stage])) };
  } finally {
    for (const close of closers.reverse()) await Promise.resolve(close()).catch(() => undefined);
    killAllGroups();
  }
}

const dhcpWords = { proxy: 'beside another server', range: 'only server', off: 'off' } as const;

function neededLoaders(systems: readonly System[]) {
  return [
    ...(systems.includes('x86_64-linux') ? (['bios', 'x64'] as const) : []),
    ...(systems.includes('aarch64-linux') ? (['arm64'] as const) : []),
  ];
}

function filesOf(installer: Installer | undefined): InstallerFiles | undefined {
  if (installer === undefined) return undefined;
  const { kernel, initrd, commandLine } = installer;
  return {
    kernelSha256: kernel.sha256,
    initrdSha256: initrd.sha256,
    kernelParams: commandLine,
    // The compressed image, what it unpacks to, and room to work.
    needsBytes: kernel.bytes + 3 * initrd.bytes + 128 * 1024 * 1024,
  };
}

/** Firmware or iPXE that wants a boot file; an operating system that renews its lease is no sign of a network boot. */
function asksToBoot(seen: Seen): boolean {
  return seen.kind === 'dhcp-answered' || seen.kind === 'tftp-started' || seen.kind === 'tftp-probed';
}

function refusal(advanced: { moved: true } | { moved: false; sentence: string }): { refused: string } | undefined {
  return advanced.moved ? undefined : { refused: advanced.sentence };
}

/** A field, when there is a value for it. */
function given<Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [key in Key]?: Value };
}

/** Calls back once; the result calls it off. */
function after(milliseconds: number, call: () => void): () => void {
  const timer = setTimeout(call, Math.min(milliseconds, 0x7fff_ffff));
  return () => clearTimeout(timer);
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
