// What the tasks of a run are done with: each thing that `TaskWorld` asks for, out of the parts of the run that have it.
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Arrivals } from './arrivals.ts';
import { sleep } from './clock.ts';
import { type RecordedPlaces, readRecorded, recordedFile } from './config/recorded-inventory.ts';
import type { RunConfig } from './config/run-config.ts';
import { CacheOffers } from './core/cache-offer.ts';
import type { Recorded } from './core/hardware-check.ts';
import type { Hosts } from './core/hosts.ts';
import { Logins } from './core/logins.ts';
import { type Finder, makeFinder, makeLookup } from './core/place.ts';
import type { AgentLink, TaskWorld } from './core/task-world.ts';
import { makeTurns } from './core/turns.ts';
import type { OpenDoors } from './doors.ts';
import type { Keygen } from './install/keys.ts';
import { nixEnvironment } from './install/plan.ts';
import { Secrets } from './install/secrets.ts';
import type { Lifetime } from './lifetime.ts';
import type { LinkInterface } from './listen/interfaces.ts';
import { openPoke } from './listen/poke.ts';
import { wake } from './listen/wake.ts';
import type { Host } from './machine/host.ts';
import type { Mac } from './machine/mac.ts';
import type { Machines } from './machines.ts';
import { callerOf, type Rights } from './nix/runner.ts';
import type { Programs } from './programs.ts';
import type { RunNetwork } from './run-network.ts';
import type { RunState } from './state.ts';
import { cardMacs } from './store/registrations.ts';

export interface RunTasksWorld {
  readonly config: RecordedPlaces & Pick<RunConfig, 'jobs' | 'sshKey' | 'stateDir' | 'strictHardware'>;
  /** It is a service: what it installed in an earlier life is not installed again. */
  readonly endless: boolean;
  readonly hosts: Hosts;
  readonly state: Pick<
    RunState,
    'begun' | 'folder' | 'hardware' | 'lastAddresses' | 'marks' | 'proofKey' | 'registrations' | 'runKey'
  >;
  readonly network: Pick<RunNetwork<LinkInterface>, 'leased' | 'links' | 'own' | 'wakePlaces'>;
  readonly machines: Machines;
  readonly arrivals: Pick<Arrivals, 'admission' | 'checkedIn' | 'heard' | 'inventories' | 'tokens' | 'whereabouts'>;
  readonly doors: Pick<OpenDoors, 'agents' | 'cache' | 'relays'>;
  readonly lifetime: Pick<Lifetime, 'opened'>;
  readonly programs: Programs;
  readonly keygen: Keygen;
  readonly rights: Pick<Rights, 'as'>;
  /** Of children. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where secrets are read from. */
  readonly secretsFrom: {
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly uid: number;
    /** What the operator typed, by `secretName`. */
    readonly prompted: ReadonlyMap<string, Buffer>;
  };
  readonly httpPort: number;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

/** Machines that are looked at while they are woken. */
const looksAtOnce = 16;
/** Between two looks whether an agent has come. Milliseconds. */
const agentLookMs = 100;

export function makeTaskWorld(world: RunTasksWorld): TaskWorld {
  const { config, endless, state, network, machines, arrivals, doors, programs, rights, env, now, ticks } = world;
  const { account, answers, consent, core, patience, plans, redactor, trails, waves } = machines;
  const { admission, inventories, tokens } = arrivals;
  const { relays } = doors.relays;
  const copies = makeTurns(config.jobs, (host) => core.hold(host));
  const logins = new Logins();
  world.lifetime.opened(() => logins.closeAll());
  return {
    plans,
    logins,
    whenBuilt: (host, signal) => plans.whenBuilt(host, signal),
    buildFailed: (host) => plans.failed(host),
    finder: finderOf(world),
    relays: doors.relays.way,
    agents: agentLink(world),
    leased: leasesOf(world),
    provedBefore: (host) => state.lastAddresses.get(host),
    cardsOf: (host) => cardMacs(state.registrations.get(host)),
    lookup: makeLookup({ own: network.own }),
    keysFor: (bootId) => admission.keysFor(bootId),
    keysGiven: (bootId) => admission.keysGiven(bootId),
    marks: state.marks,
    begun: state.begun,
    looks: new Map(),
    inventory: (host) => inventories.get(host),
    keepInventory: (host, inventory) => inventories.set(host, inventory),
    fullInventory: (host) => state.hardware.inventory(host),
    installerKey: (host) => state.registrations.get(host)?.sshHostKey,
    tell: (host, happening) =>
      core.happened(
        host,
        'reason' in happening ? { ...happening, reason: redactor.text(happening.reason) } : happening,
      ),
    emit: account.emit,
    now,
    sleep,
    recorded: async (host) => recordedOf(host, config),
    strictHardware: config.strictHardware,
    wake: wakerOf(world),
    inTurn: (call, host, signal) => copies(() => waves.timed(call), host, signal),
    wakeInTurn: (host, signal) => waves.turn(host, signal),
    lookInTurn: makeTurns(looksAtOnce, () => () => {}),
    expects: (host) => tokens.expects(host, ticks()),
    mayLoseData: (host) => consent.mayLoseData(host),
    consentIsUsedUp: (host) => consent.isUsedUp(host),
    consentUsed: (host) => consent.use(host),
    asksFirst: endless,
    runKey: state.runKey,
    proofKey: state.proofKey,
    proofFolder: state.folder.path,
    keygen: world.keygen,
    identities: [state.proofKey.privateFile, ...(config.sshKey?.kind === 'private' ? [config.sshKey.path] : [])],
    ...(env.SSH_AUTH_SOCK !== undefined && { agentSocket: env.SSH_AUTH_SOCK }),
    stateDir: config.stateDir,
    secrets: secretsOf(world),
    ...(rights.as !== undefined && { childUser: rights.as }),
    ...(doors.cache !== undefined && {
      cache: new CacheOffers({ port: world.httpPort, path: '/nix', publicKey: doors.cache.paths.publicKey }),
    }),
    cacheUnused: (host, why) => trails.cacheUnused(host, why),
    nixosAnywhere: programs.nixosAnywhere,
    realSsh: programs.ssh,
    searchPath: env.PATH ?? '',
    nixEnv: nixEnvironment(env),
    proofPatienceMs: Math.max(10, patience.proving - 5) * 1000,
    answersCurrent: (host, signal) =>
      host.relay === undefined ? answers.current() : relays.current(host.relay, signal),
  };
}

/** On our own networks we look for ourselves. */
function finderOf({ network, doors, ticks }: RunTasksWorld): Finder {
  const near = makeFinder(network.links, ticks, { open: openPoke });
  return {
    ...near,
    find: (macs, signal, relay) =>
      relay === undefined ? near.find(macs, signal) : doors.relays.relays.find(relay, macs),
  };
}

function agentLink({ arrivals: { heard }, doors, ticks }: RunTasksWorld): AgentLink {
  return {
    async connected(host, deadlineMs, signal, bootId) {
      const there = () => heard.bootOf(host) !== undefined && (bootId === undefined || heard.bootOf(host) === bootId);
      for (const until = ticks() + deadlineMs; !there(); await sleep(agentLookMs, signal)) {
        if (signal.aborted) throw new Error('called off');
        if (ticks() > until) throw new Error('its agent registered but opened no session');
      }
    },
    session: (host) => heard.session(host),
    async instruct(host, action, deadlineMs) {
      const result = await doors.agents.instruct(host, action, deadlineMs);
      if (result.ok && (action.$case === 'reboot' || action.$case === 'powerOff')) heard.leaves(host);
      return result;
    },
  };
}

/** Of the installed system, where it checked in; what it took beyond a router, as its relay told; and what we gave. */
function leasesOf({ network, machines, arrivals }: RunTasksWorld): TaskWorld['leased'] {
  const { checkedIn, whereabouts } = arrivals;
  return (macs, relay) => [
    ...macs.flatMap((mac) => checkedIn.get(machines.hostOfMac.get(mac, relay) ?? '') ?? []),
    ...(relay === undefined ? whereabouts.beyond(macs) : []),
    ...macs.flatMap((mac) => [...network.leased(mac, relay), ...(relay === undefined ? whereabouts.leased(mac) : [])]),
  ];
}

/** Magic packets: ours, or those of the relay that it is behind. */
function wakerOf({ hosts, network, machines: { warnings }, doors }: RunTasksWorld): TaskWorld['wake'] {
  return async (macs, signal, relay) => {
    if (relay !== undefined) {
      const { sent, failures } = await doors.relays.relays.wake(relay, macs);
      for (const failure of failures) warnings.warn(failure);
      return sent;
    }
    const places = network.wakePlaces(macs[0] && hosts.withMac(macs[0]));
    const options = { signal, beyond: places.beyond };
    const reports = await Promise.all(macs.map((mac: Mac) => wake(mac, places.links, options)));
    for (const failure of reports.flatMap((report) => report.failures)) warnings.warn(failure);
    return reports.reduce((sum, report) => sum + report.sent, 0);
  };
}

/** What was recorded of its hardware, read in this moment. */
function recordedOf(host: Host, places: RecordedPlaces): Recorded | undefined {
  const found = recordedFile(host, places);
  if (found === undefined) return undefined;
  try {
    return { file: found.file, inventory: readRecorded(found.file, readFileSync) };
  } catch (error) {
    if (found.optional && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function secretsOf({ config, machines: { account, redactor }, secretsFrom }: RunTasksWorld): Secrets {
  const { env, uid, prompted } = secretsFrom;
  const as = uid === 0 ? callerOf(env) : undefined;
  return new Secrets({
    folder: dirname(config.hostsFile),
    env,
    ...(as !== undefined && { as }),
    prompted,
    redactor,
    warn: (host, text) => account.notice('warning', text, host),
  });
}
