// One run at a time in a state folder: two would take each other's leases, keys and sockets. The lock file names its holder, so a lock that a
// killed run left behind is told from a living one.
import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { handOver, isFull } from './file.ts';

/** How a folder that one run has to itself is called, and the flag that names it. */
export interface FolderOf {
  readonly what: string;
  readonly flag: string;
}

export const stateFolder: FolderOf = { what: 'state folder', flag: '--state' };

/** Another run uses the state folder. */
export class StateTaken extends Error {
  constructor(folder: string, holder: string, { what, flag }: FolderOf = stateFolder) {
    super(
      `${what} ${folder}: it is in use by ${holder}; wait for that run, or end it, or give this one a folder of its own with ${flag}`,
    );
    this.name = 'StateTaken';
  }
}

/** Of a process: number, and when it began in clock ticks since boot; together they name one process of this boot. */
export interface Holder {
  readonly pid: number;
  readonly began: string;
  readonly bootId: string;
}

export interface Processes {
  readonly self: number;
  /** Field 22 of proc(5) /proc/PID/stat; undefined when there is no such process. */
  began(pid: number): string | undefined;
  bootId(): string;
}

export const realProcesses: Processes = {
  self: process.pid,
  began(pid) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The program's name, in parentheses, may hold blanks and parentheses itself.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  },
  bootId() {
    try {
      return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    } catch {
      return '';
    }
  },
};

export interface LockOptions {
  /** Of another lock than that of the whole folder. */
  readonly name?: string;
  /** For who can do without room on the disk: told that there is none, and the lock is taken all the same. Absent: that is an error. */
  readonly full?: (why: string) => void;
}

/**
 * Takes `folder/lock`; the result gives it back.
 * @throws StateTaken when a living process holds it
 */
export function takeLock(
  folder: string,
  processes: Processes = realProcesses,
  of: FolderOf = stateFolder,
  { name = 'lock', full }: LockOptions = {},
): () => void {
  const file = `${folder}/${name}`;
  const own: Holder = {
    pid: processes.self,
    began: processes.began(processes.self) ?? '',
    bootId: processes.bootId(),
  };
  const fresh = `${file}.${processes.self}.new`;
  try {
    rmSync(fresh, { force: true });
    writeFileSync(fresh, `${JSON.stringify(own)}\n`, { mode: 0o600, flag: 'wx' });
    // A lock that can't be read counts as a dead one: whom the folder belongs to has to be able to read root's.
    if (process.getuid?.() === 0) handOver(fresh);
  } catch (error) {
    rmSync(fresh, { force: true });
    if (full === undefined || !isFull(error))
      throw new Error(`write ${fresh}: ${(error as Error).message}`, { cause: error });
    withoutRoom(own, fresh);
    full((error as Error).message);
  }
  try {
    for (let tries = 0; tries < 5; tries++) {
      try {
        // A link is made whole or not at all: nobody reads a lock without its holder.
        linkSync(fresh, file);
        return () => {
          if (same(readHolder(file), own)) rmSync(file, { force: true });
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
          throw new Error(`lock ${file}: ${(error as Error).message}`, { cause: error });
      }
      const holder = readHolder(file);
      // Given back this moment. What is there the next one may be somebody's who lives.
      if (holder === 'gone') continue;
      if (holder !== undefined && lives(holder, processes)) throw taken(folder, holder, of);
      setAside(file, holder, processes, { folder, of });
    }
    throw new StateTaken(folder, 'another run that begins at the same time', of);
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** The target of a symbolic link needs no block of a full disk: up to 59 bytes lie in ext4's inode, and these are fewer. */
function withoutRoom({ pid, began, bootId }: Holder, fresh: string): void {
  try {
    symlinkSync(`${pid} ${began} ${bootId}`, fresh);
  } catch (error) {
    throw new Error(`link ${fresh}: ${(error as Error).message}`, { cause: error });
  }
}

/** Takes a dead holder's lock away. Another run may have done so and taken it since: then its lock is put back. */
function setAside(
  file: string,
  dead: Holder | undefined,
  processes: Processes,
  { folder, of }: { readonly folder: string; readonly of: FolderOf },
): void {
  const aside = `${file}.${processes.self}.old`;
  try {
    renameSync(file, aside);
  } catch {
    return; // somebody was faster
  }
  const moved = readHolder(aside);
  try {
    if (moved !== undefined && moved !== 'gone' && !same(moved, dead) && lives(moved, processes)) {
      linkSync(aside, file);
      throw taken(folder, moved, of);
    }
  } finally {
    rmSync(aside, { force: true });
  }
}

function taken(folder: string, holder: Holder, of: FolderOf): StateTaken {
  return new StateTaken(folder, `a nixie that runs already (process ${holder.pid})`, of);
}

function lives(holder: Holder, processes: Processes): boolean {
  return holder.bootId === processes.bootId() && processes.began(holder.pid) === holder.began;
}

function same(a: Holder | 'gone' | undefined, b: Holder | undefined): boolean {
  return a !== 'gone' && a?.pid === b?.pid && a?.began === b?.began && a?.bootId === b?.bootId;
}

/** Undefined for a file that is no lock: it counts as a dead one. */
function readHolder(file: string): Holder | 'gone' | undefined {
  let words: Record<string, unknown>;
  try {
    words = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    // Of a link that was made without room the target is no file.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return undefined;
    const target = targetOf(file);
    if (target === undefined) return 'gone';
    const [pid, began, bootId] = target.split(' ');
    words = { pid: Number(pid), began, bootId };
  }
  const { pid, began, bootId } = words ?? {};
  if (!Number.isInteger(pid) || typeof began !== 'string' || typeof bootId !== 'string') return undefined;
  return { pid: pid as number, began, bootId };
}

function targetOf(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}
