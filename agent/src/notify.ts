// Telling systemd that the agent is up and alive. Node has no datagram socket for AF_UNIX, so the systemd-notify program does it.
import { run } from './child.ts';
import type { Clock } from './host.ts';

/** Says READY=1 once and WATCHDOG=1 at a third of the unit's watchdog time; nothing without NOTIFY_SOCKET. */
export async function keepNotified(env: NodeJS.ProcessEnv, clock: Clock, signal: AbortSignal): Promise<void> {
  if (!env.NOTIFY_SOCKET) return;
  const say = (word: string): Promise<unknown> =>
    run(['systemd-notify', `--pid=${process.pid}`, word], { deadlineMs: 5000 });
  await say('READY=1');
  const watchdogMs = Number(env.WATCHDOG_USEC) / 1000;
  if (!(watchdogMs > 0)) return;
  while (!signal.aborted) {
    await clock.sleep(Math.max(1000, watchdogMs / 3), signal);
    await say('WATCHDOG=1');
  }
}
