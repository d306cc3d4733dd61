// One folder of log files for each run: their names, which of them are kept, and where the files of a host are.
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from './make-folders.ts';

/** In UTC, so that their order is that of the runs: `20261120T212717Z`, then `20261120T212717Z-1`. */
const runName = /^\d{8}T\d{6}Z(?:-\d{1,3})?$/;

/** Of a host, or of the run as a whole. Whatever the name, it stays in the folder and no two hosts share a file. */
export function logFileName(host: string | undefined): string {
  if (host === undefined) return '_run.log';
  const safe = host.replace(/[^A-Za-z0-9._-]|^[._]+/g, (odd) => `%${Buffer.from(odd).toString('hex').toUpperCase()}`);
  return `${safe}.log`;
}

/** Set aside when it grew too large; what was set aside before is gone then. */
export const olderEnding = '.1';

/**
 * Makes the folder of a run (0700).
 * @throws Error naming the folder
 */
export function makeRunLogs(logDir: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  try {
    makeFolders(logDir, 0o700);
    for (let count = 0; ; count++) {
      const folder = join(logDir, count === 0 ? stamp : `${stamp}-${count}`);
      try {
        mkdirSync(folder, { mode: 0o700 });
        return folder;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || count >= 999) throw error;
      }
    }
  } catch (error) {
    throw new Error(
      `make log folder in ${logDir}: ${(error as Error).message}; accepted by --log-dir: a folder on a disk that this user may write to`,
      { cause: error },
    );
  }
}

interface Run {
  readonly folder: string;
  readonly bytes: number;
  readonly changed: number;
}

/** Folders of runs, newest first. Links and what has other names are none. Never throws. */
export function runFolders(logDir: string): string[] {
  try {
    return readdirSync(logDir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && runName.test(entry.name))
      .map((entry) => join(logDir, entry.name))
      .sort(
        (a, b) =>
          b.replace(/-\d+$/, '').localeCompare(a.replace(/-\d+$/, '')) || b.length - a.length || (a < b ? 1 : -1),
      );
  } catch {
    return [];
  }
}

export interface Keeping {
  /** Runs besides the one that begins. */
  readonly mostRuns: number;
  /** Of all of them. */
  readonly mostBytes: number;
  /** Whoever wrote to it so lately may still be at work. Milliseconds. */
  readonly untouchedMs: number;
}

/** Removes the oldest runs. @returns sentences about what could not be removed */
export function sweepRuns(logDir: string, keep: Keeping, now: number): string[] {
  const told: string[] = [];
  let bytes = 0;
  runFolders(logDir).forEach((folder, at) => {
    const run = measure(folder);
    bytes += run.bytes;
    if ((at < keep.mostRuns && bytes <= keep.mostBytes) || now - run.changed < keep.untouchedMs) return;
    try {
      rmSync(folder, { recursive: true, force: true });
      bytes -= run.bytes;
    } catch (error) {
      told.push(`remove ${folder}: ${(error as Error).message}`);
    }
  });
  return told;
}

function measure(folder: string): Run {
  let bytes = 0;
  let changed = 0;
  try {
    for (const name of ['.', ...readdirSync(folder)]) {
      const { size, mtimeMs } = lstatSync(join(folder, name));
      bytes += size;
      changed = Math.max(changed, mtimeMs);
    }
  } catch {
    // It is being removed by somebody else.
  }
  return { folder, bytes, changed };
}

/** The files that hold what was said of a host in a run, oldest first. */
export function logFilesOf(folder: string, host: string): string[] {
  const file = join(folder, logFileName(host));
  return [`${file}${olderEnding}`, file].filter((each) => {
    try {
      return lstatSync(each).isFile();
    } catch {
      return false;
    }
  });
}
