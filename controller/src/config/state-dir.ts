// The folder in which Nixie keeps what it would rather not lose: TLS key, leases, journal, placed host keys.
import { chmodSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type FolderOf, stateFolder } from '../store/lock.ts';
import { makeFolders } from '../store/make-folders.ts';

/** Where it is unless `--state` says otherwise; undefined when neither HOME nor XDG_STATE_HOME is known. */
export function defaultStateDir(uid: number, env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (uid === 0) return '/var/lib/nixie';
  // XDG Base Directory Specification: a relative path is to be ignored.
  if (env.XDG_STATE_HOME?.startsWith('/')) return join(env.XDG_STATE_HOME, 'nixie');
  return env.HOME?.startsWith('/') ? join(env.HOME, '.local/state/nixie') : undefined;
}

/** One of these is in each that we have used: the key of a controller, that of a relay, what a relay has cached. */
const ours: readonly string[] = ['tls.pem', 'relay-key.pem', 'narinfo'];

/**
 * Makes the folder, for its owner alone (0700: keys live there). Throws `make state folder …: reason` when that can't be done,
 * when the folder that is there belongs to somebody else, who could then exchange the keys, and when it is open to others and holds
 * what isn't ours: closing /tmp or a home would lock others out of it.
 */
export function makeStateDir(path: string, uid: number, of: FolderOf = stateFolder): void {
  try {
    makeFolders(path, 0o700);
    const { uid: owner, mode } = statSync(path);
    if (owner !== uid) throw new Error(`it belongs to user ${owner}, and this is user ${uid}`);
    if ((mode & 0o077) === 0) return;
    const names = readdirSync(path).filter((name) => name !== 'lost+found');
    if (names.length > 0 && !names.some((name) => ours.includes(name)))
      throw new Error(
        `it holds other things than Nixie's, like ${JSON.stringify(names[0])}, and is open to others (mode ${(mode & 0o7777).toString(8)}), which it may not be`,
      );
    chmodSync(path, 0o700);
  } catch (error) {
    throw noStateDir(path, error, of);
  }
}

/** Of a folder that can't be made or used. */
export function noStateDir(path: string, error: unknown, { what, flag }: FolderOf = stateFolder): Error {
  const why = (error as Error).message;
  return new Error(
    `make ${what} ${path}: ${why}; change that, or name another with ${flag}: a folder of its own on a disk that this user may write to`,
    {
      cause: error,
    },
  );
}
