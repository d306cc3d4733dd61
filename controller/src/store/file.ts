// Files of the state folder, each replaced in one step: after a crash there is the old text or the new one, never half of it.
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';

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
