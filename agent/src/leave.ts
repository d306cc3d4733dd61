// Our own end. Node's waits for its threads, and one that reads what hangs never comes back.
import { closeSync, openSync } from 'node:fs';
import { killAllChildren } from './child.ts';

const shell = '/bin/sh';

/**
 * Ends with a status, by `exit` or worse. Where a read still hangs, another program takes our place, and our threads end with us. What sleeps in the kernel where no
 * signal reaches it keeps even that waiting; but whoever reads our output has its end by then.
 */
export function leave(code: number, exit: (code: number) => never): never {
  if (!process.getActiveResourcesInfo().some((each) => each.startsWith('FSReq'))) return exit(code);
  killAllChildren();
  try {
    closeSync(1);
    // In its place: execve wants all three to be open.
    openSync('/dev/null', 'w');
    process.execve?.(shell, ['sh', '-c', `exit ${code}`], {});
  } catch {
    // No shell; or a file that a thread was just opening has taken the place of our output, and hangs.
  }
  // The status is lost, the end is not.
  process.kill(process.pid, 'SIGKILL');
  return exit(code);
}
