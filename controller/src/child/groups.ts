// The process groups that this process has started and that still live. The one list here that is not an argument: it stands for the kernel's
// own list of our children, and the end of the process must reach all of them, whoever started them.
import { readdirSync, readFileSync } from 'node:fs';

const live = new Set<number>();

export type GroupKill = (pid: number, signal: NodeJS.Signals) => void;

/** Remembers the group that a child with `detached: true` leads. */
export function addGroup(pid: number): void {
  live.add(pid);
}

export function removeGroup(pid: number): void {
  live.delete(pid);
}

/**
 * Sends a signal to each process of the group, and to the other groups of the session that its leader made (`detached` is setsid): timeout(1) puts
 * its child into a group of its own, out of the reach of ours. Nobody left is fine.
 */
export function signalGroup(pid: number, signal: NodeJS.Signals, kill: GroupKill = process.kill, proc = '/proc'): void {
  // Group 0 is our own and -1 is everybody: never.
  if (!Number.isInteger(pid) || pid <= 1) {
    throw new Error(`signal process group: expected a process id above 1, found ${pid}`);
  }
  for (const group of new Set([pid, ...sessionGroups(pid, proc)])) {
    if (group <= 1) continue;
    try {
      kill(-group, signal);
    } catch (error) {
      // Gone, or all of it runs as somebody whom we may not signal; it is nothing that a timer could throw at anybody.
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}

/** Groups of the processes in the session that `pid` leads or led: fields 3 (state), 5 (group) and 6 (session) of proc(5) `/proc/PID/stat`. */
export function sessionGroups(pid: number, proc = '/proc'): number[] {
  const groups = new Set<number>();
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue;
    let stat: string;
    try {
      stat = readFileSync(`${proc}/${name}/stat`, 'utf8');
    } catch {
      continue; // it ended in between
    }
    // The program's name, in parentheses, may hold blanks and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie only waits to be counted by its parent.
    if (fields[0] !== 'Z' && Number(fields[3]) === pid) groups.add(Number(fields[2]));
  }
  return [...groups];
}

/** For the end of the controller: all groups get the signal at once, without waiting. Returns how many there were. */
export function killAllGroups(signal: NodeJS.Signals = 'SIGKILL'): number {
  const groups = [...live];
  live.clear();
  for (const pid of groups) signalGroup(pid, signal);
  return groups.length;
}
