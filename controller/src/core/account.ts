// What is told of the run: every event goes through here to the view, to the operator's watchers, and the end of each machine to its result.
import type { Machine, MachineProgress, WatchResponse } from '@nixie/proto/operator';
import type { Redactor } from '../install/redact.ts';
import type { RunEvent, TargetDisk } from '../machine/event.ts';
import type { Life } from '../machine/life.ts';
import { ProgressBook, type Standing } from '../machine/progress.ts';
import { isEnd, type Stage } from '../machine/stage.ts';
import type { LogFiles } from '../store/log-files.ts';
import { iso } from './core.ts';
import type { Hosts } from './hosts.ts';
import { type NewLine, RunLog } from './run-log.ts';
import { lineOf } from './told-line.ts';

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
  /** Why nothing is seen of a host just now, when that is no fault of its own: its relay is away. */
  unseen?(host: string): string | undefined;
  /** Masks the values of secrets. Absent: there are none. */
  readonly redactor?: Redactor;
  /** Where lines are written to. Absent: only the last are kept. */
  readonly logFiles?: LogFiles | undefined;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets: that of lives. */
  ticks(): number;
}

/** Lines that are shown of one that failed: in all, and of each who spoke. */
const logShown = 15;
const wordsShown = 5;
/** What a machine says is told as events so fast, and in bursts of so many: what it said while it booted is one. The rest is only kept. */
const toldPerSecond = 500;
const toldAtOnce = 5000;

/** Progress of one machine is told at most so often, milliseconds; when nobody tells any, once a second by `tick`. */
const progressMs = 200;

export class Account {
  readonly #world: AccountWorld;
  readonly log: RunLog;
  /** Of each host: events that its lines may be, when that was counted, and the lines that were none since. */
  readonly #lineRoom = new Map<string, { room: number; at: number; untold: number }>();
  readonly #progress = new ProgressBook();
  /** What was told of each machine's progress last. */
  readonly #told = new Map<string, { at: number; percent: number; stalled: boolean }>();
  /** What is or was written to on each machine. */
  readonly #disks = new Map<string, readonly TargetDisk[]>();
  /** What each waits for that is no fault of its own. */
  readonly #waits = new Map<string, string>();
  readonly #watchers = new Set<(message: WatchResponse) => void>();

  constructor(world: AccountWorld) {
    this.#world = world;
    const { redactor, now, logFiles } = world;
    this.log = new RunLog({ mask: (text) => redactor?.text(text) ?? text, now, files: logFiles });
  }

  emit = (seen: RunEvent): void => {
    const clear = this.#world.redactor?.event(seen) ?? seen;
    this.#follow(clear);
    const event = clear.event === 'progress' ? this.#measured(clear) : clear;
    if (event === undefined) return;
    this.#keep(event);
    this.#show(event);
  };

  #follow(event: RunEvent): void {
    const since = event.event === 'stage' ? this.#world.life(event.host)?.since : undefined;
    this.#progress.see(event, since ?? this.#world.ticks());
  }

  #show(told: RunEvent): void {
    const relay =
      told.relay ?? (told.event === 'end' || told.event === 'prepare' ? undefined : this.#behind(told.host));
    const event = relay === undefined ? told : { ...told, relay };
    this.#world.show(event);
    if (this.#watchers.size > 0) this.#tell({ message: { $case: 'eventJson', value: JSON.stringify(event) } });
    if (event.event === 'disks') this.#disks.set(event.host, event.disks);
    if (event.event === 'stage' && event.stage === 'preflight') this.#disks.delete(event.host);
    if (event.event !== 'stage') return;
    // What stood still in the stage before is over.
    this.#told.delete(event.host);
    this.#changed(event.host);
    if (isEnd(event.stage)) this.#result(event.host, event.stage);
  }

  #behind(host: string | undefined): string | undefined {
    return host === undefined ? undefined : this.#world.hosts.named(host)?.relay;
  }

  #keep(event: RunEvent): void {
    if (event.event === 'stage') this.log.moved(event.host, event.stage, this.#world.now());
    const line = lineOf(event);
    if (line === undefined) return;
    if (line.host === undefined) this.log.keepOfRun(line.line.source, line.line.text);
    else this.log.keep(line.host, [line.line]);
  }

  /** What a machine's agent sent. All of it is kept, and as much of it told as can be followed. */
  said(host: string, lines: readonly NewLine[]): void {
    const now = this.#world.now();
    const kept = this.log.keep(host, lines);
    const room = this.#lineRoom.get(host) ?? { room: toldAtOnce, at: now, untold: 0 };
    this.#lineRoom.set(host, room);
    room.room = Math.min(toldAtOnce, room.room + (Math.max(0, now - room.at) * toldPerSecond) / 1000);
    room.at = now;
    const at = iso(now);
    const tell = (event: RunEvent): void => {
      this.#follow(event);
      this.#show(event);
    };
    for (const { source, text } of kept) {
      if (room.room < 1) room.untold += 1;
      else {
        room.room -= 1;
        if (room.untold > 0) {
          const missing = `${room.untold.toLocaleString('en')} lines are not shown here; nixie logs ${host} shows them`;
          room.untold = 0;
          tell({ event: 'log', at, host, source: 'agent', text: missing });
        }
        tell({ event: 'log', at, host, source, text });
      }
    }
  }

  /** A second has passed: what time alone moves is told, and what stands still. */
  tick(): void {
    const now = this.#world.ticks();
    for (const host of this.#progress.hosts()) {
      // A service lets go of hosts that were taken out of the hosts file.
      if (this.#world.life(host) === undefined) {
        this.#progress.forget(host);
        this.#told.delete(host);
        this.#disks.delete(host);
        continue;
      }
      const standing = this.#standing(host, now);
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
      this.emit({ event: 'progress', at: iso(this.#world.now()), host, stage: standing.stage });
    }
  }

  /** It waits for something that is no fault of its own, and stands still meanwhile; the result is called when that is over. */
  waits(host: string, what: string): () => void {
    this.#waits.set(host, what);
    this.notice('info', `its machine is there; it waits for ${what}`, host);
    this.#changed(host);
    return () => {
      if (this.#waits.get(host) !== what) return;
      this.#waits.delete(host);
      this.#progress.restarted(host, this.#world.ticks());
      this.#changed(host);
    };
  }

  #changed(host: string): void {
    const machine = this.machine(host);
    if (machine !== undefined) this.#tell({ message: { $case: 'machine', value: machine } });
  }

  /** Its agent sent a sign of life. */
  heard(host: string): void {
    this.#progress.heard(host, this.#world.ticks());
  }

  #standing(host: string, now: number): Standing | undefined {
    const standing = this.#progress.standing(host, now);
    if (standing !== undefined && this.#waits.has(host)) {
      const { stalled: _, etaSeconds: __, ...waiting } = standing;
      return waiting;
    }
    if (standing?.stalled === undefined) return standing;
    const why = this.#world.unseen?.(host);
    return why === undefined ? standing : { ...standing, stalled: { ...standing.stalled, why } };
  }

  /** The event with what it means: shares, rate, time left. Undefined: told a moment ago. */
  #measured(event: Extract<RunEvent, { event: 'progress' }>): RunEvent | undefined {
    const now = this.#world.ticks();
    const standing = this.#standing(event.host, now);
    if (standing === undefined) return event;
    const { stage, share, overall, doneBytes, totalBytes, bytesPerSecond, etaSeconds, stalled } = standing;
    const told = this.#told.get(event.host);
    const percent = Math.floor(share * 100);
    if (event.step === undefined && told !== undefined && now - told.at < progressMs && percent < 99) return undefined;
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

  /** Seconds that each stage takes in this run. */
  seconds(): ReturnType<ProgressBook['seconds']> {
    return this.#progress.seconds();
  }

  notice(level: 'info' | 'warning' | 'error', text: string, host?: string): void {
    this.emit({ event: 'notice', at: iso(this.#world.now()), level, text, ...(host === undefined ? {} : { host }) });
  }

  /** What a build said before it failed. */
  keepLog(host: string, lines: readonly string[]): void {
    this.log.keep(
      host,
      lines.map((text) => ({ origin: 'nix', source: 'nix', text })),
    );
  }

  /** A machine begins anew: what it said before is not its reason any more. */
  forgetLog(host: string): void {
    this.log.forget(host);
    this.#lineRoom.delete(host);
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
      relay: this.#behind(name),
      waitsFor: this.#waits.get(name),
      targetDisks: (this.#disks.get(name) ?? []).map((disk) => ({
        ...disk,
        sizeBytes: BigInt(disk.size_bytes),
      })),
    };
  }

  #machineProgress(name: string): MachineProgress | undefined {
    const standing = this.#standing(name, this.#world.ticks());
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
      ...(result === 'failed'
        ? { log: this.log.last(name, logShown), last_words: this.log.lastWords(name, wordsShown) }
        : {}),
    });
  }
}

/** Of each stage that was left. */
function secondsOf({ spent }: Life): Record<string, number> {
  return Object.fromEntries(Object.entries(spent).map(([stage, each]) => [stage, Math.round(each) / 1000]));
}
