// What the agent itself sees of an install: the target gets mounted, bytes land on it, it is unmounted.
import type { Progress } from '@nixie/proto/agent';
import type { Clock } from './host.ts';
import { installMounts, landedBytes } from './mounts.ts';

/**
 * Looks once a second and tells what changed, until the signal fires. `done_bytes` are those that came since the mount.
 */
export async function watchInstall(
  root: string,
  found: (progress: Progress) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let empty: number | undefined;
  let last = -1;
  while (!signal.aborted) {
    const used = await landedBytes(root);
    if (used !== undefined) {
      if (empty === undefined) {
        empty = used;
        const devices = [...new Set(installMounts(root).map(({ device }) => device))].join(', ');
        found({ stage: 'disko', doneBytes: 0n, totalBytes: undefined, note: `mounted at /mnt: ${devices}` });
      }
      const done = Math.max(0, used - empty);
      if (done !== last) found({ stage: 'copy', doneBytes: BigInt(done), totalBytes: undefined, note: '' });
      last = done;
    } else if (empty !== undefined && installMounts(root).length === 0) {
      empty = undefined;
      last = -1;
      found({ stage: 'install', doneBytes: 0n, totalBytes: undefined, note: '/mnt was unmounted' });
    }
    await clock.sleep(1000, signal);
  }
}
