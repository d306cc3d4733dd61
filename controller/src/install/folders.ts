// The private folders of one run of one host: keys in memory where the system has a place for that, removed at the end.
import { createHash } from 'node:crypto';
import { chmod, chown, lchown, mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunPaths } from './plan.ts';

export interface RunFolder extends RunPaths {
  /** 0700, holds all the others. */
  readonly path: string;
  /** Private keys of this run. */
  readonly keys: string;
  /** True when nothing of it reaches a disk (swap aside). */
  readonly inMemory: boolean;
  /** Removes everything; safe to call twice. */
  remove(): Promise<void>;
}

// statfs(2): file systems that live in memory.
const tmpfs = 0x01021994;
const ramfs = 0x858458f6;

/** Places in memory that root or everybody may write to. */
export const memoryPlaces: readonly string[] = ['/dev/shm', '/run'];

/**
 * Makes the folders under the first of `places` that is in memory and can be written, else under `fallback` (the state folder).
 * No name has blanks, because nixos-anywhere joins them unquoted.
 */
export async function makeRunFolder(fallback: string, places: readonly string[] = memoryPlaces): Promise<RunFolder> {
  for (const place of places) {
    if (!(await isInMemory(place))) continue;
    const path = await mkdtemp(join(place, runPrefix(fallback))).catch(() => undefined);
    if (path !== undefined) return await fill(path, true);
  }
  if (/[\s'"\\]/.test(fallback))
    throw new Error(`make run folder: expected a state folder without blanks or quotes, found "${fallback}"`);
  await mkdir(fallback, { recursive: true, mode: 0o700 });
  return await fill(await mkdtemp(join(fallback, 'run-')), false);
}

/** How the names of the run folders of one state folder begin, wherever they are: what a killed run left is found by it. */
export function runPrefix(fallback: string): string {
  return `nixie-${createHash('sha256').update(fallback).digest('hex').slice(0, 16)}-`;
}

async function isInMemory(place: string): Promise<boolean> {
  const stats = await statfs(place).catch(() => undefined);
  return stats !== undefined && (stats.type === tmpfs || stats.type === ramfs);
}

async function fill(path: string, inMemory: boolean): Promise<RunFolder> {
  const inside = (name: string) => join(path, name);
  const folder = { shim: inside('bin'), home: inside('home'), tmp: inside('tmp'), keys: inside('keys') };
  for (const each of [path, ...Object.values(folder)]) await makePrivate(each);
  return { path, ...folder, inMemory, remove: () => rm(path, { recursive: true, force: true }) };
}

/**
 * Lets a child of this user work in the folder: all that is in it becomes theirs. The folder itself stays ours, so that nobody exchanges its parts
 * and a later run knows it for its own; their group may walk through.
 */
export async function giveFolder(folder: RunFolder, to: { readonly uid: number; readonly gid: number }): Promise<void> {
  const give = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inside = join(path, entry.name);
      if (entry.isDirectory()) await give(inside);
      await lchown(inside, to.uid, to.gid);
    }
  };
  // Before anybody else may come in.
  await give(folder.path);
  await chown(folder.path, -1, to.gid);
  await chmod(folder.path, 0o710);
}

/** A folder that only its owner may enter, whatever the umask. */
export async function makePrivate(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
}
