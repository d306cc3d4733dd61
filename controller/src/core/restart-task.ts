// What was tried twice failed twice: the installer is booted afresh, and all begins again there.
import type { Life } from '../machine/life.ts';
import { iso } from './core.ts';
import type { Plan, TaskWorld } from './task-world.ts';

const sessionMs = 90_000;
const rebootMs = 10_000;

/**
 * Whatever holds its disks or its network there: a fresh boot ends it. What comes then is as after any other boot. One whose agent isn't heard may
 * be starting by itself already, e.g. after a power cut that made the tries fail: it is waited for, like one that reboots.
 */
export async function restart(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const told = await world.agents
    .connected(life.host, sessionMs, signal, life.bootId)
    .then(() => world.agents.instruct(life.host, { $case: 'reboot', value: { delayMs: 0 } }, rebootMs))
    .catch((error: Error) => error);
  if (signal.aborted) return;
  if (told instanceof Error) {
    const text = `its installer was not told to boot afresh: ${told.message}; it is waited for, should it start by itself`;
    world.emit({ event: 'notice', at: iso(world.now()), host: life.host, level: 'warning', text });
    // Should it be off.
    await world.wake(plan.host.macs, signal, plan.host.relay);
  } else if (!told.ok) {
    const reason = `${life.reason}; and its installer could not be booted afresh: ${told.error || 'its agent failed'}`;
    world.tell(life.host, { kind: 'failed', reason });
  }
}
