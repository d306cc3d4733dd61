// Who is woken when: so many on their way to their install at once, the others wait without losing patience. What comes by itself is never kept away,
// and who stays silent keeps nobody waiting for long.
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import type { Life } from '../machine/life.ts';
import { usualSeconds } from '../machine/progress.ts';
import { isEnd, type Stage, type WayStep } from '../machine/stage.ts';
import { differs, planWaves, SentRate, type WavePlan, waveText } from '../machine/waves.ts';

export interface WavesWorld {
  hosts(): readonly Host[];
  life(host: string): Life | undefined;
  /** Stops the clock of a machine's stage; the result lets it begin anew. */
  hold(host: string): () => void;
  /** Seconds that each stage takes. */
  seconds(): Readonly<Record<WayStep, number>>;
  /** Bytes of the installer for this host, and of what is copied to it, as far as that is built. */
  sizes(host: Host): {
    readonly bootBytes: number;
    readonly imageBytes: number;
    readonly copyBytes: number | undefined;
  };
  /** It has booted, and goes on when it is built: it needs neither wire nor turn. Absent: all are built before. */
  waits?(host: string): boolean;
  readonly jobs: number;
  readonly loadingPatience: number;
  tell(text: string): void;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
  /** Calls back once after so many milliseconds; the result calls it off. */
  after(milliseconds: number, call: () => void): () => void;
}

/** Between the first packet and its copy. */
const onTheWay: readonly Stage[] = ['firmware', 'loading', 'registered', 'preflight', 'restarting'];
const inTurn: readonly Stage[] = ['disko', 'copy', 'install'];
const ahead: readonly Stage[] = ['planned', 'probing', 'waking', ...onTheWay, ...inTurn];
/** One that was woken and isn't heard of for so long may be switched off, or be woken by hand: the next one is woken. Milliseconds. */
const silentMs = 180_000;
const lookMs = 5000;
/** A plan that changes is told again at most so often, milliseconds. */
const tellEveryMs = 60_000;
/** Fewer are woken at once anyway. */
const fewest = 8;
/** Who may not load asks again every 15 seconds; one that hasn't for so long has gone. Milliseconds. */
const askedAgainMs = 60_000;
/** Beyond this nobody counts. */
const mostLoads = 10_000;
/** So many load at once that the wire is what limits them. */
const fullWith = 4;

interface Waiting {
  readonly host: string;
  readonly go: () => void;
}

/** Of a small server: as long as nothing is built yet. */
const usualCopyBytes = 1.5e9;

/** Machines behind one relay have a wire of their own. */
interface Group {
  readonly waiting: Waiting[];
  /** When each was woken. */
  readonly woken: Map<string, number>;
  readonly rate: SentRate;
  plan: WavePlan | undefined;
  /** As its relay was told. */
  loads: number;
  toldAt: number;
  told: WavePlan | undefined;
}

function keep(list: number[], seconds: number): void {
  list.push(seconds);
  if (list.length > 50) list.shift();
}

function middle(list: readonly number[]): number | undefined {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}

export class Waves {
  readonly #world: WavesWorld;
  readonly #groups = new Map<string, Group>();
  /** Bytes that were counted of each response or copy. */
  readonly #counted = new Map<string, number>();
  /** Those that may not load yet. */
  readonly #kept = new Map<string, { readonly release: () => void; readonly off: () => void }>();
  /** Seconds of the last turns. */
  readonly #took: number[] = [];
  /** Seconds from the first packet to a sign of life: the stage itself lasts longer for those who waited. */
  readonly #wakeTook: number[] = [];
  #alarm: (() => void) | undefined;

  constructor(world: WavesWorld) {
    this.#world = world;
  }

  /** Resolves when it may be woken, or at the signal. */
  async turn(host: Host, signal: AbortSignal): Promise<void> {
    const group = this.#groupOf(host.relay ?? '');
    this.#decide(host.relay ?? '', group);
    if (group.waiting.length === 0 && this.#room(host.relay ?? '', group) > 0) {
      group.woken.set(host.name, this.#world.ticks());
      return;
    }
    const release = this.#world.hold(host.name);
    const turn = Promise.withResolvers<void>();
    const waiting = { host: host.name, go: turn.resolve };
    group.waiting.push(waiting);
    this.#watch();
    const leave = (): void => turn.resolve();
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    await turn.promise;
    signal.removeEventListener('abort', leave);
    const place = group.waiting.indexOf(waiting);
    if (place >= 0) group.waiting.splice(place, 1);
    release();
  }

  /**
   * May it load now? Machines that were all switched on at once by hand come by themselves, and too many on one wire would all be given up. Who may
   * not is told to ask again soon, and its clock stands as long as it does.
   */
  mayLoad(host: Host): boolean {
    const { life } = this.#world;
    const relay = host.relay ?? '';
    const loading = this.#hosts(relay).filter(({ name }) => name !== host.name && life(name)?.stage === 'loading');
    if (loading.length >= this.loads(host.relay)) {
      this.#keep(host);
      return false;
    }
    const kept = this.#kept.get(host.name);
    kept?.off();
    this.#kept.delete(host.name);
    kept?.release();
    return true;
  }

  /** So many may load at once, whoever woke them. A relay counts its own, also while its uplink is down. */
  loads(relay: string | undefined): number {
    const group = this.#groupOf(relay ?? '');
    this.#decide(relay ?? '', group);
    const wanted = Math.min(mostLoads, Math.max(fewest, group.plan?.loads ?? 0));
    // A relay is sent its whole plan for a change of this.
    if (Math.abs(wanted - group.loads) > 0.25 * group.loads) group.loads = wanted;
    return relay === undefined ? wanted : group.loads;
  }

  /** By the word of its relay, which is believed while about as many load there as may: no machine's clock stands for ever. */
  keptByRelay(host: Host): void {
    const loading = this.#hosts(host.relay ?? '').filter(({ name }) => this.#world.life(name)?.stage === 'loading');
    if (2 * loading.length >= this.loads(host.relay)) this.#keep(host);
  }

  /** It was told to ask again: its clock stands as long as it does. */
  #keep(host: Host): void {
    const { hold, after } = this.#world;
    const kept = this.#kept.get(host.name);
    kept?.off();
    const release = kept?.release ?? hold(host.name);
    const off = after(askedAgainMs, () => {
      this.#kept.delete(host.name);
      release();
    });
    this.#kept.set(host.name, { release, off });
  }

  /** Runs copy and install of a machine whose turn it is, and learns how long that takes. */
  async timed(call: () => Promise<void>): Promise<void> {
    const began = this.#world.ticks();
    await call();
    keep(this.#took, (this.#world.ticks() - began) / 1000);
  }

  /** Something has happened to a machine: there may be room for another one. */
  moved(): void {
    for (const [relay, group] of this.#groups) {
      for (const [host, since] of group.woken) {
        const stage = this.#world.life(host)?.stage;
        if (stage === 'waking') continue;
        group.woken.delete(host);
        if (stage !== undefined && !isEnd(stage)) keep(this.#wakeTook, (this.#world.ticks() - since) / 1000);
      }
      if (group.waiting.length === 0) continue;
      this.#decide(relay, group);
      for (let room = this.#room(relay, group); room > 0; room--) {
        const next = group.waiting.shift();
        if (next === undefined) break;
        group.woken.set(next.host, this.#world.ticks());
        next.go();
      }
    }
  }

  /**
   * Bytes of one response, so far. Not those of an image, which machines get from each other.
   * @param byUplink its relay was still fetching it: that shows nothing of the wire between relay and machines
   */
  sent(host: Host, response: string, bytes: number, byUplink = false): void {
    this.#add(host, `${host.name} ${response}`, bytes, !byUplink);
  }

  /** Copies use the same wire; behind a relay the first of each path came by another. */
  see(event: RunEvent): void {
    if (event.event !== 'progress' || event.stage !== 'copy' || event.done_bytes === undefined) return;
    const host = this.#world.hosts().find(({ name }) => name === event.host);
    if (host !== undefined) this.#add(host, `${event.host} copy`, event.done_bytes, host.relay === undefined);
  }

  close(): void {
    for (const { off } of this.#kept.values()) off();
    this.#kept.clear();
    this.#alarm?.();
    this.#alarm = undefined;
  }

  #add(host: Host, key: string, bytes: number, counts: boolean): void {
    const before = this.#counted.get(key) ?? 0;
    this.#counted.set(key, bytes);
    if (this.#counted.size > 20_000) this.#counted.delete(this.#counted.keys().next().value!);
    if (!counts) return;
    const using = this.#world.hosts().filter(({ name, relay }) => {
      const stage = this.#world.life(name)?.stage;
      return relay === host.relay && (stage === 'loading' || stage === 'copy');
    });
    // A response that begins anew counts from nothing.
    const more = bytes >= before ? bytes - before : bytes;
    this.#groupOf(host.relay ?? '').rate.add(more, this.#world.ticks(), using.length >= fullWith);
  }

  #groupOf(relay: string): Group {
    const known = this.#groups.get(relay);
    if (known !== undefined) return known;
    const fresh: Group = {
      waiting: [],
      woken: new Map(),
      rate: new SentRate(),
      plan: undefined,
      loads: 0,
      toldAt: Number.NEGATIVE_INFINITY,
      told: undefined,
    };
    this.#groups.set(relay, fresh);
    return fresh;
  }

  #room(relay: string, { plan, woken }: Group): number {
    const now = this.#world.ticks();
    const used = this.#hosts(relay).filter(({ name }) => {
      const stage = this.#world.life(name)?.stage;
      if (stage === 'waking') return now - (woken.get(name) ?? Number.NEGATIVE_INFINITY) < silentMs;
      return stage !== undefined && onTheWay.includes(stage) && this.#world.waits?.(name) !== true;
    });
    // Those that wait for their copy are there in time already.
    const installing = this.#hosts(relay).filter(({ name }) =>
      inTurn.includes(this.#world.life(name)?.stage ?? 'planned'),
    );
    return (plan?.size ?? 1) - used.length - Math.max(0, installing.length - this.#world.jobs);
  }

  #hosts(relay: string): readonly Host[] {
    return this.#world.hosts().filter((host) => (host.relay ?? '') === relay);
  }

  #decide(relay: string, group: Group): void {
    const { life, sizes, seconds, jobs, loadingPatience, ticks, tell } = this.#world;
    const hosts = this.#hosts(relay).filter(({ name }) => {
      const stage = life(name)?.stage;
      return stage !== undefined && ahead.includes(stage);
    });
    const all = hosts.map((host) => sizes(host));
    const mean = (of: (each: (typeof all)[number]) => number | undefined): number => {
      const known = all.flatMap((each) => of(each) ?? []);
      return known.reduce((sum, each) => sum + each, 0) / Math.max(1, known.length);
    };
    const plan = planWaves({
      machines: Math.max(1, hosts.length),
      bootBytes: mean(({ bootBytes }) => bootBytes),
      imageBytes: mean(({ imageBytes }) => imageBytes),
      copyBytes: mean(({ copyBytes }) => copyBytes) || usualCopyBytes,
      uplink: group.rate.most,
      jobs,
      seconds: { ...seconds(), waking: middle(this.#wakeTook) ?? usualSeconds.waking },
      turnSeconds: middle(this.#took),
      loadingPatience,
    });
    const rightSize = { ...plan, size: Math.max(plan.size, fewest) };
    // Its size doesn't follow every breath of the wire.
    const steady = group.plan !== undefined && !differs({ ...group.plan, seconds: rightSize.seconds }, rightSize);
    group.plan = steady ? { ...rightSize, size: group.plan?.size ?? rightSize.size } : rightSize;
    // Near its end a run has smaller waves only because few are left.
    if (hosts.length <= group.plan.size && group.told === undefined) return;
    if (group.waiting.length === 0 && group.told !== undefined) return;
    const since = (ticks() - group.toldAt) / 1000;
    // That time has passed since is no news.
    const told = group.told && { ...group.told, seconds: Math.max(0, group.told.seconds - since) };
    if (told !== undefined && (!differs(told, group.plan) || since * 1000 < tellEveryMs)) return;
    const which = relay === '' ? '' : ` behind ${relay}`;
    const text = waveText(hosts.length, { ...group.plan, waves: Math.ceil(hosts.length / group.plan.size) });
    tell(`${group.told === undefined ? '' : 'now '}${text}${which}`);
    group.told = group.plan;
    group.toldAt = ticks();
  }

  /** Time alone makes room: a machine that stays silent. */
  #watch(): void {
    this.#alarm ??= this.#world.after(lookMs, () => {
      this.#alarm = undefined;
      this.moved();
      if ([...this.#groups.values()].some(({ waiting }) => waiting.length > 0)) this.#watch();
    });
  }
}
