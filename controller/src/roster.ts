// Brings the machines of a service to what the hosts file says, while it runs: new hosts are prepared and begin, changed ones begin anew, others
// leave. A machine whose disks are being written is left to finish first. What it is to be is compared with what is, as often as anything changes.
import { isDeepStrictEqual } from 'node:util';
import pLimit from 'p-limit';
import type { Core } from './core/core.ts';
import type { HostBook } from './core/hosts.ts';
import type { Host } from './machine/host.ts';
import { halfWritten, marked } from './machine/life.ts';
import { isEnd } from './machine/stage.ts';

export interface RosterWorld {
  readonly book: HostBook;
  readonly core: Pick<Core, 'add' | 'life' | 'remove' | 'happened' | 'working'>;
  notice(level: 'info' | 'warning' | 'error', text: string, host?: string): void;
  /** Forgets all of a host that is not in its life: what was built, its inventory, its agent. */
  forget(host: string, why: string): void;
  /** The book has changed: addresses and answers are made anew. */
  changed(): void;
  /**
   * Evaluates and builds, and lets each begin when it can. Resolves when all is built, rejects when nothing of it could be evaluated.
   * @param evaluated called when the evaluation is over
   */
  prepare(hosts: readonly Host[], evaluated: () => void): Promise<void>;
}

/** Preparations that build at the same time; what nix builds at once is a setting of each. */
const buildsAtOnce = 4;

export class Roster {
  readonly #world: RosterWorld;
  #wanted: ReadonlyMap<string, Host> = new Map();
  /** Hosts that wait for a machine whose disks are being written, each with what was said of it. */
  readonly #told = new Map<string, string>();
  readonly #toPrepare = new Set<string>();
  #evaluating: Promise<void> = Promise.resolve();
  readonly #building = pLimit(buildsAtOnce);
  #looking = false;

  constructor(world: RosterWorld) {
    this.#world = world;
  }

  /** From now on it shall be these. The result resolves when what is new has been prepared, and rejects when nothing of it could be. */
  wish(hosts: readonly Host[]): Promise<void> {
    this.#wanted = new Map(hosts.map((host) => [host.name, host]));
    this.#told.clear();
    this.#compare();
    return this.#prepare();
  }

  /** A machine has moved: another may have waited for its end. */
  moved(): void {
    if (this.#told.size === 0 || this.#looking) return;
    this.#looking = true;
    // Those that tell it are in the middle of their work.
    queueMicrotask(() => {
      this.#looking = false;
      this.#compare();
      this.#prepareQuietly();
    });
  }

  /** Evaluates and builds it once more, as if it were new. */
  again(name: string): void {
    const host = this.#world.book.named(name);
    if (host === undefined || this.#busy(name)) return;
    this.#leave(host, 'it begins anew');
    this.#enter(host);
    this.#world.changed();
    this.#prepareQuietly();
  }

  #busy(name: string): boolean {
    const life = this.#world.core.life(name);
    if (life === undefined) return false;
    // What a login left running on a machine that failed is ended by its last task.
    if (isEnd(life.stage)) return halfWritten(life) && this.#world.core.working(name);
    return halfWritten(life) || marked(life);
  }

  #compare(): void {
    const { book } = this.#world;
    let changed = false;
    for (const host of book.all()) {
      const wanted = this.#wanted.get(host.name);
      if (wanted !== undefined && isDeepStrictEqual(wanted, host)) {
        if (book.isLeaving(host.name)) changed = true;
        book.stay(host.name);
        continue;
      }
      if (this.#busy(host.name)) {
        const { name } = host;
        if (wanted === undefined) book.leave(name);
        else book.stay(name);
        this.#say(
          name,
          wanted === undefined
            ? 'it is not in the hosts file any more; its disks are being written, so it is left to finish, and gets no boot file from now on'
            : 'it was changed in the hosts file; its disks are being written, so it is left to finish first',
        );
      } else this.#leave(host, wanted === undefined ? 'it is not in the hosts file any more' : 'it was changed');
      changed = true;
    }
    for (const wanted of this.#wanted.values()) {
      if (book.named(wanted.name) !== undefined) continue;
      const other = wanted.macs.map((mac) => book.withMac(mac, wanted.relay)).find((each) => each !== undefined);
      const address = book
        .all()
        .find(({ address, relay }) => address !== undefined && address === wanted.address && relay === wanted.relay);
      const holder = other ?? address;
      if (holder !== undefined) {
        this.#say(wanted.name, `it waits for the end of ${holder.name}, which still has its MAC or address`);
        continue;
      }
      this.#enter(wanted);
      changed = true;
    }
    if (!changed) return;
    book.arrange(this.#wanted.keys());
    this.#world.changed();
  }

  #say(name: string, text: string): void {
    if (this.#told.get(name) === text) return;
    this.#told.set(name, text);
    this.#world.notice('warning', text, name);
  }

  #enter(host: Host): void {
    this.#told.delete(host.name);
    this.#world.book.put(host);
    this.#world.core.add(host.name);
    this.#toPrepare.add(host.name);
  }

  #leave(host: Host, why: string): void {
    const { book, core } = this.#world;
    this.#told.delete(host.name);
    this.#toPrepare.delete(host.name);
    core.remove(host.name);
    book.remove(host.name);
    this.#world.forget(host.name, why);
  }

  #prepareQuietly(): void {
    // Its machines have failed with the reason.
    this.#prepare().catch(() => undefined);
  }

  /**
   * One evaluation after the other, for each takes much memory; those that come meanwhile go together into the next. A build that takes long keeps
   * no other waiting.
   */
  #prepare(): Promise<void> {
    const evaluated = Promise.withResolvers<void>();
    const turn = this.#evaluating
      .then(() => this.#building(() => this.#prepareNow(evaluated.resolve)))
      .finally(evaluated.resolve);
    this.#evaluating = evaluated.promise;
    return turn;
  }

  async #prepareNow(evaluated: () => void): Promise<void> {
    const { book, core, prepare } = this.#world;
    const hosts = [...this.#toPrepare].flatMap((name) => book.named(name) ?? []);
    this.#toPrepare.clear();
    if (hosts.length === 0) return;
    const lives = hosts.map(({ name }) => core.life(name));
    try {
      await prepare(hosts, evaluated);
    } catch (error) {
      // One that has begun is not its concern any more, nor is one that was taken out and put in again meanwhile.
      for (const [i, host] of hosts.entries())
        if (core.life(host.name) === lives[i])
          core.happened(host.name, { kind: 'failed', reason: (error as Error).message });
      throw error;
    }
  }
}
