// What a run that was killed left behind: children that go on writing to a machine, and private keys in memory. Only called while the lock of the
// state folder is held, so that all that is found belongs to nobody.
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { memoryPlaces, runPrefix } from './folders.ts';

export interface LeftoverWorld {
  readonly places?: readonly string[];
  readonly proc?: string;
  readonly kill?: (pid: number, signal: NodeJS.Signals) => void;
  readonly uid?: number;
}

export interface Leftovers {
  readonly folders: number;
  readonly processes: number;
}

/**
 * Ends the processes that have a run folder of this state folder in their environment (HOME, TMPDIR), and removes the folders.
 * @param fallback as given to makeRunFolder
 */
export function removeLeftovers(fallback: string, world: LeftoverWorld = {}): Leftovers {
  const { places = memoryPlaces, proc = '/proc', kill = process.kill, uid = process.getuid?.() ?? 0 } = world;
  const prefix = runPrefix(fallback);
  const folders = [
    ...places.flatMap((place) =>
      list(place)
        .filter((name) => name.startsWith(prefix))
        .map((name) => join(place, name)),
    ),
    ...list(fallback)
      .filter((name) => name.startsWith('run-'))
      .map((name) => join(fallback, name)),
    // Everybody may make names in such places.
  ].filter((folder) => isOwnFolder(folder, uid));
  let processes = 0;
  if (folders.length > 0)
    for (const name of list(proc)) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) continue;
      if (!belongs(read(join(proc, name, 'environ')), folders)) continue;
      try {
        kill(pid, 'SIGKILL');
        processes++;
      } catch {
        // It ended by itself.
      }
    }
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  return { folders: folders.length, processes };
}

/** HOME and TMPDIR of a child are below its run folder; the words of `environ` end in NUL. */
function belongs(environ: string, folders: readonly string[]): boolean {
  return environ
    .split('\0')
    .some((word) =>
      folders.some((folder) => word.startsWith(`HOME=${folder}/`) || word.startsWith(`TMPDIR=${folder}/`)),
    );
}

function isOwnFolder(path: string, uid: number): boolean {
  try {
    const found = statSync(path);
    return found.isDirectory() && found.uid === uid;
  } catch {
    return false;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
