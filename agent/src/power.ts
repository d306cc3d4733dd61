// Turning the machine off or round. The file system of an installer is in memory, so a hard reset loses nothing.
import { existsSync, writeFileSync } from 'node:fs';
import { run } from './child.ts';
import type { Clock, Log } from './host.ts';

export type PowerAction = 'reboot' | 'poweroff';

/**
 * What to try, in order. Where systemd runs it gets its time to unmount disks; elsewhere process 1 is the image's own script, which
 * nobody can ask, so the kernel is told at once.
 */
export function powerWays(action: PowerAction, systemd: boolean): readonly (readonly string[])[] {
  const force = [
    [action, '-f'],
    ['busybox', action, '-f'],
  ];
  return systemd ? [['systemctl', action], ...force] : [['sync'], ...force];
}

export interface Power {
  /** Resolves once every way was tried; on a real machine it is gone before. */
  now(action: PowerAction, why: string): Promise<void>;
}

/** @param real false with a --root of its own: then the wish is only logged */
export function makePower(real: boolean, clock: Clock, log: Log): Power {
  return {
    async now(action, why) {
      log.loud(`${action}: ${why}`);
      if (!real) {
        log.info(`${action}: not done, this is not a machine's own root`);
        return;
      }
      for (const argv of powerWays(action, existsSync('/run/systemd/system'))) {
        const { code, why: failed, stderr } = await run(argv, { deadlineMs: 20_000 });
        if (argv[0] === 'sync') continue;
        if (code === 0) await clock.sleep(argv[0] === 'systemctl' ? 60_000 : 5000);
        log.info(`${argv.join(' ')}: ${code === 0 ? 'the machine is still up' : `${failed ?? code} ${stderr.trim()}`}`);
      }
      try {
        // The kernel's own hand on the switch; root may use it whatever kernel.sysrq says.
        writeFileSync('/proc/sysrq-trigger', action === 'reboot' ? 'b' : 'o');
      } catch (error) {
        log.loud(`${action}: ${(error as Error).message}: turn the machine off by hand`);
      }
    },
  };
}
