// The sockets of a run: DHCP and TFTP, what other DHCP servers say, HTTP with the binary cache, relays, agents. They open after the core is there, which
// asks them all the same: until then nobody is connected, and nobody is overdue for a relay's sake.
import { randomBytes } from 'node:crypto';
import { makeAgentDesk } from './agent-desk.ts';
import type { Scene } from './answer/scene.ts';
import type { Arrivals } from './arrivals.ts';
import { openCache, type RunCache } from './cache.ts';
import type { RunConfig } from './config/run-config.ts';
import { CheckIns } from './core/check-in.ts';
import { iso } from './core/core.ts';
import type { Hosts } from './core/hosts.ts';
import { neighbourAt } from './core/place.ts';
import { placedHostKey } from './install/keys.ts';
import type { Installers } from './installers.ts';
import type { Lifetime } from './lifetime.ts';
import { type AgentServer, type AgentServerOptions, startAgentServer } from './listen/agents.ts';
import { type BootCounters, type BootServer, startBootServer } from './listen/boot-server.ts';
import { type HttpServer, startHttp } from './listen/http.ts';
import type { InheritedUdp } from './listen/inherited.ts';
import type { LinkInterface } from './listen/interfaces.ts';
import type { FoundLoaders } from './listen/loaders.ts';
import { hearOtherServers } from './listen/other-servers.ts';
import type { Machines } from './machines.ts';
import type { Rights } from './nix/runner.ts';
import { makeRelayPart, type RelayPart, type RelayPartWorld } from './relays.ts';
import type { RunNetwork } from './run-network.ts';
import type { RunState } from './state.ts';

export interface DoorsWorld {
  readonly config: Pick<RunConfig, 'cache' | 'dhcp' | 'relayListen' | 'stateDir'>;
  readonly hosts: Hosts;
  readonly state: Pick<RunState, 'folder' | 'hardware' | 'registrations' | 'tls'>;
  readonly network: RunNetwork<LinkInterface>;
  readonly loaders: FoundLoaders;
  readonly installers: Pick<Installers, 'built'>;
  readonly machines: Pick<Machines, 'account' | 'core' | 'plans' | 'scene' | 'trails' | 'warnings' | 'waves'>;
  readonly arrivals: Arrivals;
  /** Each is closed with it; one that breaks ends it. */
  readonly lifetime: Pick<Lifetime, 'opened' | 'broke'>;
  /** Of children. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly rights: Pick<Rights, 'as' | 'home'>;
  /** Sockets that systemd opened for us. */
  readonly inherited?: readonly InheritedUdp[] | undefined;
  /** Of nixie, told to relays. */
  readonly version?: string | undefined;
  readonly httpPort: number;
  readonly grpcPort: number;
  warn(text: string): void;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

export interface OpenDoors {
  readonly http: Pick<HttpServer, 'setFiles'>;
  readonly relays: RelayPart;
  readonly agents: Pick<AgentServer, 'instruct' | 'drop'>;
  /** Undefined: there is none in this run. */
  readonly cache: RunCache | undefined;
}

export class Doors {
  #boot: BootServer | undefined;
  #relays: RelayPart | undefined;
  #agents: AgentServer | undefined;

  /** Resolves when firmware is answered by this; at once, as long as none is. */
  async setScene(scene: Scene): Promise<void> {
    await this.#boot?.setScene(scene);
  }

  /** Of DHCP and TFTP; rejects when they don't answer. Undefined: they are not open. */
  async counters(): Promise<BootCounters | undefined> {
    return this.#boot?.counters();
  }

  /** Is a host's agent connected? */
  hasSession(host: string): boolean {
    return this.#agents?.sessions().includes(host) ?? false;
  }

  /** Why nothing is heard from behind a relay. Undefined: it is there. */
  silenceOf(relay: string): string | undefined {
    if (this.#relays === undefined) return undefined;
    const { relays } = this.#relays;
    if (!relays.isUp(relay)) return 'is not connected';
    return relays.isSilent(relay) ? 'says nothing' : undefined;
  }

  /** Something was decided that may change what relays answer. */
  relaysMayChange(): void {
    this.#relays?.changed();
  }

  /** See `CoreWorld`. */
  overdue(host: string, since: number): ReturnType<RelayPart['overdue']> {
    return this.#relays?.overdue(host, since);
  }

  /**
   * One after the other; each is closed with the run, also when the next one can't be opened.
   * @throws PortTaken, NotRoot, Error of a socket
   */
  async open(world: DoorsWorld): Promise<OpenDoors> {
    const { config, hosts, network, loaders, machines, arrivals, lifetime, env, rights, now, ticks } = world;
    const { account, trails } = machines;
    const { links, own } = network;
    const boot = await startBootServer({
      scene: machines.scene(),
      loaderFiles: loaders.files,
      interfaces: links,
      alsoAt: network.alsoAt,
      onSeen: arrivals.seen,
      onNotice: (text) => account.emit({ event: 'notice', at: iso(now()), level: 'info', text }),
      onFailure: lifetime.broke,
      dhcp: config.dhcp.mode !== 'off',
      ...(world.inherited !== undefined && { inherited: world.inherited }),
    });
    this.#boot = boot;
    lifetime.opened(() => boot.close());
    const others = hearOtherServers({
      interfaces: links,
      onSeen: arrivals.seen,
      onListening: (name, whyNot) => trails.listening(name, whyNot),
    });
    lifetime.opened(() => others.close());
    const cache = config.cache
      ? openCache({ stateDir: config.stateDir, env, rights, warn: (text) => world.warn(text) })
      : undefined;
    lifetime.opened(() => cache?.door.close());
    const http = await startHttp({
      addresses: own,
      port: world.httpPort,
      script: (ask) => arrivals.admission.script(ask),
      macAt(address, ours) {
        const mac = neighbourAt(links, address, ours);
        return mac !== undefined && mac !== 'foreign' && hosts.withMac(mac) !== undefined ? mac : undefined;
      },
      ...(cache !== undefined && { nix: cache.door.answer }),
      loaders: loaders.files,
      onSeen: arrivals.seen,
      onProgress: (progress) => arrivals.sent(progress),
    });
    lifetime.opened(() => http.close());
    const relays = makeRelayPart({
      ...relaysOf(world),
      ...(cache !== undefined && { cache }),
      now,
      ticks,
    });
    this.#relays = relays;
    lifetime.opened(() => relays.close());
    const agents = await startAgentServer({
      placeOf: relays.placeOf,
      addresses: own,
      port: world.grpcPort,
      tls: world.state.tls,
      checkIns: checkInsOf(world),
      core: agentsOf(world),
    });
    this.#agents = agents;
    lifetime.opened(() => agents.close());
    await relays.open(() => agents.loopback());
    return { http, relays, agents, cache };
  }
}

function relaysOf(world: DoorsWorld): Omit<RelayPartWorld, 'cache' | 'now' | 'ticks'> {
  const { config, hosts, state, network, loaders, installers, machines, arrivals, rights } = world;
  const { account, core, trails, warnings, waves } = machines;
  return {
    stateDir: config.stateDir,
    tls: state.tls,
    version: world.version ?? '',
    ...(config.relayListen !== undefined && { listen: config.relayListen }),
    own: network.own,
    httpPort: world.httpPort,
    agentPort: world.grpcPort,
    hosts,
    life: (host) => core.life(host),
    alive: (host) => arrivals.heard.lately(host),
    installers: installers.built,
    loaders,
    network: () => network.plan,
    tokens: arrivals.tokens,
    tokensChanged: () => arrivals.tokensChanged(),
    admission: arrivals.admission,
    loads: (relay) => waves.loads(relay),
    folder: state.folder.path,
    ...(rights.as !== undefined && { childUser: rights.as }),
    node: process.execPath,
    onSeen: arrivals.seenBehind,
    onProgress: (progress, relay, byUplink) => arrivals.sent(progress, relay, byUplink),
    onState: (host, why, detail) => trails.relay(host, why, detail),
    notice: (level, text) => account.notice(level, text),
    warn: (text, key) => warnings.warn(text, undefined, key),
  };
}

/** Installed systems say that they have booted. */
function checkInsOf({ config, hosts, state, machines, arrivals, now, ticks }: DoorsWorld): CheckIns {
  const { account, core, plans } = machines;
  return new CheckIns({
    life: (host) => core.life(host),
    relayOf: (host) => hosts.named(host)?.relay,
    toplevel: (host) => plans.get(host)?.system.toplevel.out,
    placedKey: (host) => placedHostKey(config.stateDir, host),
    happened: (host, happening) => core.happened(host, happening),
    log: (host, text) => account.notice('info', text, host),
    seenAt: (host, address) => arrivals.checkedIn.set(host, address),
    secret: randomBytes(32),
    fingerprint: state.tls.fingerprint,
    randomBytes,
    ticks,
    now,
  });
}

function agentsOf({ state, machines, arrivals, now }: DoorsWorld): AgentServerOptions['core'] {
  const { account, core, trails, warnings } = machines;
  const desk = makeAgentDesk({
    admission: arrivals.admission,
    registrations: state.registrations,
    heard: arrivals.heard,
    inventories: arrivals.inventories,
    hardware: state.hardware,
    warnings,
    heardOf: (host) => account.heard(host),
    stageOf: (host) => core.life(host)?.stage,
    said: (host, lines) => account.said(host, lines),
    room: () => account.log.room(),
    emit: account.emit,
    now,
  });
  return trails.agents(desk);
}
