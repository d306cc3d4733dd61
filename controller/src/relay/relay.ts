// The relay, built from top to bottom: state → cache → sockets → link. One part ends, all end; it decides nothing about machines. It is long because all
// of its parts are joined here.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { BootPlan, RelayInterface } from '@nixie/proto/relay';
import type { Scene } from '../answer/scene.ts';
import { after, sleep } from '../clock.ts';
import { makeStateDir } from '../config/state-dir.ts';
import { Answers } from '../core/answers.ts';
import { LinkChanges } from '../core/link-changes.ts';
import { makeFinder } from '../core/place.ts';
import { Warnings } from '../core/warnings.ts';
import { startBootServer } from '../listen/boot-server.ts';
import { startHttp } from '../listen/http.ts';
import type { InheritedUdp } from '../listen/inherited.ts';
import { chooseInterfaces, listInterfaces } from '../listen/interfaces.ts';
import { openPoke } from '../listen/poke.ts';
import type { Seen } from '../listen/seen.ts';
import { wake } from '../listen/wake.ts';
import { type Mac, parseMac } from '../machine/mac.ts';
import { type Endpoint, endpointText, type JoinToken } from '../machine/relay.ts';
import { type FolderOf, realProcesses, stateFolder, takeLock } from '../store/lock.ts';
import { openAgentPort } from './agent-port.ts';
import { Cache } from './cache.ts';
import { type FetchBytes, NotThere } from './fetching.ts';
import { relayKey } from './key.ts';
import { FetchFailed, type Link, type LinkDown, openLink } from './link.ts';
import { Loads } from './loads.ts';
import type { RelayEvent } from './log-line.ts';
import { makeMacAt } from './neighbours.ts';
import { NixStore } from './nix-store.ts';
import { type RelayPlan, readPlan, sceneOf } from './plan.ts';
import { Problems } from './problems.ts';
import { Provisions } from './provisions.ts';
import { Scripts } from './scripts.ts';
import { SeenBatches } from './seen-words.ts';

export const relayHttpPort = 7480;
export const relayAgentPort = 7481;

export interface RelaySettings {
  readonly endpoint: Endpoint;
  readonly token: JoinToken;
  readonly interfaces: readonly string[];
  readonly stateDir: string;
  /** Files and descriptions of store paths; they are fetched again when they are lost. May be `stateDir`. */
  readonly cacheDir: string;
  readonly cacheBytes: number;
  /** So long after the controller was heard last the installer is offered to nobody. */
  readonly planLifeMs: number;
}

export interface RelayWorld {
  readonly uid: number;
  readonly version: string;
  log(event: RelayEvent): void;
  /** All doors are open. `answers` resolves as long as DHCP and TFTP do. */
  ready(answers: () => Promise<unknown>): void;
  /** Sockets that systemd opened. Absent: all are opened here. */
  readonly inherited?: readonly InheritedUdp[];
  /** Ends it. */
  readonly signal: AbortSignal;
}

const cacheFolder = { what: 'cache folder', flag: '--cache-dir' } as const;
/** Until a plan says otherwise, milliseconds. */
const usualStatusMs = 10_000;
const addressesEveryMs = 30_000;
const mostFindMacs = 64;
/** For what was said last to leave. */
const lastWordsMs = 100;

/**
 * Serves until the signal.
 * @throws PortTaken, NoSuchInterface, NotRoot, StateTaken; Error when a part that all need has ended
 */
export async function runRelay(settings: RelaySettings, world: RelayWorld): Promise<void> {
  const { endpoint, token, stateDir, cacheDir, cacheBytes, planLifeMs } = settings;
  const { log, signal } = world;
  const now = () => Date.now();
  const ticks = () => performance.now();
  const began = ticks();
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  const closers: (() => Promise<void> | void)[] = [];
  try {
    // What this machine must have.
    const links = chooseInterfaces(listInterfaces(), { interfaces: settings.interfaces });
    const problems = new Problems((text) => log({ name: 'problem', level: 'warning', text }), ticks);
    const lock = (folder: string, of: FolderOf) => {
      makeStateDir(folder, world.uid, of);
      // Machines boot all the same; the cache clears it with the first file that it can keep.
      const full = (why: string) =>
        problems.set(
          'disk',
          `${of.what} ${folder}: ${why}; files that aren't in the cache are passed on: make room there`,
        );
      closers.push(takeLock(folder, realProcesses, of, { full }));
    };
    lock(stateDir, stateFolder);
    if (cacheDir !== stateDir) lock(cacheDir, cacheFolder);
    const key = relayKey(stateDir);
    const warnings = new Warnings((text) => log({ name: 'refused', level: 'warning', text }), ticks);

    // The cache. It reaches the controller through the link, which comes last.
    let link: Link | undefined;
    const linkCame = new EventTarget();
    /** Whoever waits for the uplink goes on as soon as it is there. */
    const sleepOrLink = async (ms: number, stop: AbortSignal) => {
      const came = new AbortController();
      const wakeUp = () => came.abort();
      linkCame.addEventListener('up', wakeUp, { once: true });
      await sleep(ms, AbortSignal.any([stop, came.signal]));
      linkCame.removeEventListener('up', wakeUp);
    };
    const fetch: FetchBytes = async function* (what, offset, stop) {
      if (link === undefined) throw new FetchFailed('link', 'fetch: there is no link yet');
      try {
        const { body } = await link.fetch(what, offset, stop);
        yield* body;
      } catch (error) {
        if (error instanceof FetchFailed && error.kind === 'absent') throw new NotThere(error.message);
        throw error;
      }
    };
    const cache = new Cache(join(cacheDir, 'cache'), cacheBytes, {
      fetch,
      sleep,
      sleepBeforeRetry: sleepOrLink,
      after,
      ticks,
      now,
      problems,
      told: (what, { sha256, bytes }) => log({ name: 'file', what, sha256, bytes }),
    });
    closers.push(() => cache.close());
    const nixStore = new NixStore(join(cacheDir, 'narinfo'), { cache, fetch, problems, after });
    closers.push(() => nixStore.close());

    // What is answered, and from what.
    let plan: RelayPlan | undefined;
    let downSince: number | undefined = ticks();
    const stale = () => downSince !== undefined && ticks() - downSince >= planLifeMs;
    const macAt = makeMacAt(links);
    const seen = new SeenBatches({
      ticks,
      now,
      after,
      say: (batch) => link?.say({ $case: 'seen', value: batch }),
    });
    const provisions = new Provisions({
      cache,
      problems,
      sleep: (ms, stop) => sleepOrLink(ms, stop),
      loadersChanged: () => answers.changed(),
    });
    closers.push(() => provisions.close());
    const loads = new Loads(ticks);
    const scripts = new Scripts({
      stale,
      loads,
      macAt,
      httpPort: relayHttpPort,
      agentPort: relayAgentPort,
      ticks,
      now,
      say: (served) => link?.say({ $case: 'script', value: served }),
      told({ mac, remoteAddress: address, localAddress: ours }, machine, verdict) {
        if (verdict === 'stranger')
          warnings.warn(
            `${address} (${macAt(address, { ours }) ?? 'no known MAC'}) asked for the boot script of ${mac}`,
          );
        else if (machine !== undefined) log({ name: 'script', machine, mac, address, verdict });
      },
    });

    // Sockets. They are silent until the first plan is here.
    signal.throwIfAborted();
    const machineOf = (mac: Mac | undefined) => (mac === undefined ? undefined : plan?.machineOfMac.get(mac));
    /** Firmware got its address of another server: only the neighbour table knows whose it is. */
    const see = (each: Seen): void => {
      const on = each.interface === undefined ? undefined : { interface: each.interface };
      const mac = each.mac ?? (each.address === undefined ? undefined : macAt(each.address, on));
      const machine = each.machine ?? machineOf(mac);
      seen.push({ ...each, ...(mac && { mac }), ...(machine !== undefined && { machine }) });
    };
    const scene = () =>
      sceneOf(plan, links, { here: new Set(provisions.loaders.keys()), stale: stale(), httpPort: relayHttpPort });
    const boot = await startBootServer({
      scene: scene(),
      loaderFiles: new Map(),
      interfaces: links,
      ...(world.inherited !== undefined && { inherited: world.inherited }),
      onSeen: see,
      onFailure: broken.reject,
      onNotice: (text) => log({ name: 'notice', text }),
    });
    closers.push(() => boot.close());
    const http = await startHttp({
      addresses: links.map(({ address }) => address),
      port: relayHttpPort,
      script: scripts.answer,
      macAt(address, ours) {
        const mac = macAt(address, { ours });
        return machineOf(mac) === undefined ? undefined : mac;
      },
      loaders: new Map(),
      nix: nixStore.door,
      onSeen: see,
      onProgress(each) {
        const mac = each.mac ?? macAt(each.remoteAddress);
        const { remoteAddress: address, file, sentBytes, totalBytes, ended } = each;
        const machine = machineOf(mac);
        if (machine !== undefined) loads.moved(machine);
        const ref = plan?.files.get(file);
        const byUplink = ref !== undefined && !cache.has(ref);
        const value = { address, file, sentBytes: BigInt(sentBytes), totalBytes: BigInt(totalBytes), ended, byUplink };
        link?.say({ $case: 'file', value: { ...value, mac: mac ?? '' } });
        if (ended) log({ name: 'served', machine, address, file, bytes: sentBytes, of: totalBytes });
      },
    });
    closers.push(() => http.close());
    const agentPort = await openAgentPort({
      links,
      port: relayAgentPort,
      macAt,
      carry: (socket, from) => {
        const machine = machineOf(parseMac(from.mac));
        if (machine !== undefined) loads.ended(machine);
        if (link === undefined) socket.resetAndDestroy();
        else link.carryMachine(socket, from);
      },
    });
    closers.push(() => agentPort.close());

    let sentLoaders: ReadonlyMap<string, Uint8Array> | undefined;
    const answers: Answers<{ scene: Scene; loaders: ReadonlyMap<string, Uint8Array> }> = new Answers(
      () => ({ scene: scene(), loaders: provisions.loaders }),
      async (next) => {
        const fresh = next.loaders !== sentLoaders;
        if (fresh) http.setLoaders(next.loaders);
        await boot.setScene(next.scene, fresh ? next.loaders : undefined);
        sentLoaders = next.loaders;
      },
      broken.reject,
    );
    let planTold: string | undefined;
    const take = (given: BootPlan): void => {
      const read = readPlan(given);
      if ('problems' in read) {
        const [first, ...more] = read.problems;
        const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
        problems.set('plan', `plan ${given.version} is refused, the earlier one holds on: ${first}${others}`);
        return;
      }
      problems.clear('plan');
      const missing = links.filter(({ name }) => !read.plan.interfaces.some((each) => each.name === name));
      if (missing.length > 0)
        problems.set('interfaces', `the plan says nothing of ${missing.map(({ name }) => name).join(', ')}`);
      else problems.clear('interfaces');
      plan = read.plan;
      const { version, machines, files } = plan;
      scripts.take(plan);
      provisions.take(plan);
      nixStore.useKey(plan.cacheKey);
      http.setFiles(
        new Map(
          [...files].map(([name, ref]) => [name, { size: ref.bytes, sha256: ref.sha256, hold: () => cache.hold(ref) }]),
        ),
      );
      answers.changed();
      const told = { machines: machines.size, files: files.size, loaders: plan.loaders.length };
      // Each link brings the plan anew.
      if (!uplink.holds('uplink') || JSON.stringify(told) !== planTold) log({ name: 'plan', version, ...told });
      planTold = JSON.stringify(told);
      void answers.current().then(
        () => link?.say({ $case: 'planTaken', value: version }),
        () => undefined,
      );
    };

    // The link.
    const uplink = new LinkChanges<RelayEvent>({
      say: (_link, event) => log(event),
      sum: (_link, { losses: lost, ms, last }) =>
        log({ ...last, level: last.level ?? 'warning', lost, seconds: Math.round(ms / 1000) }),
      ticks,
      after,
    });
    closers.push(() => uplink.close());
    let statusOff = () => {};
    const sayStatus = (everyMs: number): void => {
      const { bytes, limitBytes, files, hits, fetchedBytes } = cache.status();
      link?.say({
        $case: 'status',
        value: {
          cacheBytes: BigInt(bytes),
          cacheLimitBytes: BigInt(limitBytes),
          cacheFiles: files,
          cacheHits: BigInt(hits),
          fetchedBytes: BigInt(fetchedBytes),
          connections: link.connections,
          problems: problems.list(),
          uptimeMs: BigInt(Math.round(ticks() - began)),
          seenDropped: BigInt(seen.dropped + link.dropped),
        },
      });
      statusOff();
      statusOff = after(everyMs, () => sayStatus(everyMs));
    };
    closers.push(() => statusOff());
    let staleOff = () => {};
    closers.push(() => staleOff());
    let lastWhy: string | undefined;
    const down = ({ kind, why, wasUp }: LinkDown): void => {
      statusOff();
      if (wasUp || downSince === undefined) {
        downSince = ticks();
        staleOff();
        staleOff = after(planLifeMs + 1, () => {
          answers.changed();
          log({
            name: 'plan',
            level: 'warning',
            text: 'the controller was not heard of for too long: no machine is offered its installer',
          });
        });
      }
      if (kind !== 'closed' && (wasUp || why !== lastWhy)) {
        const level = kind === 'lost' || kind === 'unreachable' ? 'warning' : 'error';
        uplink.tell('uplink', { name: 'uplink', level, state: 'down', kind, why }, wasUp);
      }
      lastWhy = why;
    };
    const finder = makeFinder(links, ticks, { open: openPoke });
    const relayInterfaces = (): RelayInterface[] =>
      links.map(({ name, address, prefixLength, mtu }) => ({ name, address, prefixLength, mtu }));
    link = openLink({
      endpoint,
      token,
      key,
      version: world.version,
      life: randomBytes(16).toString('hex'),
      interfaces: relayInterfaces,
      random: Math.random,
      onUp({ controllerVersion, statusMs }) {
        const wasStale = stale();
        downSince = undefined;
        lastWhy = undefined;
        staleOff();
        if (wasStale) answers.changed();
        const controller = endpointText(endpoint);
        uplink.tell(
          'uplink',
          { name: 'uplink', state: 'up', controller, controller_version: controllerVersion },
          false,
        );
        linkCame.dispatchEvent(new Event('up'));
        sayStatus(statusMs > 0 ? Math.max(1000, statusMs) : usualStatusMs);
      },
      onDown: down,
      onPlan: take,
      async onFind(macs) {
        const wanted = macs.slice(0, mostFindMacs).flatMap((text) => parseMac(text) ?? []);
        return await finder.find(wanted, signal);
      },
      async onWake(text, secureOn) {
        const mac = parseMac(text);
        if (mac === undefined) return { sent: 0, failures: [`wake: found ${JSON.stringify(text)}, accepted: a MAC`] };
        const report = await wake(mac, links, { signal, ...(secureOn.length > 0 && { secureOn }) });
        log({ name: 'wake', mac, sent: report.sent, failures: report.failures.length });
        return report;
      },
    });
    closers.push(async () => {
      // Nobody comes in any more; then what was seen last goes out, then the link.
      await agentPort.close();
      await http.close();
      await boot.close();
      seen.flush();
      await sleep(lastWordsMs);
      await link?.close();
    });
    const checking = new AbortController();
    closers.push(() => checking.abort());
    void cache.check(checking.signal);

    // Sockets are bound to addresses: with another one nothing that we say would be true.
    const looking = setInterval(() => {
      const found = listInterfaces();
      for (const { name, address } of links) {
        const there = found.filter((each) => each.name === name);
        if (there.length > 0 && !there.some((each) => each.address === address))
          broken.reject(new Error(`${name} had the address ${address} and has it no more; start the relay again`));
      }
    }, addressesEveryMs);
    closers.push(() => clearInterval(looking));

    log({
      name: 'relay',
      relay: token.name,
      version: world.version,
      interfaces: links.map(({ name, address, prefixLength }) => `${name}(${address}/${prefixLength})`).join(','),
      controller: endpointText(endpoint),
      state: stateDir,
      cache: cacheDir,
      cache_limit: cacheBytes,
    });
    world.ready(() => boot.counters());
    await Promise.race([
      broken.promise,
      new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      }),
    ]);
  } finally {
    for (const close of closers.reverse()) {
      try {
        await close();
      } catch (error) {
        log({ name: 'end', level: 'warning', text: (error as Error).message });
      }
    }
  }
}
