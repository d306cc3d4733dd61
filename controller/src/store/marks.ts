// The mark that stands from before the reboot into the new system until the run has come to a result: a run that was cut off in between
// goes on with the proof, and offers nobody the installer meanwhile. It permits nothing; losing it costs a look at the disks.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './file.ts';

export interface Marks {
  /** Store path of the system that the host is rebooting into. */
  get(host: string): string | undefined;
  /** On the disk when it returns. @throws Error naming the file */
  set(host: string, toplevel: string): void;
  /** Never throws. */
  clear(host: string): void;
}

export function openMarks(folder: string): Marks {
  const file = (host: string) => join(folder, `${host}.json`);
  return {
    get(host) {
      try {
        const { toplevel } = JSON.parse(readFileSync(file(host), 'utf8')) as Record<string, unknown>;
        return typeof toplevel === 'string' ? toplevel : undefined;
      } catch {
        return undefined;
      }
    },
    set(host, toplevel) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      replaceFile(file(host), `${JSON.stringify({ toplevel })}\n`);
    },
    clear(host) {
      try {
        rmSync(file(host), { force: true });
      } catch {
        // Then the next run looks for a machine that is up, once.
      }
    },
  };
}
