// Whether the machine's sshd takes connections: the controller comes as soon as it knows of us.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './host.ts';

/** Whether some socket of proc(5) `net/tcp` or `net/tcp6` listens on the port: state 0A, the port in hexadecimal behind the local address. */
export function listens(table: string, port: number): boolean {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return state === '0A' && local?.split(':')[1] === wanted;
  });
}

/** Waits until somebody listens on port 22. False when nobody does after the time; true where the kernel shows no table. */
export async function awaitSshServer(
  root: string,
  clock: Clock,
  forMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const until = clock.ticks() + forMs;
  for (;;) {
    const tables = ['tcp', 'tcp6'].flatMap((name) => {
      try {
        return [readFileSync(join(root, 'proc/net', name), 'utf8')];
      } catch {
        return [];
      }
    });
    if (tables.length === 0 || tables.some((table) => listens(table, 22))) return true;
    if (signal?.aborted || clock.ticks() >= until) return false;
    await clock.sleep(100, signal);
  }
}
