// What comes in by the doors of a run, on its way to the core: who was seen, who may boot and register, what was sent to whom. Also what is known of
// machines by their own word alone.
import { randomBytes } from 'node:crypto';
import type { Inventory } from '@nixie/proto/inventory';
import type { RunConfig } from './config/run-config.ts';
import { Admission } from './core/admission.ts';
import { iso } from './core/core.ts';
import { Heard } from './core/heard.ts';
import { HostBook, type Hosts } from './core/hosts.ts';
import { neighbourAt } from './core/place.ts';
import { Whereabouts } from './core/whereabouts.ts';
import type { Installers } from './installers.ts';
import type { FileProgress } from './listen/http.ts';
import type { LinkInterface } from './listen/interfaces.ts';
import { watchRelayRoutes } from './listen/relay-routes.ts';
import type { Seen } from './listen/seen.ts';
import { type Stranger, StrangerBook } from './machine/stranger.ts';
import { TokenBook } from './machine/token.ts';
import type { Machines } from './machines.ts';
import type { RunNetwork } from './run-network.ts';
import { makeSightings } from './sightings.ts';
import type { RunState } from './state.ts';

export interface ArrivalsWorld {
  readonly config: Pick<RunConfig, 'allHosts' | 'sshKey'>;
  /** It is a service: its hosts file is read again. */
  readonly endless: boolean;
  readonly hosts: Hosts;
  readonly state: Pick<RunState, 'registrations' | 'restoreTokens' | 'runKey' | 'tls' | 'tokensChanged'>;
  readonly network: RunNetwork<LinkInterface>;
  readonly installers: Pick<Installers, 'files'>;
  readonly machines: Pick<
    Machines,
    'account' | 'answers' | 'core' | 'hostOfMac' | 'loading' | 'trails' | 'warnings' | 'waves'
  >;
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

export class Arrivals {
  /** Whose agents are there. */
  readonly heard: Heard;
  /** Where machines are by DHCP. */
  readonly whereabouts: Whereabouts;
  readonly tokens = new TokenBook(randomBytes);
  /** Who gets a boot script, and whose registration is believed. */
  readonly admission: Admission;
  /** Of each host: what its agent told last. */
  readonly inventories = new Map<string, Inventory>();
  /** Of each host: where its installed system checked in. */
  readonly checkedIn = new Map<string, string>();
  /** What the doors of this computer saw. */
  readonly seen: (seen: Seen) => void;
  /** What relays saw. */
  readonly seenBehind: (seen: Seen) => void;
  readonly #world: ArrivalsWorld;
  readonly #strangers = new StrangerBook();
  /** That --only leaves out. */
  readonly #leftOut: HostBook;

  constructor(world: ArrivalsWorld) {
    const { config, endless, hosts, state, network, installers, machines, now, ticks } = world;
    const { account, answers, core, hostOfMac, trails, warnings, waves } = machines;
    this.#world = world;
    this.#leftOut = new HostBook(endless ? [] : config.allHosts);
    this.heard = new Heard(ticks);
    this.whereabouts = new Whereabouts({
      subnets: () => network.plan.subnets,
      isNear: (address) => network.isNear(address),
      ticks,
    });
    state.restoreTokens(this.tokens);
    this.admission = new Admission({
      core,
      hosts,
      tokens: this.tokens,
      tokensChanged: () => this.tokensChanged(),
      alive: (host) => this.heard.lately(host),
      registrations: state.registrations,
      installer: (system) => installers.files(system),
      mayLoad: (host) => waves.mayLoad(host),
      keptAway: (host) => waves.keptByRelay(host),
      macAt: (address, ours) => neighbourAt(network.links, address, ours),
      contradicts: (host, macs, address) => this.whereabouts.contradicts(host, macs, address),
      authorizedKeys: [
        `${state.runKey.publicKey} nixie-run`,
        ...(config.sshKey === undefined ? [] : [config.sshKey.publicKey]),
      ],
      credentialSecret: state.tls.credentialSecret,
      fingerprint: state.tls.fingerprint,
      httpPort: world.httpPort,
      grpcPort: world.grpcPort,
      now,
      ticks,
      emit: account.emit,
    });
    const sightings = makeSightings({
      strangers: this.#strangers,
      whereabouts: this.whereabouts,
      hostOfMac,
      stageOf: (host) => core.life(host)?.stage,
      happened: (host, happening) => core.happened(host, happening),
      emit: account.emit,
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
    this.seenBehind = trails.follow(sightings);
    const relayRoutes = watchRelayRoutes({ onSeen: this.seenBehind, ticks });
    this.seen = (seen) => {
      this.seenBehind(seen);
      relayRoutes(seen);
    };
  }

  tokensChanged(): void {
    this.#world.state.tokensChanged(this.tokens);
  }

  /** Bytes of a file were sent. @param byUplink a relay was still fetching it itself */
  sent(progress: FileProgress, relay?: string, byUplink = false): void {
    const { hosts, machines, now } = this.#world;
    const { account, core, loading, trails, waves } = machines;
    trails.file(progress, relay);
    const { mac, file, sentBytes } = progress;
    const host = mac === undefined ? undefined : hosts.withMac(mac, relay);
    if (host === undefined) return;
    if (!file.endsWith('/image')) waves.sent(host, file, sentBytes, byUplink);
    if (core.life(host.name)?.stage !== 'loading') return;
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
    account.emit({ ...event, ...(paused ? { paused } : {}) });
  }

  /** Machines that asked to boot and are in no hosts file. One that was added since is none any more, nor is one that --only leaves out. */
  strangers(): readonly Stranger[] {
    const { hosts } = this.#world;
    return this.#strangers
      .all()
      .filter(({ mac, relay }) => (hosts.withMac(mac, relay) ?? this.#leftOut.withMac(mac, relay)) === undefined);
  }

  /** So many more were there, and are not remembered. */
  get strangersForgotten(): number {
    return this.#strangers.forgotten;
  }

  /** It left, or begins anew as another: nothing that it said counts any more. */
  forget(host: string): void {
    this.inventories.delete(host);
    this.checkedIn.delete(host);
    this.admission.forget(host);
  }
}
