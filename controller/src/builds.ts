// What a run builds: one preparation for all its hosts, or one more each time that a service needs it. What is built is served from then on.
import type { RunConfig } from './config/run-config.ts';
import type { Hosts } from './core/hosts.ts';
import { unbootable } from './core/installer-files.ts';
import type { OpenDoors } from './doors.ts';
import { withoutSecrets } from './install/secrets.ts';
import type { Installers } from './installers.ts';
import { Launch } from './launch.ts';
import type { Machines } from './machines.ts';
import type { Rights } from './nix/runner.ts';
import { prepareRun } from './preparation.ts';
import type { RunNetwork } from './run-network.ts';
import { gcPart } from './service.ts';
import type { RunState } from './state.ts';

export interface BuildsWorld {
  readonly config: Pick<RunConfig, 'hosts' | 'stateDir'>;
  /** It is a service: each preparation keeps what it built apart from the others. */
  readonly endless: boolean;
  readonly hosts: Hosts;
  readonly state: Pick<RunState, 'marks'>;
  readonly network: Pick<RunNetwork, 'own'>;
  readonly installers: Installers;
  readonly machines: Pick<Machines, 'account' | 'core' | 'loading' | 'plans'>;
  readonly doors: Pick<OpenDoors, 'cache' | 'http'>;
  readonly rights: Rights;
  /** With those that hold secrets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly httpPort: number;
  readonly grpcPort: number;
}

export class Builds {
  readonly #world: BuildsWorld;
  readonly #launch: Launch;
  readonly #calledOff = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  #count = 0;

  constructor(world: BuildsWorld) {
    const { hosts, state, network, installers, machines, doors, httpPort, grpcPort } = world;
    const { account, core, loading, plans } = machines;
    this.#world = world;
    this.#signal = AbortSignal.any([world.signal, this.#calledOff.signal]);
    this.#launch = new Launch({
      hosts,
      core,
      account,
      plans,
      marks: state.marks,
      takeInstaller(system, installer) {
        loading.take(system, installers.take(system, installer));
        doors.http.setFiles(installers.served);
      },
      unbootable: ({ host }) =>
        unbootable(host, installers.files(host.system)!, { address: network.own[0]!, httpPort, grpcPort }),
      built: () => this.#serve(),
    });
  }

  /**
   * Evaluates and builds the hosts of this configuration, and lets each begin as soon as its own part is there. Resolves when all is built.
   * @param evaluated called when the flake was read
   * @throws NixError when the flake as a whole can't be read
   */
  async prepare(wanted: RunConfig, evaluated?: () => void): Promise<void> {
    const { config, endless, hosts, machines, rights, cwd } = this.#world;
    const env = withoutSecrets(this.#world.env, [...config.hosts, ...hosts.all()]);
    const part = endless ? { part: gcPart(config.stateDir, this.#count++) } : {};
    const within = { cwd, env, rights, signal: this.#signal, ...part };
    const preparation = this.#launch.prepare(
      wanted.hosts,
      (told) => prepareRun(wanted, within, machines.account.emit, told),
      this.#signal,
      evaluated,
    );
    const over = preparation.catch(() => undefined).finally(() => this.#running.delete(over));
    this.#running.add(over);
    await preparation;
  }

  /** It left, or begins anew: what was built for it is neither its system any more nor served. */
  forget(host: string): void {
    this.#launch.forget(host);
    this.#serve();
  }

  /** What is still built when nobody waits for it any more is called off; a moment later its children are killed. */
  async close(): Promise<void> {
    this.#calledOff.abort();
    await Promise.all(this.#running);
  }

  #serve(): void {
    const { machines, doors } = this.#world;
    const built = machines.plans.built().flatMap(({ closure, diskoClosure }) => [closure, diskoClosure ?? []].flat());
    doors.cache?.paths.serve(new Set(built));
  }
}
