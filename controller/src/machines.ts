// The machines of a run: the core that moves them, what is told of them, who is woken when, and what firmware is answered thereupon. Each of these
// asks the others, so they are put together in one place. Doors are asked also before they open; who works on machines comes with `begin`.
import type { Loaders, Scene } from './answer/scene.ts';
import { after } from './clock.ts';
import type { RunConfig } from './config/run-config.ts';
import { Account } from './core/account.ts';
import { Answers } from './core/answers.ts';
import { Consent } from './core/consent.ts';
import { Core, type CoreWorld } from './core/core.ts';
import type { Hosts } from './core/hosts.ts';
import { Loading } from './core/loading.ts';
import { Plans } from './core/plans.ts';
import { makeScene } from './core/scene.ts';
import { runTask, type TaskWorld } from './core/tasks.ts';
import { Warnings } from './core/warnings.ts';
import { Waves } from './core/waves.ts';
import type { Doors } from './doors.ts';
import { makeRedactor } from './install/redact.ts';
import type { Lifetime } from './lifetime.ts';
import type { RunEvent } from './machine/event.ts';
import { type Patience, patience as usualPatience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import { isEnd } from './machine/stage.ts';
import type { Roster } from './roster.ts';
import type { RunNetwork } from './run-network.ts';
import type { RunState } from './state.ts';
import { addKnownHost, knownAs } from './store/known-hosts.ts';
import type { LogFiles } from './store/log-files.ts';
import { type HostOfMac, Trails } from './trails.ts';

export interface MachinesWorld {
  readonly config: Pick<RunConfig, 'jobs' | 'knownHosts' | 'patience' | 'reinstall'>;
  /** It is a service: it goes on when every machine has ended. */
  readonly endless: boolean;
  readonly hosts: Hosts;
  readonly state: Pick<RunState, 'consents' | 'journal' | 'lastAddresses' | 'marks'>;
  readonly network: Pick<RunNetwork, 'plan'>;
  readonly loaders: Loaders;
  readonly httpPort: number;
  /** They open later. */
  readonly doors: Pick<Doors, 'setScene' | 'hasSession' | 'silenceOf' | 'relaysMayChange' | 'overdue'>;
  readonly lifetime: Pick<Lifetime, 'opened' | 'broke' | 'until' | 'stopped' | 'signal'>;
  readonly logFiles: LogFiles | undefined;
  /** The view. */
  show(event: RunEvent): void;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

/** Who does something when machines move. */
export interface Workers {
  /** What the tasks of the stages are done with. */
  readonly tasks: TaskWorld;
  /** Of a service: it may have waited for one to end. */
  readonly roster: Pick<Roster, 'moved'> | undefined;
}

/** Between two looks at what time alone moves, milliseconds. */
const tickMs = 1000;
/** What the last tasks of a run may take, milliseconds. */
const settleMs = 15_000;

export class Machines {
  readonly core: Core;
  readonly account: Account;
  readonly plans: Plans;
  readonly waves: Waves;
  readonly answers: Answers<Scene>;
  readonly consent: Consent;
  readonly trails: Trails;
  readonly loading = new Loading();
  readonly redactor = makeRedactor();
  readonly warnings: Warnings;
  readonly patience: Patience;
  readonly hostOfMac: HostOfMac;
  readonly #world: MachinesWorld;
  #workers: Workers | undefined;
  #ended = Promise.withResolvers<void>();

  constructor(world: MachinesWorld) {
    const { config, endless, hosts, state, lifetime, now, ticks } = world;
    this.#world = world;
    this.patience = { ...usualPatience, ...config.patience };
    this.hostOfMac = { get: (mac: Mac, relay?: string) => hosts.withMac(mac, relay)?.name };
    const warn = (text: string, host?: string): void => this.account.notice('warning', text, host);
    this.warnings = new Warnings(warn, ticks);
    this.plans = new Plans({ waits: (host) => this.#waitsForBuild(host) });
    this.consent = new Consent({ consents: state.consents, reinstall: config.reinstall, endless, warn });
    this.trails = new Trails({ hostOfMac: this.hostOfMac, journal: state.journal, now });
    this.account = new Account({
      hosts,
      life: (host) => this.core.life(host),
      toplevel: (host) => (this.plans.failed(host) ? undefined : this.plans.get(host)?.system.toplevel.out),
      agentConnected: (host) => world.doors.hasSession(host),
      show: (event) => this.#show(event),
      proved: (host, address, key) => this.#proved(host, address, key),
      unseen: (host) => this.#unseen(host),
      redactor: this.redactor,
      logFiles: world.logFiles,
      now,
      ticks,
    });
    const beat = setInterval(() => this.account.tick(), tickMs);
    lifetime.opened(() => clearInterval(beat));
    this.waves = new Waves({
      hosts: () => hosts.all(),
      life: (host) => this.core.life(host),
      hold: (host) => this.core.hold(host),
      seconds: () => this.account.seconds(),
      sizes: (host) => ({
        ...this.loading.sizes(host.system),
        copyBytes: this.plans.get(host.name)?.closure?.bytes,
      }),
      waits: (host) => this.plans.waits(host),
      jobs: config.jobs,
      loadingPatience: this.patience.loading,
      tell: (text) => this.account.notice('info', text),
      ticks,
      after,
    });
    lifetime.opened(() => this.waves.close());
    this.answers = new Answers(
      () => this.scene(),
      (scene) => world.doors.setScene(scene),
      lifetime.broke,
    );
    this.core = new Core(
      {
        now,
        ticks,
        after,
        journal: state.journal,
        emit: (event) => this.#moved(event),
        run: (...task) => this.#work(...task),
        changed: () => this.#changed(),
        overdue: (host, since) => world.doors.overdue(host, since),
        rested: () => this.#workers?.roster?.moved(),
      },
      this.patience,
    );
  }

  /** From now on machines may move. Nothing is done with them before. */
  begin(workers: Workers): void {
    this.#workers = workers;
  }

  /** What firmware is answered by, as things are now. */
  scene(): Scene {
    const { network, loaders, httpPort, hosts } = this.#world;
    return makeScene({ ...network.plan, loaders, httpPort }, hosts.all(), this.core.lives(), (host) =>
      hosts.isLeaving(host),
    );
  }

  /** Resolves when every machine has ended and is left alone, or at the signal; rejects when a part that all need has ended. */
  async ended(): Promise<void> {
    const { lifetime } = this.#world;
    // A machine that was refused is still being switched off at the end, and the operator may have one begin anew meanwhile.
    for (;;) {
      await lifetime.until(this.#ended.promise);
      if (lifetime.signal.aborted) return;
      this.#ended = Promise.withResolvers();
      await Promise.race([this.core.settle(settleMs), lifetime.stopped]);
      if (this.core.ended || lifetime.signal.aborted) return;
    }
  }

  /** It left, or begins anew as another: what was said of it is no more. */
  forget(host: string): void {
    this.account.forgetLog(host);
    this.account.log.remove(host);
    this.trails.forget(host);
  }

  /** Who waits for a build is on its way no more: another one may be woken in its place. */
  #waitsForBuild(host: string): () => void {
    const release = this.core.hold(host);
    const over = this.account.waits(host, 'its build');
    this.waves.moved();
    return () => {
      over();
      release();
    };
  }

  #show(event: RunEvent): void {
    this.trails.event(event);
    this.waves.see(event);
    this.#world.show(event);
    if (event.event !== 'result' || event.result !== 'failed') return;
    const advice = this.trails.advice(event.host);
    if (advice !== undefined) this.account.notice('warning', advice, event.host);
  }

  #proved(host: string, address: string | undefined, key: string): void {
    const { config, state, hosts } = this.#world;
    if (address !== undefined) state.lastAddresses.put(host, address);
    if (config.knownHosts !== undefined)
      addKnownHost(config.knownHosts, knownAs(host, address, hosts.named(host)?.relay), key);
  }

  #unseen(host: string): string | undefined {
    const relay = this.#world.hosts.named(host)?.relay;
    const why = relay === undefined ? undefined : this.#world.doors.silenceOf(relay);
    return why && `its relay ${relay} ${why}; what goes on there is heard when it is back`;
  }

  #moved(event: RunEvent): void {
    this.account.emit(event);
    if (event.event !== 'stage') return;
    if (event.stage === 'loading') this.loading.begin(event.host);
    const host = this.#world.hosts.named(event.host);
    if (event.stage === 'rebooting' && host !== undefined) this.consent.use(host);
    if (isEnd(event.stage)) this.#world.state.marks.clear(event.host);
  }

  async #work(...[task, life, signal]: Parameters<CoreWorld['run']>): Promise<void> {
    try {
      if (this.#workers === undefined) throw new Error('nobody works on machines yet');
      await runTask(this.#workers.tasks, task, life, signal);
    } catch (error) {
      throw new Error(this.redactor.text((error as Error).message), { cause: error });
    }
  }

  #changed(): void {
    this.answers.changed();
    this.#world.doors.relaysMayChange();
    this.#workers?.roster?.moved();
    this.waves.moved();
    if (this.core.ended) this.#ended.resolve();
  }
}
