// The one writer of machine state. Every front door, timer and task tells it what happened; it moves the machine, writes the journal,
// tells the world, and starts or ends the task that belongs to the new stage.
import type { RunEvent } from '../machine/event.ts';
import { type Advance, advance, type Happening, type Life, newLife, type Patience } from '../machine/life.ts';
import { isEnd, type Stage } from '../machine/stage.ts';
import type { Journal } from '../store/journal.ts';

/** What is done while a machine is in a stage. Stages that share a task keep it running when one follows the other. */
export type Task = 'probe' | 'wake' | 'preflight' | 'disko' | 'install' | 'restart' | 'reboot' | 'prove' | 'leave';

export const taskOf: Readonly<Partial<Record<Stage, Task>>> = {
  probing: 'probe',
  waking: 'wake',
  registered: 'preflight',
  preflight: 'preflight',
  disko: 'disko',
  copy: 'install',
  install: 'install',
  restarting: 'restart',
  rebooting: 'reboot',
  proving: 'prove',
  refused: 'leave',
  failed: 'leave',
};

export interface CoreWorld {
  /** Milliseconds of the wall clock: for what is written down. */
  now(): number;
  /** Milliseconds of a clock that nobody sets: for how long things take. */
  ticks(): number;
  /** Calls back once after so many milliseconds; the result calls it off. */
  after(milliseconds: number, call: () => void): () => void;
  journal: Journal;
  emit(event: RunEvent): void;
  /** Starts a task. It must end soon after the signal, and tells its outcome by `happened`. A throw becomes `failed`. */
  run(task: Task, life: Life, signal: AbortSignal): Promise<void>;
  /** After every move: the answers to firmware may have changed. */
  changed(): void;
  /**
   * Its stage has lasted for as long as it may. `wait`: it may once more, since the way to it was lost meanwhile. Text: why it is given up, in
   * place of what the stage says.
   * @param since when the stage or its last respite began, of `ticks`
   */
  overdue?(host: string, since: number): 'wait' | { readonly reason: string } | undefined;
  /** No task of this host runs any more. */
  rested?(host: string): void;
}

interface Running {
  task: Task;
  abort: AbortController;
}

export class Core {
  readonly #world: CoreWorld;
  readonly #patience: Patience;
  readonly #lives = new Map<string, Life>();
  readonly #running = new Map<string, Running>();
  /** Of each host: the end of the last task that was started for it. The next one waits for it, and so does the end of the run. */
  readonly #tails = new Map<string, Promise<void>>();
  readonly #alarms = new Map<string, () => void>();
  #closed = false;

  constructor(world: CoreWorld, patience: Patience) {
    this.#world = world;
    this.#patience = patience;
  }

  /** A host joins the run. */
  add(host: string): void {
    if (!this.#lives.has(host)) this.#lives.set(host, newLife(host, this.#world.ticks()));
  }

  /** A host leaves the run: its task is called off, and nothing happens to it any more. */
  remove(host: string): void {
    this.#alarms.get(host)?.();
    this.#alarms.delete(host);
    this.#running.get(host)?.abort.abort();
    this.#running.delete(host);
    if (this.#lives.delete(host)) this.#outside(() => this.#world.changed());
  }

  /** A task of it runs, or is on its way out. */
  working(host: string): boolean {
    return this.#tails.has(host);
  }

  life(host: string): Life | undefined {
    return this.#lives.get(host);
  }

  lives(): readonly Life[] {
    return [...this.#lives.values()];
  }

  /** True when every machine has ended. */
  get ended(): boolean {
    return this.lives().every((life) => isEnd(life.stage));
  }

  /** Moves the machine. A happening that can't be is told in the log and changes nothing. Never throws. */
  happened(host: string, happening: Happening): Advance {
    const before = this.#lives.get(host);
    if (this.#closed) return { moved: false, sentence: 'the run is ending' };
    if (before === undefined) return { moved: false, sentence: `${host} is not part of this run` };
    const at = this.#world.now();
    const result = advance(before, happening, this.#world.ticks());
    if (!result.moved) {
      this.#outside(() => this.#world.emit({ event: 'log', at: iso(at), host, source: 'core', text: result.sentence }));
      return result;
    }
    const { life } = result;
    this.#lives.set(host, life);
    const anew = life.stage !== before.stage || life.bootId !== before.bootId;
    if (anew || life.address !== before.address) {
      const { stage, reason, address } = life;
      this.#outside(() =>
        this.#world.journal.write({
          at: iso(at),
          host,
          happening: happening.kind,
          ...drop({ stage, reason, address }),
        }),
      );
      this.#outside(() => this.#world.emit({ event: 'stage', at: iso(at), host, stage, ...drop({ reason, address }) }));
    }
    if (anew) this.#enter(life, before);
    this.#outside(() => this.#world.changed());
    return result;
  }

  /** Stops the clock of this machine's stage, for a wait that is no fault of its own; the result lets it begin anew. */
  hold(host: string): () => void {
    const held = this.#lives.get(host);
    this.#alarms.get(host)?.();
    this.#alarms.delete(host);
    return () => {
      const life = this.#lives.get(host);
      if (life !== undefined && life.stage === held?.stage && life.bootId === held.bootId && !this.#alarms.has(host))
        this.#setAlarm(life);
    };
  }

  /** What is outside (a full disk, a broken terminal) must not stop machines from moving on. */
  #outside(call: () => void): void {
    try {
      call();
    } catch (error) {
      try {
        const text = `broken: ${error instanceof Error ? error.message : String(error)}`;
        this.#world.emit({ event: 'notice', at: iso(this.#world.now()), level: 'error', text });
      } catch {
        // Nobody is left to tell.
      }
    }
  }

  #setAlarm(life: Life): void {
    if (isEnd(life.stage) || this.#closed) return;
    const seconds = this.#patience[life.stage];
    if (!Number.isFinite(seconds)) return;
    const since = this.#world.ticks();
    this.#alarms.set(
      life.host,
      this.#world.after(seconds * 1000, () => {
        this.#alarms.delete(life.host);
        const now = this.#lives.get(life.host) ?? life;
        const excuse = this.#world.overdue?.(life.host, since);
        if (excuse === 'wait') this.#setAlarm(now);
        else if (excuse !== undefined) this.happened(life.host, { kind: 'failed', reason: excuse.reason });
        else this.happened(life.host, { kind: 'waited-too-long' });
      }),
    );
  }

  #enter(life: Life, before: Life): void {
    this.#alarms.get(life.host)?.();
    this.#alarms.delete(life.host);
    this.#setAlarm(life);
    const task = taskOf[life.stage];
    const running = this.#running.get(life.host);
    const another = life.bootId !== before.bootId;
    if (running !== undefined && (running.task !== task || another)) {
      this.#running.delete(life.host);
      running.abort.abort();
    }
    if (task !== undefined && !this.#running.has(life.host)) this.#start(task, life);
  }

  /** A new task begins when the last one of that machine has let go of it. */
  #start(task: Task, life: Life): void {
    const abort = new AbortController();
    const before = this.#tails.get(life.host) ?? Promise.resolve();
    const done = before
      .then(() =>
        abort.signal.aborted ? undefined : this.#world.run(task, this.#lives.get(life.host) ?? life, abort.signal),
      )
      .catch((error: unknown) => {
        if (abort.signal.aborted) return;
        this.happened(life.host, {
          kind: 'failed',
          reason: `${task}: ${error instanceof Error ? error.message : String(error)}`,
        });
      })
      .then(() => {
        if (this.#running.get(life.host)?.abort === abort) this.#running.delete(life.host);
        if (this.#tails.get(life.host) !== done) return;
        this.#tails.delete(life.host);
        this.#outside(() => this.#world.rested?.(life.host));
      });
    this.#running.set(life.host, { task, abort });
    this.#tails.set(life.host, done);
  }

  /** Resolves when no task runs any more, at most after so many milliseconds. */
  async settle(milliseconds: number): Promise<void> {
    const all = Promise.all(this.#tails.values()).then(() => undefined);
    let off = () => {};
    const late = new Promise<void>((resolve) => {
      off = this.#world.after(milliseconds, resolve);
    });
    await Promise.race([all, late]);
    off();
  }

  /** Ends all tasks; nothing moves any more. */
  async close(milliseconds: number): Promise<void> {
    this.#closed = true;
    for (const off of this.#alarms.values()) off();
    this.#alarms.clear();
    for (const running of this.#running.values()) running.abort.abort();
    await this.settle(milliseconds);
  }
}

export function iso(at: number): string {
  return new Date(at).toISOString();
}

/** Without the fields that are undefined. */
function drop<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never;
}
