// The process groups that this process has started and that still live. The one list here that is not an argument: it stands for the kernel's
// own list of our children, and the end of the process must reach all of them, whoever started them.

const live = new Set<number>();

export type GroupKill = (pid: number, signal: NodeJS.Signals) => void;

/** Remembers the group that a child with `detached: true` leads. */
export function addGroup(pid: number): void {
  live.add(pid);
}

export function removeGroup(pid: number): void {
  live.delete(pid);
}

/** Sends a signal to each process of the group; nobody left is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals, kill: GroupKill = process.kill): void {
  // Group 0 is our own and -1 is everybody: never.
  if (!Number.isInteger(pid) || pid <= 1)
    throw new Error(`signal process group: expected a process id above 1, found ${pid}`);
  try {
    kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** For the end of the controller: all groups get the signal at once, without waiting. Returns how many there were. */
export function killAllGroups(signal: NodeJS.Signals = 'SIGKILL'): number {
  const groups = [...live];
  live.clear();
  for (const pid of groups) signalGroup(pid, signal);
  return groups.length;
}
