// A machine whose power failed in a phase may show the host key of its next boot before the agent of that boot has registered.
import type { PhaseResult } from '../install/run.ts';
import type { Life } from '../machine/life.ts';
import { iso } from './core.ts';
import type { TaskWorld } from './task-world.ts';

/** From the first answer of its sshd to the registration of its agent, on a slow machine. */
const registersMs = 120_000;

/**
 * Another key answers, and since the agent registered the machine was given one more boot script: its agent is waited for. Nothing is sent to it
 * before. True when this phase is called off, by the registration or otherwise.
 */
export async function bootsAnew(
  world: TaskWorld,
  life: Life,
  signal: AbortSignal,
  result: PhaseResult,
): Promise<boolean> {
  if (result.ok || result.cause !== 'other-machine' || !world.expects(life.host)) return false;
  world.emit({
    event: 'notice',
    at: iso(world.now()),
    host: life.host,
    level: 'warning',
    text: `${result.sentence}; ${life.host} fetched its boot script once more, so that this may be its installer in a new boot: its agent is waited for`,
  });
  await world.sleep(registersMs, signal);
  return signal.aborted;
}
