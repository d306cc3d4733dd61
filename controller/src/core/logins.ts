// One ssh login to each installer, begun while its disks are looked at and handed from disko to the install: under load a login takes a second. It
// ends when nobody has used it for a while, so that a machine that waits for its turn holds no process here.
import { join } from 'node:path';
import { after } from '../clock.ts';
import { giveFolder } from '../install/folders.ts';
import { copyKey } from '../install/keys.ts';
import type { Master } from '../install/master.ts';
import type { Life } from '../machine/life.ts';
import { sshWay } from './relay-way.ts';
import { type Plan, realTools, type TaskWorld } from './task-world.ts';

const usualIdleMs = 15_000;

export interface Login {
  readonly master: Master;
  /** Where other ssh find it. */
  readonly controlPath: string;
}

interface Opened extends Login {
  /** Ends it and removes its files. */
  end(): Promise<void>;
}

interface Kept {
  /** Which boot of the machine, where, and who it is. */
  readonly of: string;
  readonly ready: Promise<Opened>;
  readonly abort: AbortController;
  /** Calls its end off. */
  used?: () => void;
}

export type LoginWorld = Pick<
  TaskWorld,
  'tools' | 'stateDir' | 'realSsh' | 'runKey' | 'childUser' | 'searchPath' | 'relays'
>;

export class Logins {
  readonly #idleMs: number;
  readonly #after: typeof after;
  readonly #kept = new Map<string, Kept>();

  /** @param options.idleMs after which one that nobody uses ends */
  constructor(options: { readonly idleMs?: number; readonly after?: typeof after } = {}) {
    this.#idleMs = options.idleMs ?? usualIdleMs;
    this.#after = options.after ?? after;
  }

  /** Begins to log in; nobody waits for it. */
  begin(world: LoginWorld, plan: Plan, life: Life): void {
    const kept = this.#keep(world, plan, life);
    this.#rest(life.host, kept);
    // Whoever wants to use it hears why not.
    kept.ready.catch(() => undefined);
  }

  /**
   * The login of this boot: one that is there, or a new one. Its holder gives it back by `done`. Throws when there is no place for its files; a login
   * that fails is one without `master.open`.
   */
  async use(world: LoginWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<Login> {
    let kept = this.#keep(world, plan, life);
    kept.used?.();
    let login = await this.#ready(kept, life.host, signal);
    if (!signal.aborted && (!login.master.open || login.master.lost() !== undefined)) {
      await this.close(life.host);
      kept = this.#keep(world, plan, life);
      login = await this.#ready(kept, life.host, signal);
    }
    return login;
  }

  /** @param again it may be of use to the next one */
  async done(host: string, again: boolean): Promise<void> {
    const kept = this.#kept.get(host);
    if (kept === undefined) return;
    if (again) this.#rest(host, kept);
    else await this.close(host);
  }

  /** Never throws. */
  async close(host: string): Promise<void> {
    const kept = this.#kept.get(host);
    if (kept === undefined) return;
    this.#kept.delete(host);
    kept.used?.();
    kept.abort.abort();
    await kept.ready.then((login) => login.end()).catch(() => undefined);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#kept.keys()].map((host) => this.close(host)));
  }

  #rest(host: string, kept: Kept): void {
    kept.used?.();
    kept.used = this.#after(this.#idleMs, () => {
      if (this.#kept.get(host) === kept) void this.close(host);
    });
  }

  async #ready(kept: Kept, host: string, signal: AbortSignal): Promise<Opened> {
    const end = () => void this.close(host);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      return await kept.ready;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  #keep(world: LoginWorld, plan: Plan, life: Life): Kept {
    const of = `${life.bootId} ${life.address} ${life.sshHostKey}`;
    const there = this.#kept.get(life.host);
    if (there?.of === of) return there;
    void this.close(life.host);
    const abort = new AbortController();
    const kept: Kept = { of, abort, ready: logIn(world, plan, life, abort.signal) };
    this.#kept.set(life.host, kept);
    return kept;
  }
}

async function logIn(world: LoginWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<Opened> {
  const { address, sshHostKey } = life;
  if (address === undefined || sshHostKey === undefined) throw new Error('its agent gave no address or host key');
  const tools = world.tools ?? realTools;
  const as = world.childUser;
  const folder = await tools.makeRunFolder(join(world.stateDir, 'run'));
  try {
    const knownHosts = await tools.writeKnownHosts(folder.shim, [sshHostKey]);
    const key = as === undefined ? world.runKey : await copyKey(world.runKey, folder.keys, 'run');
    if (as !== undefined) await giveFolder(folder, as);
    const controlPath = join(folder.keys, 'login');
    const master = await tools.openMaster({
      realSsh: world.realSsh,
      knownHosts,
      keyFile: key.privateFile,
      address,
      controlPath,
      searchPath: world.searchPath,
      signal,
      ...sshWay(world, plan.host),
      ...(as === undefined ? {} : { as }),
    });
    return {
      master,
      controlPath,
      end() {
        master.close();
        return folder.remove();
      },
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}
