// What is told of the run: every event goes through here to the view, to the operator's watchers, and the end of each machine to its result.
import type { Machine, WatchResponse } from '@nixie/proto/operator';
import type { Redactor } from '../install/redact.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Life } from '../machine/life.ts';
import { isEnd, type Stage } from '../machine/stage.ts';
import { iso } from './core.ts';
import type { Hosts } from './hosts.ts';

export interface AccountWorld {
  readonly hosts: Pick<Hosts, 'all' | 'named'>;
  life(host: string): Life | undefined;
  /** Store path of what was built for it. */
  toplevel(host: string): string | undefined;
  agentConnected(host: string): boolean;
  /** The view. */
  show(event: RunEvent): void;
  /** A machine was proved to have this key at this address. */
  proved(host: string, address: string | undefined, key: string): void;
  /** Masks the values of secrets. Absent: there are none. */
  readonly redactor?: Redactor;
  now(): number;
}

/** Lines kept of each host, and shown of one that failed. */
const logKept = 40;
const logShown = 15;

export class Account {
  readonly #world: AccountWorld;
  readonly #logs = new Map<string, string[]>();
  readonly #watchers = new Set<(message: WatchResponse) => void>();

  constructor(world: AccountWorld) {
    this.#world = world;
  }

  emit = (seen: RunEvent): void => {
    const event = this.#world.redactor?.event(seen) ?? seen;
    if (event.event === 'log' && event.host !== undefined) this.keepLog(event.host, [`${event.source}: ${event.text}`]);
    this.#world.show(event);
    if (this.#watchers.size > 0) this.#tell({ message: { $case: 'eventJson', value: JSON.stringify(event) } });
    if (event.event !== 'stage') return;
    const machine = this.machine(event.host);
    if (machine !== undefined) this.#tell({ message: { $case: 'machine', value: machine } });
    if (isEnd(event.stage)) this.#result(event.host, event.stage);
  };

  notice(level: 'info' | 'warning' | 'error', text: string, host?: string): void {
    this.emit({ event: 'notice', at: iso(this.#world.now()), level, text, ...(host === undefined ? {} : { host }) });
  }

  keepLog(host: string, lines: readonly string[]): void {
    const { redactor } = this.#world;
    const masked = lines.slice(-logKept).map((line) => redactor?.text(line) ?? line);
    this.#logs.set(host, [...(this.#logs.get(host) ?? []), ...masked].slice(-logKept));
  }

  /** A machine begins anew: what it said before is not its reason any more. */
  forgetLog(host: string): void {
    this.#logs.delete(host);
  }

  /** The result ends it. */
  watch(listener: (message: WatchResponse) => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  machines(): Machine[] {
    return this.#world.hosts.all().flatMap((host) => this.machine(host.name) ?? []);
  }

  machine(name: string): Machine | undefined {
    const life = this.#world.life(name);
    const host = this.#world.hosts.named(name);
    if (life === undefined || host === undefined) return undefined;
    return {
      host: name,
      macs: [...host.macs],
      stage: life.stage,
      stageSinceUnixMs: BigInt(Math.round(life.since)),
      address: life.address,
      reason: life.reason,
      toplevel: this.#world.toplevel(name),
      agentConnected: this.#world.agentConnected(name),
    };
  }

  #tell(message: WatchResponse): void {
    for (const tell of [...this.#watchers]) {
      try {
        tell(message);
      } catch {
        // One who can't be told any more is nobody's trouble but his own.
        this.#watchers.delete(tell);
      }
    }
  }

  #result(name: string, result: Stage): void {
    const life = this.#world.life(name);
    if (life === undefined) return;
    const { reason, address, provedKey } = life;
    const toplevel = this.#world.toplevel(name);
    if (result === 'proved' && provedKey !== undefined) {
      try {
        this.#world.proved(name, address, provedKey);
      } catch (error) {
        this.notice('warning', `keep its host key: ${(error as Error).message}`, name);
      }
    }
    this.emit({
      event: 'result',
      at: iso(this.#world.now()),
      host: name,
      result,
      seconds: Object.fromEntries(
        Object.entries(life.spent).map(([stage, spent]) => [stage, Math.round(spent) / 1000]),
      ),
      ...(reason === undefined ? {} : { reason }),
      ...(address === undefined ? {} : { address }),
      ...(toplevel === undefined ? {} : { toplevel }),
      ...(provedKey === undefined ? {} : { host_key: provedKey }),
      ...(result === 'failed' ? { log: (this.#logs.get(name) ?? []).slice(-logShown) } : {}),
    });
  }
}
