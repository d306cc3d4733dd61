// The private folders of one run of one host: keys in memory where the system has a place for that, removed at the end.
import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  chown,
  constants,
  lchown,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import type { ChildUser } from '../child/identity.ts';
import type { RunPaths } from './plan.ts';

export interface RunFolder extends RunPaths {
  /** 0700, holds all the others. */
  readonly path: string;
  /** Private keys of this run. */
  readonly keys: string;
  /** For what is sent to a machine: what lies in it may be open to all, it itself is not. */
  readonly staged: string;
  /** True when nothing of it reaches a disk (swap aside), but for programs. */
  readonly inMemory: boolean;
  /** True when another user can be let in, to all of it. */
  readonly sharable: boolean;
  /** Removes everything; safe to call twice. */
  remove(): Promise<void>;
}

// statfs(2): file systems that live in memory.
const tmpfs = 0x01021994;
const ramfs = 0x858458f6;

/** Places in memory that root or everybody may write to. */
export const memoryPlaces: readonly string[] = ['/dev/shm', '/run'];

/**
 * Makes the folders under the first of `places` that is in memory and can be written, else under `fallback` (the state folder). Where programs may
 * not be executed in memory (mounted noexec), the shim's folder is under `fallback`: a shim that can't be executed is passed over by all who
 * look for an ssh, and the next one in PATH believes any host key.
 * No name has blanks, because nixos-anywhere joins them unquoted.
 * @throws when programs may be executed in neither
 */
export async function makeRunFolder(fallback: string, places: readonly string[] = memoryPlaces): Promise<RunFolder> {
  let path: string | undefined;
  for (const place of places) {
    if (!(await isInMemory(place))) continue;
    path = await mkdtemp(join(place, runPrefix(fallback))).catch(() => undefined);
    if (path !== undefined) break;
  }
  const inMemory = path !== undefined;
  if (path !== undefined && (await executes(path))) return await fill(path, { inMemory, programs: path });
  try {
    if (/[\s'"\\]/.test(fallback))
      throw new Error(`make run folder: expected a state folder without blanks or quotes, found "${fallback}"`);
    await mkdir(fallback, { recursive: true, mode: 0o700 });
    const programs = await mkdtemp(join(fallback, 'run-'));
    if (await executes(programs)) return await fill(path ?? programs, { inMemory, programs });
    await rm(programs, { recursive: true, force: true });
    throw new Error(
      `make run folder: programs may not be executed in ${[...places, fallback].join(' or ')} (mounted noexec?): give --state a folder where they may`,
    );
  } catch (error) {
    if (path !== undefined) await rm(path, { recursive: true, force: true });
    throw error;
  }
}

/** Asks the kernel, with a program: whether a file system is mounted noexec is nothing that statfs(2) tells to Node. */
async function executes(folder: string): Promise<boolean> {
  const file = join(folder, 'try');
  await writeFile(file, '#!/bin/sh\n', { mode: 0o700 });
  await chmod(file, 0o700);
  const may = await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
  await rm(file);
  return may;
}

/** How the names of the run folders of one state folder begin, wherever they are: what a killed run left is found by it. */
export function runPrefix(fallback: string): string {
  return `nixie-${createHash('sha256').update(fallback).digest('hex').slice(0, 16)}-`;
}

async function isInMemory(place: string): Promise<boolean> {
  const stats = await statfs(place).catch(() => undefined);
  return stats !== undefined && (stats.type === tmpfs || stats.type === ramfs);
}

async function fill(path: string, where: { inMemory: boolean; programs: string }): Promise<RunFolder> {
  const inside = (name: string) => join(path, name);
  const folder = {
    shim: join(where.programs, 'bin'),
    home: inside('home'),
    tmp: inside('tmp'),
    keys: inside('keys'),
    staged: inside('staged'),
  };
  for (const each of [path, where.programs, ...Object.values(folder)]) await makePrivate(each);
  return {
    path,
    ...folder,
    inMemory: where.inMemory,
    sharable: where.inMemory && where.programs === path,
    async remove() {
      for (const each of new Set([path, where.programs])) await rm(each, { recursive: true, force: true });
    },
  };
}

/**
 * Lets a child of this user work in the folder: all that is in it becomes theirs. The folder itself stays ours, so that nobody exchanges its parts
 * and a later run knows it for its own; their group may walk through.
 */
export async function giveFolder(folder: RunFolder, to: ChildUser): Promise<void> {
  if (!folder.sharable)
    throw new Error(
      `let user ${to.uid} work in ${folder.path}: expected a place in memory where programs may be executed (${memoryPlaces.join(', ')})`,
    );
  const give = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inside = join(path, entry.name);
      if (entry.isDirectory()) await give(inside);
      await lchown(inside, to.uid, to.gid);
    }
  };
  // Before anybody else may come in.
  await give(folder.path);
  await letThrough(folder.path, to);
}

/** Lets this user, and all of their group, go through the folder to what they may reach in it. */
export async function letThrough(path: string, to: ChildUser): Promise<void> {
  await chown(path, -1, to.gid);
  await chmod(path, 0o710);
}

/** A folder that only its owner may enter, whatever the umask. */
export async function makePrivate(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
}
