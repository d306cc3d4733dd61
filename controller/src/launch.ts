// From hosts to machines that begin: one preparation evaluates and builds them, and each machine goes on as soon as its own part is there.
import type { Account } from './core/account.ts';
import type { Core } from './core/core.ts';
import type { Hosts } from './core/hosts.ts';
import type { Plans } from './core/plans.ts';
import type { Told } from './core/prepare.ts';
import type { Plan } from './core/task-world.ts';
import type { Host, System } from './machine/host.ts';
import { buildFailed, marked } from './machine/life.ts';
import { isEnd } from './machine/stage.ts';
import type { Installer, NixFailure } from './nix/types.ts';
import type { Marks } from './store/marks.ts';

export interface LaunchWorld {
  readonly hosts: Pick<Hosts, 'named'>;
  readonly core: Pick<Core, 'happened' | 'life'>;
  readonly account: Pick<Account, 'notice' | 'keepLog'>;
  readonly plans: Plans;
  readonly marks: Pick<Marks, 'get'>;
  /** Serves its files from now on, beside those of earlier ones. */
  takeInstaller(system: System, installer: Installer): void;
  /** Why the plan's installer can't boot this machine. */
  unbootable(plan: Plan): string | undefined;
  /** Another closure may be fetched from now on. */
  built(): void;
}

/** One preparation of some hosts. */
export type Prepare = (told: Told) => Promise<unknown>;

export class Launch {
  readonly #world: LaunchWorld;
  /** The preparation that speaks for each host: what an earlier one still says of it is of no concern. */
  readonly #speaks = new Map<string, Prepare>();
  /** Number of the preparation that brought the installer of each platform: one that began earlier and took longer brings an older one. */
  readonly #installers = new Map<System, number>();
  #count = 0;

  constructor(world: LaunchWorld) {
    this.#world = world;
  }

  /** It left, or begins anew: nothing that is being prepared is for it any more. */
  forget(host: string): void {
    this.#speaks.delete(host);
    this.#world.plans.delete(host);
  }

  /**
   * Has these hosts prepared; resolves when each has come to its result.
   * @param evaluated called when the flake was read
   * @param signal from then on nothing that is told counts
   * @throws what `prepare` throws when no machine has begun by then
   */
  async prepare(hosts: readonly Host[], prepare: Prepare, signal: AbortSignal, evaluated?: () => void): Promise<void> {
    const { hosts: book, core, account, plans, marks, takeInstaller, unbootable, built } = this.#world;
    const number = ++this.#count;
    for (const { name } of hosts) this.#speaks.set(name, prepare);
    const mine = (host: Host): boolean =>
      !signal.aborted && this.#speaks.get(host.name) === prepare && book.named(host.name) === host;
    const failed = (host: Host, failure: NixFailure): void => {
      if (mine(host)) this.#failed(host.name, failure);
    };
    try {
      await prepare({
        evaluated: () => evaluated?.(),
        warned(text) {
          if (!signal.aborted) account.notice('warning', text);
        },
        installer: (system, installer) => {
          if (signal.aborted || (this.#installers.get(system) ?? 0) > number) return;
          this.#installers.set(system, number);
          takeInstaller(system, installer);
        },
        begins(plan) {
          const { name } = plan.host;
          if (!mine(plan.host) || core.life(name)?.stage !== 'planned') return;
          const problem = unbootable(plan);
          if (problem !== undefined) return void core.happened(name, { kind: 'failed', reason: problem });
          plans.put(plan);
          core.happened(name, { kind: marks.get(name) === plan.system.toplevel.out ? 'reboot-marked' : 'begin' });
        },
        built(plan) {
          // One that didn't begin isn't installed.
          if (!mine(plan.host) || plans.get(plan.host.name) === undefined) return;
          plans.put(plan);
          built();
        },
        failed,
      });
    } catch (error) {
      const text = (error as Error).message;
      if (signal.aborted || !hosts.some((host) => mine(host) && plans.get(host.name) !== undefined)) throw error;
      // Machines are on their way: what is built for them holds.
      account.notice('error', `the preparation broke off: ${text}`);
      for (const host of hosts)
        if (plans.get(host.name)?.closure === undefined) failed(host, { cause: 'unknown', text, log: [] });
    } finally {
      for (const { name } of hosts) if (this.#speaks.get(name) === prepare) this.#speaks.delete(name);
    }
  }

  #failed(name: string, { text, log }: NixFailure): void {
    const { core, account, plans } = this.#world;
    const life = core.life(name);
    if (life === undefined) return;
    plans.fail(name);
    // What is installed already, or has failed for another reason, doesn't need it.
    if (isEnd(life.stage) || marked(life)) {
      account.notice('warning', `${buildFailed}${text}`, name);
      return;
    }
    account.keepLog(name, log);
    core.happened(name, { kind: 'failed', reason: life.stage === 'planned' ? text : `${buildFailed}${text}` });
  }
}
