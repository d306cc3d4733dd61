// The part of a controller that is there for relays: who may join, the door, what each is told, and what comes back. Nothing of it is open as long as
// no relay has a token.
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RelayState } from '@nixie/proto/operator';
import type { PlanLoader } from '@nixie/proto/relay';
import { after } from './clock.ts';
import type { Admission } from './core/admission.ts';
import type { Hosts } from './core/hosts.ts';
import { LinkChanges } from './core/link-changes.ts';
import type { NetworkPlan } from './core/network.ts';
import { RelayPatience } from './core/relay-patience.ts';
import { makeRelayPlan } from './core/relay-plan.ts';
import { stockOfEach, TokenStock } from './core/relay-stock.ts';
import type { RelayWay } from './core/relay-way.ts';
import { type RelayLink, Relays } from './core/relays.ts';
import { proxyOption, proxyText } from './install/relay-proxy.ts';
import type { FileProgress } from './listen/http.ts';
import type { StoreDoor } from './listen/http-nix.ts';
import type { FoundLoaders } from './listen/loaders.ts';
import { cleanLine } from './listen/log-line.ts';
import { Places } from './listen/relay-carry.ts';
import { fetchable, sha256Of } from './listen/relay-files.ts';
import { readFileServed, readRelaySeen } from './listen/relay-seen.ts';
import type { RelaySession, RelayWord } from './listen/relay-session.ts';
import { type RelayDoor, startRelayDoor } from './listen/relays.ts';
import type { Seen } from './listen/seen.ts';
import { startSshDoor } from './listen/ssh-door.ts';
import type { System } from './machine/host.ts';
import { type Life, offerIn } from './machine/life.ts';
import { type Endpoint, type Place, relayPort } from './machine/relay.ts';
import type { TokenBook } from './machine/token.ts';
import type { PathTable } from './nix/binary-cache.ts';
import type { Installer } from './nix/types.ts';
import { RelayShelf, type RelayVerdict, secretHashOf } from './store/relays.ts';
import type { ControllerTls } from './store/tls.ts';

export interface RelayPartWorld {
  readonly stateDir: string;
  readonly tls: ControllerTls;
  readonly version: string;
  /** Where relays connect to. Absent: at all of `own`. */
  readonly listen?: Endpoint;
  /** Our own addresses on the networks of machines. */
  readonly own: readonly string[];
  readonly httpPort: number;
  readonly agentPort: number;
  readonly hosts: Hosts;
  life(host: string): Life | undefined;
  alive(host: string): boolean;
  readonly installers: ReadonlyMap<System, Installer>;
  readonly loaders: FoundLoaders;
  network(): NetworkPlan;
  readonly tokens: TokenBook;
  tokensChanged(): void;
  readonly admission: Pick<Admission, 'scriptServed'>;
  /** So many machines may load at once behind a relay. */
  loads(relay: string): number;
  /** Absent: there is none. */
  readonly cache?: {
    readonly paths: PathTable & { readonly publicKey: string };
    readonly door: Pick<StoreDoor, 'behalfOf'>;
  };
  /** Private folder for what ssh needs to go by a relay; `childUser` may enter it. */
  readonly folder: string;
  /** Whom ssh runs as. Absent: as ourselves. */
  readonly childUser?: { readonly uid: number; readonly gid: number };
  /** node by absolute path, which `childUser` may start. */
  readonly node: string;
  onSeen(seen: Seen): void;
  onProgress(progress: FileProgress, relay: string, byUplink: boolean): void;
  /** How things stand with the relay of a host, when that has changed. */
  onState(host: string, state: 'up' | 'away' | 'refused' | 'no-plan', detail: string): void;
  notice(level: 'info' | 'warning', text: string): void;
  /** What strangers can cause as often as they like. */
  warn(text: string, key: string): void;
  /** For tests: how often is looked at what no event tells. */
  readonly lookMs?: number;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

export interface RelayPart {
  readonly relays: Relays;
  /** Where a peer of the agent door is. */
  placeOf(peer: string): Place;
  /** Relays may come from now on. @param loopback opens the agent door for what they carry; its port */
  open(loopback: () => Promise<number>): Promise<void>;
  /** Something was decided that may change what relays answer. */
  changed(): void;
  /** How tasks reach machines behind relays. */
  readonly way: RelayWay;
  /** See `CoreWorld`. */
  overdue(host: string, since: number): 'wait' | { readonly reason: string } | undefined;
  /** For the operator: relays that may join, that hosts name, or that were heard of. */
  states(): readonly RelayState[];
  close(): Promise<void>;
}

/** A plan is taken within this time, or something is wrong at the relay. Milliseconds. */
const untakenMs = 30_000;
/** Whoever may open our socket reaches this of machines, and nothing else. */
const sshPort = 22;
/** Of a relay, that the operator is shown. */
const mostProblems = 16;

const refusals: Readonly<Record<Exclude<RelayVerdict, 'ok'>, string>> = {
  unknown: 'no token was made for that name; to make one: nixie relay-token',
  'wrong-secret': 'its token is an older one, or none of ours; only the newest of a name is good',
  revoked: 'its token was revoked',
  'other-key': 'its token was used by another relay before: was it copied? A new one is made by nixie relay-token',
};

/** How often is looked at what no event tells: tokens that grow old, agents that fall silent, the first token of a relay. Milliseconds. */
const lookMs = 2000;

export function makeRelayPart(world: RelayPartWorld): RelayPart {
  const { hosts, tokens, stateDir, tls, ticks } = world;
  const places = new Places();
  const stock = new TokenStock({ tokens, changed: () => world.tokensChanged(), ticks });
  const loaders = planLoaders(world.loaders);
  const shelf = new RelayShelf(stateDir, (text) => world.notice('warning', text));
  let door: RelayDoor | undefined;
  let loopbackPort: number | undefined;
  let off = () => {};
  let closed = false;
  /** Of each host: how things stand with its relay. */
  const told = new Map<string, string>();
  const sshSocket = join(world.folder, 'relay.sock');
  const proxyFile = join(world.folder, 'relay-proxy.mjs');
  let sshDoor: Awaited<ReturnType<typeof startSshDoor>> | undefined;

  const linkChanges = new LinkChanges<{ readonly level: 'info' | 'warning'; readonly text: string }>({
    say: (_name, { level, text }) => world.notice(level, text),
    sum: (name, { losses, ms, last }) =>
      world.notice(
        'warning',
        `relay ${name} keeps coming and going: its link was lost ${losses} more times in ${Math.round(ms / 1000)} s; now: ${last.text}`,
      ),
    ticks,
    after,
  });
  const relays = new Relays({
    plan: (relay, { interfaces }: RelayLink) => {
      const each = stockOfEach(
        hosts.all().reduce((sum, host) => sum + (host.relay === undefined ? 0 : host.macs.length), 0),
      );
      return makeRelayPlan({
        relay,
        interfaces,
        hosts: hosts.all(),
        life: (host) => world.life(host),
        leaving: (host) => hosts.isLeaving(host),
        alive: (host) => world.alive(host),
        installers: world.installers,
        loaders,
        tokens: (host, mac) => stock.of(host, mac, each),
        subnets: world.network().subnets,
        fingerprint: tls.fingerprint,
        httpPort: world.httpPort,
        agentPort: world.agentPort,
        cacheKey: world.cache?.paths.publicKey ?? '',
        loads: world.loads(relay),
      });
    },
    firstVersion: BigInt(Math.round(world.now())),
    ticks,
    after,
    onUp: (name, { peer, version }) => {
      const mine = hosts.all().filter(({ relay }) => relay === name).length;
      const none = mine === 0 ? `; no host has "relay": "${name}", so it has nothing to answer` : '';
      const text = `relay ${name} is connected from ${peer} (${version})${none}`;
      linkChanges.tell(name, { level: mine === 0 ? 'warning' : 'info', text }, false);
    },
    onDown(name, why) {
      const text = `relay ${name} is gone: ${why}; its machines are answered on by what it knows`;
      linkChanges.tell(name, { level: 'warning', text }, true);
    },
  });

  const waits = new RelayPatience({ relays, life: (host) => world.life(host), ticks });
  const owns = (relay: string) => (host: string) => hosts.named(host)?.relay === relay;
  const word = ({ name }: RelaySession, said: RelayWord): void => {
    switch (said.$case) {
      case 'planTaken':
        relays.planTaken(name, said.value);
        break;
      case 'status':
        relays.status(name, said.value);
        break;
      case 'script':
        world.admission.scriptServed(name, said.value);
        relays.changed();
        break;
      case 'seen':
        for (const one of said.value.seen) {
          const seen = readRelaySeen(one, name, owns(name), world.now());
          if (seen !== undefined) world.onSeen(seen);
        }
        break;
      case 'file': {
        const progress = readFileServed(said.value);
        if (progress !== undefined) world.onProgress(progress, name, said.value.byUplink);
      }
    }
  };

  const openSsh = async (): Promise<void> => {
    const owner = world.childUser;
    writeFileSync(proxyFile, proxyText, { mode: 0o400 });
    if (owner !== undefined) chownSync(proxyFile, owner.uid, owner.gid);
    sshDoor = await startSshDoor({
      path: sshSocket,
      ...(owner !== undefined && { owner }),
      async connect(relay, address, port, accepted) {
        const session = door?.link(relay);
        if (door === undefined || session === undefined) throw new Error(`relay ${relay} is not connected`);
        if (port !== sshPort)
          throw new Error(`port ${port} of machines is not reached by relays; accepted: ${sshPort}`);
        await door.carry.connect(session, { address, port }, accepted);
      },
    });
  };

  const openDoor = async (): Promise<void> => {
    const { listen } = world;
    door = await startRelayDoor({
      addresses: listen === undefined ? world.own : [listen.host],
      port: listen?.port ?? relayPort,
      tls,
      version: world.version,
      places,
      agentPort: () => loopbackPort,
      ticks,
      fetch: (relay, what) => fetchable(world, relay, what),
      desk: {
        admit(name, secret, key) {
          const verdict = shelf.admit(name, secret, key);
          return verdict === 'ok' ? 'ok' : { why: refusals[verdict] };
        },
        isRevoked(session) {
          shelf.refresh();
          return !shelf.holds(session.name, secretHashOf(session.secret));
        },
        up: (session) => relays.up(session),
        down: ({ name }, why) => relays.down(name, why),
        word,
        refused(name, peer, why) {
          const shown = JSON.stringify(name);
          const at = peer.replace(/:\d+$/, '');
          const known = shelf.names().includes(name) || hosts.all().some(({ relay }) => relay === name);
          if (known) relays.refused(name, why);
          world.warn(`a relay that calls itself ${shown} was refused (${at}): ${why}`, `relay ${shown} ${at} ${why}`);
        },
        odd: (about, what) => world.warn(`relay ${about}: ${what}`, `relay ${about} ${what}`),
      },
    });
    world.notice('info', `relays may connect to ${door.bound.join(', ')}`);
  };

  const needed = () => {
    shelf.refresh();
    return shelf.names().length > 0 || hosts.all().some(({ relay }) => relay !== undefined);
  };
  const look = () => {
    for (const { name, relay } of hosts.all()) {
      const stage = world.life(name)?.stage;
      if (relay !== undefined && (stage === undefined || offerIn(stage) !== 'installer')) stock.drop(name);
    }
    relays.changed();
    for (const { name, relay } of hosts.all()) {
      const [state, detail] = relay === undefined ? (['up', ''] as const) : stateOf(relay);
      const before = told.get(name) ?? '';
      const now = relay === undefined ? '' : `${relay} ${state}`;
      if (now === before) continue;
      told.set(name, now);
      if (relay !== undefined) world.onState(name, state, detail);
    }
    for (const name of told.keys()) {
      if (hosts.named(name) !== undefined) continue;
      told.delete(name);
      waits.forget(name);
    }
  };
  const stateOf = (relay: string) => {
    const { link, why, refused, untakenSince, status } = relays.view(relay);
    if (link === undefined && refused === true) return ['refused', `relay ${relay} was refused: ${why}`] as const;
    if (link === undefined)
      return ['away', `relay ${relay} is not connected${why === undefined ? '' : `: ${why}`}`] as const;
    if (untakenSince === undefined || ticks() - untakenSince < untakenMs)
      return ['up', `relay ${relay} is connected`] as const;
    const problem = status?.problems.map((each) => cleanLine(each, 256)).join('; ');
    return ['no-plan', `relay ${relay} has not taken its plan${problem ? `: ${problem}` : ''}`] as const;
  };

  return {
    relays,
    placeOf: (peer) => places.of(peer),
    async open(loopback) {
      const begin = async () => {
        loopbackPort ??= await loopback();
        if (sshDoor === undefined) await openSsh();
        await openDoor();
      };
      if (needed()) await begin();
      let opening = false;
      const beat = setInterval(() => {
        if (door !== undefined) return look();
        if (opening || closed || !needed()) return;
        opening = true;
        begin()
          .catch((error: Error) => world.warn(error.message, error.message))
          .finally(() => {
            opening = false;
          });
      }, world.lookMs ?? lookMs);
      off = () => clearInterval(beat);
    },
    changed: () => relays.changed(),
    way: {
      whenUp: (relay, signal) => relays.whenUp(relay, signal),
      cutSince: (relay, since) => relays.cutSince(relay, since),
      isSilent: (relay) => relays.isSilent(relay),
      ticks,
      sshOptions: (relay) => [proxyOption({ node: world.node, file: proxyFile, socket: sshSocket, relay })],
    },
    overdue(host, since) {
      const relay = hosts.named(host)?.relay;
      return relay === undefined ? undefined : waits.overdue(host, relay, since);
    },
    states() {
      const tokens = new Set(shelf.names());
      const named = new Map<string, number>();
      for (const { relay } of hosts.all()) if (relay !== undefined) named.set(relay, (named.get(relay) ?? 0) + 1);
      return [...new Set([...tokens, ...named.keys(), ...relays.names()])].sort().map((name) => {
        const { link, why, since, status, current } = relays.view(name);
        const session = door?.link(name);
        return {
          name,
          why,
          sinceUnixMs: since === undefined ? undefined : BigInt(Math.round(world.now() - (ticks() - since))),
          hasToken: tokens.has(name),
          hosts: named.get(name) ?? 0,
          current,
          link: link && {
            version: link.version,
            peer: link.peer,
            connections: session === undefined ? 0 : (door?.carry.count(session) ?? 0),
            cacheBytes: status?.cacheBytes ?? 0n,
            cacheLimitBytes: status?.cacheLimitBytes ?? 0n,
            cacheFiles: status?.cacheFiles ?? 0,
            cacheHits: status?.cacheHits ?? 0n,
            fetchedBytes: status?.fetchedBytes ?? 0n,
            seenDropped: (status?.seenDropped ?? 0n) + BigInt(session?.dropped ?? 0),
            problems: (status?.problems ?? []).slice(0, mostProblems).map((each) => cleanLine(each, 256)),
          },
        };
      });
    },
    async close() {
      closed = true;
      off();
      relays.close();
      linkChanges.close();
      await sshDoor?.close();
      await door?.close();
    },
  };
}

function planLoaders({ loaders, files }: FoundLoaders): PlanLoader[] {
  return Object.entries(loaders).flatMap(([firmware, name]) => {
    const bytes = files.get(name);
    return bytes === undefined
      ? []
      : [{ firmware, name, file: { sha256: sha256Of(bytes), bytes: BigInt(bytes.length) } }];
  });
}
