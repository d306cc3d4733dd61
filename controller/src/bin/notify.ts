// Telling systemd how the service is. Node has no datagram socket for AF_UNIX, so the systemd-notify program does it.
import { execFile } from 'node:child_process';

/** Says a word such as `READY=1`; nothing without NOTIFY_SOCKET. Its failure is told and changes nothing. */
export function notify(
  env: Readonly<Record<string, string | undefined>>,
  word: 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1',
  failed: (text: string) => void,
): void {
  const { NOTIFY_SOCKET, PATH } = env;
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return;
  const argv = [`--pid=${process.pid}`, word];
  const options = { timeout: 5000, killSignal: 'SIGKILL', env: { PATH, NOTIFY_SOCKET } } as const;
  execFile('systemd-notify', argv, options, (error) => {
    if (error !== null) failed(`systemd-notify ${word}: ${error.message.split('\n')[0]}`);
  });
}

export interface WatchdogWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  /** Calls again and again; returns what ends that. */
  readonly every: (ms: number, call: () => void) => () => void;
  readonly tell: (word: 'WATCHDOG=1') => void;
  readonly failed: (text: string) => void;
}

/**
 * Tells systemd twice in each of its periods (sd_watchdog_enabled(3)) that this process is alive, as long as `answers` does; otherwise systemd
 * starts it again, and nothing on a disk is lost by that. Nothing is told when systemd doesn't ask. Returns what ends it.
 */
export function watchdog(answers: () => Promise<unknown>, world: WatchdogWorld): () => void {
  const { env, pid, every, tell, failed } = world;
  const periodMs = Number(env.WATCHDOG_USEC) / 1000;
  const forUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid);
  if (!forUs || !(periodMs >= 1)) return () => {};
  let asking = false;
  return every(periodMs / 2, () => {
    if (asking) return;
    asking = true;
    answers().then(
      () => {
        asking = false;
        tell('WATCHDOG=1');
      },
      (error: Error) => {
        asking = false;
        failed(`systemd is not told that this is alive: ${error.message}`);
      },
    );
  });
}
