// Files of the state folder, each replaced in one step: after a crash there is the old text or the new one, never half of it.
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Appended while a file is being written; what a crash leaves of it is swept at the next start. */
export const freshEnding = '.new';

/** Writes `file` with mode 0600, on the disk before it takes the old one's place. @throws Error naming the file */
export function replaceFile(file: string, text: string | Uint8Array): void {
  const fresh = `${file}${freshEnding}`;
  try {
    rmSync(fresh, { force: true });
    const fd = openSync(fresh, 'wx', 0o600);
    try {
      fchmodSync(fd, 0o600);
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
  } catch (error) {
    throw new Error(`write ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Gives a file of the state folder to whom the folder belongs to. */
export function handOver(file: string): void {
  const { uid, gid } = statSync(dirname(file));
  // Whoever owns the folder may have put a link in the file's place.
  const own = lstatSync(file);
  if (own.isFile() && own.uid !== uid) lchownSync(file, uid, gid);
}

/** No room, or none for this user. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '');
}
