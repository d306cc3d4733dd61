// Turning the machine off or round. The file system of an installer is in memory, so a hard reset after a few seconds loses nothing.
import { run } from './child.ts';
import type { Clock, Log } from './host.ts';

export type PowerAction = 'reboot' | 'poweroff';

/** Each way in turn, until one is still waiting for the machine to go down. */
const ways: Record<PowerAction, readonly (readonly string[])[]> = {
  reboot: [['systemctl', 'reboot'], ['reboot'], ['reboot', '-f'], ['busybox', 'reboot', '-f']],
  poweroff: [['systemctl', 'poweroff'], ['poweroff'], ['poweroff', '-f'], ['busybox', 'poweroff', '-f']],
};

export interface Power {
  /** Resolves once every way was tried; on a real machine it is gone before. */
  now(action: PowerAction, why: string): Promise<void>;
}

/**
 * @param real false with a --root of its own: then the wish is only logged.
 */
export function makePower(real: boolean, clock: Clock, log: Log): Power {
  return {
    async now(action, why) {
      log.loud(`${action}: ${why}`);
      if (!real) {
        log.info(`${action}: not done, this is not a machine's own root`);
        return;
      }
      for (const argv of ways[action]) {
        const { code, why: failed, stderr } = await run(argv, { deadlineMs: 20_000 });
        if (code === 0) await clock.sleep(30_000);
        log.info(`${argv.join(' ')}: ${code === 0 ? 'the machine is still up' : `${failed ?? code} ${stderr.trim()}`}`);
      }
    },
  };
}
