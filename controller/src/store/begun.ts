// Which disks a run has begun to write to, and that were free before: what they hold until the install has ended is nobody's but ours, and may be
// written over when the machine, the agent or the controller begins anew in the middle.
//
// A later run believes it only of a machine that is still in the very boot in which it was written: whatever booted in between may have put
// something there that somebody wants to keep. Then the disk is judged by what it holds.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './file.ts';

export interface Begun {
  /** Identities (machine/disks.ts) of the disks; undefined: none. */
  get(host: string, bootId: string): ReadonlySet<string> | undefined;
  /** Before the first byte is written. Never throws: what can't be written is known in this run only. */
  set(host: string, bootId: string, identities: ReadonlySet<string>): void;
  /** Before the reboot mark: from here on the disks hold a system. Never throws. */
  clear(host: string): void;
}

interface Entry {
  readonly bootId: string;
  readonly identities: readonly string[];
}

/** Where entries outlive a run. */
export interface BegunShelf {
  read(host: string): Entry | undefined;
  write(host: string, entry: Entry): void;
  remove(host: string): void;
}

/** @param onTrouble told what couldn't be written */
export function begunOn(shelf: BegunShelf, onTrouble?: (text: string) => void): Begun {
  const here = new Map<string, ReadonlySet<string>>();
  return {
    get(host, bootId) {
      const own = here.get(host);
      if (own !== undefined) return own;
      const entry = shelf.read(host);
      return entry?.bootId === bootId ? new Set(entry.identities) : undefined;
    },
    set(host, bootId, identities) {
      here.set(host, identities);
      try {
        shelf.write(host, { bootId, identities: [...identities] });
      } catch (error) {
        onTrouble?.(
          `${(error as Error).message}; should this run be cut off while it writes to ${host}, the next one needs --reinstall ${host}`,
        );
      }
    },
    clear(host) {
      here.delete(host);
      try {
        shelf.remove(host);
      } catch (error) {
        onTrouble?.(`forget what was begun on ${host}: ${(error as Error).message}`);
      }
    },
  };
}

/** One file a host in `folder`. A file that can't be read counts as none. */
export function openBegun(folder: string, onTrouble?: (text: string) => void): Begun {
  const file = (host: string) => join(folder, `${host}.json`);
  return begunOn(
    {
      read: (host) => read(file(host)),
      write(host, entry) {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        replaceFile(file(host), `${JSON.stringify(entry)}\n`);
      },
      remove: (host) => rmSync(file(host), { force: true }),
    },
    onTrouble,
  );
}

function read(file: string): Entry | undefined {
  try {
    const { bootId, identities } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    if (typeof bootId !== 'string' || bootId === '' || !Array.isArray(identities)) return undefined;
    return identities.every((each) => typeof each === 'string') ? { bootId, identities } : undefined;
  } catch {
    return undefined;
  }
}
