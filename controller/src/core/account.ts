// What is told of the run: every event goes through here to the view, to the operator's watchers, and the end of each machine to its result.
import type { Machine, MachineProgress, WatchResponse } from '@nixie/proto/operator';
import type { Redactor } from '../install/redact.ts';
import type { RunEvent, TargetDisk } from '../machine/event.ts';
import type { Life } from '../machine/life.ts';
import { ProgressBook } from '../machine/progress.ts';
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
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets: that of lives. */
  ticks(): number;
}

/** Lines kept of each host, and shown of one that failed. */
const logKept = 40;
const logShown = 15;

/** Progress of one machine is told at most so often, milliseconds; when nobody tells any, once a second by `tick`. */
const progressMs = 200;

export class Account {
  readonly #world: AccountWorld;
  readonly #logs = new Map<string, string[]>();
  readonly #progress = new ProgressBook();
  /** What was told of each machine's progress last. */
  readonly #told = new Map<string, { at: number; percent: number; stalled: boolean }>();
  /** What is or was written to on each machine. */
  readonly #disks = new Map<string, readonly TargetDisk[]>();
  readonly #watchers = new Set<(message: WatchResponse) => void>();

  constructor(world: AccountWorld) {
    this.#world = world;
  }

  emit = (seen: RunEvent): void => {
    const clear = this.#world.redactor?.event(seen) ?? seen;
    this.#progress.see(clear);
    const event = clear.event === 'progress' ? this.#measured(clear) : clear;
    if (event === undefined) return;
    if (event.event === 'log' && event.host !== undefined) this.keepLog(event.host, [`${event.source}: ${event.text}`]);
    this.#world.show(event);
    if (this.#watchers.size > 0) this.#tell({ message: { $case: 'eventJson', value: JSON.stringify(event) } });
    if (event.event === 'disks') this.#disks.set(event.host, event.disks);
    if (event.event === 'stage' && event.stage === 'preflight') this.#disks.delete(event.host);
    if (event.event !== 'stage') return;
    const machine = this.machine(event.host);
    if (machine !== undefined) this.#tell({ message: { $case: 'machine', value: machine } });
    if (isEnd(event.stage)) this.#result(event.host, event.stage);
  };

  /** A second has passed: what time alone moves is told, and what stands still. */
  tick(): void {
    const now = this.#world.now();
    for (const host of this.#progress.hosts()) {
      const standing = this.#progress.standing(host, now);
      if (standing === undefined || isEnd(standing.stage) || standing.stage === 'planned') continue;
      const told = this.#told.get(host);
      const stalled = standing.stalled !== undefined;
      if (stalled && told?.stalled !== true)
        this.notice(
          'warning',
          `${standing.stage}: nothing has moved for ${standing.stalled?.seconds} s: ${standing.stalled?.why}`,
          host,
        );
      if (told?.stalled === true && !stalled) this.notice('info', `${standing.stage}: it moves again`, host);
      if (told?.percent === Math.floor(standing.share * 100) && told.stalled === stalled) continue;
      this.emit({ event: 'progress', at: iso(now), host, stage: standing.stage });
    }
  }

  /** Its agent sent a sign of life. */
  heard(host: string): void {
    this.#progress.heard(host, this.#world.now());
  }

  /** The event with what it means: shares, rate, time left. Undefined: told a moment ago. */
  #measured(event: Extract<RunEvent, { event: 'progress' }>): RunEvent | undefined {
    const now = this.#world.now();
    const standing = this.#progress.standing(event.host, now);
    if (standing === undefined) return event;
    const { stage, share, overall, doneBytes, totalBytes, bytesPerSecond, etaSeconds, stalled } = standing;
    const told = this.#told.get(event.host);
    const percent = Math.floor(share * 100);
    if (event.step === undefined && told !== undefined && now >= told.at && now - told.at < progressMs && percent < 99)
      return undefined;
    this.#told.set(event.host, { at: now, percent, stalled: stalled !== undefined });
    return {
      event: 'progress',
      at: event.at,
      host: event.host,
      stage,
      ...(event.step === undefined ? {} : { step: event.step }),
      ...(doneBytes === undefined ? {} : { done_bytes: doneBytes }),
      ...(totalBytes === undefined ? {} : { total_bytes: totalBytes }),
      ...(bytesPerSecond === undefined ? {} : { bytes_per_second: bytesPerSecond }),
      percent,
      overall_percent: Math.floor(overall * 100),
      ...(etaSeconds === undefined ? {} : { eta_seconds: Math.round(etaSeconds) }),
      ...(stalled === undefined ? {} : { stalled_seconds: stalled.seconds, stalled_why: stalled.why }),
    };
  }

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
      stageSinceUnixMs: BigInt(Math.round(this.#world.now() - Math.max(0, this.#world.ticks() - life.since))),
      address: life.address,
      reason: life.reason,
      toplevel: this.#world.toplevel(name),
      agentConnected: this.#world.agentConnected(name),
      progress: this.#machineProgress(name),
      secondsPerStage: secondsOf(life),
      targetDisks: (this.#disks.get(name) ?? []).map((disk) => ({
        ...disk,
        sizeBytes: BigInt(disk.size_bytes),
      })),
    };
  }

  #machineProgress(name: string): MachineProgress | undefined {
    const standing = this.#progress.standing(name, this.#world.now());
    if (standing === undefined || isEnd(standing.stage)) return undefined;
    const whole = (number: number | undefined) => (number === undefined ? undefined : BigInt(Math.round(number)));
    return {
      percent: Math.floor(standing.share * 100),
      overallPercent: Math.floor(standing.overall * 100),
      doneBytes: whole(standing.doneBytes),
      totalBytes: whole(standing.totalBytes),
      bytesPerSecond: whole(standing.bytesPerSecond),
      etaSeconds: standing.etaSeconds === undefined ? undefined : Math.round(standing.etaSeconds),
      stalledSeconds: standing.stalled?.seconds,
      stalledWhy: standing.stalled?.why ?? '',
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
      seconds: secondsOf(life),
      ...(reason === undefined ? {} : { reason }),
      ...(address === undefined ? {} : { address }),
      ...(toplevel === undefined ? {} : { toplevel }),
      ...(provedKey === undefined ? {} : { host_key: provedKey }),
      ...(result === 'failed' ? { log: (this.#logs.get(name) ?? []).slice(-logShown) } : {}),
    });
  }
}

/** Of each stage that was left. */
function secondsOf({ spent }: Life): Record<string, number> {
  return Object.fromEntries(Object.entries(spent).map(([stage, each]) => [stage, Math.round(each) / 1000]));
}
