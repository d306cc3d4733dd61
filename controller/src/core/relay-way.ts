// Machines behind a relay are reached by its link alone. A task waits for the link, and begins again when it was lost in the middle: that is nobody's
// failure, and what was copied is not copied again.
import type { Host } from '../machine/host.ts';
import type { Life } from '../machine/life.ts';
import { iso, type Task } from './core.ts';
import type { Action, Plan, TaskWorld } from './task-world.ts';

/** What tasks need of relays. */
export interface RelayWay {
  /** Rejects at the signal. */
  whenUp(relay: string, signal: AbortSignal): Promise<void>;
  /** Was the link lost, or not there, since that moment of `ticks`? */
  cutSince(relay: string, since: number): boolean;
  /** The link stands, and nothing has come by it for so long that it may be cut: that is known for sure only later. */
  isSilent(relay: string): boolean;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
  /** Options of ssh(1) by which it reaches machines behind the relay. */
  sshOptions(relay: string): readonly string[];
}

/** What went wrong went wrong while the link was lost. */
export class LinkCut extends Error {
  override name = 'LinkCut';
}

/** Now, for `cut`. */
export function linkClock(world: TaskWorld): number {
  return world.relays?.ticks() ?? 0;
}

/** Was the way to the machine lost since? */
export function cut(world: TaskWorld, { relay }: Pick<Host, 'relay'>, since: number): boolean {
  return relay !== undefined && world.relays?.cutSince(relay, since) === true;
}

/** May the way to the machine be cut just now, though nobody has said so yet? */
export function silent(world: TaskWorld, { relay }: Pick<Host, 'relay'>): boolean {
  return relay !== undefined && world.relays?.isSilent(relay) === true;
}

/** Options in front of every ssh to the machine. */
export function sshWay(
  world: Pick<TaskWorld, 'relays'>,
  { relay }: Pick<Host, 'relay'>,
): { options?: readonly string[] } {
  if (relay === undefined || world.relays === undefined) return {};
  return { options: world.relays.sshOptions(relay) };
}

/** A link that comes and goes for ever ends an install after so many beginnings. */
const mostTries = 20;
/** The agent comes back a minute after the link at the latest, and needs a moment for the disks. */
const againMs = 150_000;
/** A login that was lost in the middle of these may be at work on the disks still. The copy goes on into what disko has mounted. */
const before: Readonly<Partial<Record<Task, Action>>> = {
  disko: { $case: 'resetDisks', value: {} },
  install: { $case: 'abort', value: {} },
};

/** Runs a task of a machine that may be behind a relay. */
export async function byRelay(
  world: TaskWorld,
  task: Task,
  { host }: Pick<Plan, 'host'>,
  life: Life,
  signal: AbortSignal,
  run: () => Promise<void>,
): Promise<void> {
  const { relay } = host;
  const { relays } = world;
  if (relay === undefined || relays === undefined || task === 'leave') return await run();
  for (let tries = 1; ; tries++) {
    await relays.whenUp(relay, signal).catch(() => undefined);
    if (signal.aborted) return;
    const began = relays.ticks();
    try {
      const first = tries > 1 ? before[task] : undefined;
      if (first !== undefined) {
        const { ok, error } = await world.agents.instruct(life.host, first, againMs);
        if (!ok) throw new Error(`end what was under way: ${error || 'its agent failed'}`);
      }
      if (signal.aborted) return;
      return await run();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof LinkCut || relays.cutSince(relay, began))) throw error;
      if (tries >= mostTries)
        throw new Error(
          `the link of relay ${relay} was lost each of the ${tries} times that this was begun: ${(error as Error).message}`,
          { cause: error },
        );
      world.emit({
        event: 'notice',
        at: iso(world.now()),
        host: life.host,
        level: 'warning',
        text: `the link of relay ${relay} was lost meanwhile (${(error as Error).message}); it goes on when it is back`,
      });
    }
  }
}
