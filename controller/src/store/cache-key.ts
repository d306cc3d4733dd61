// The key that signs the binary cache, kept in the state folder: machines in the middle of an install go on believing a controller that was
// started anew.
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { type CacheKey, makeCacheKey, readCacheKey } from '../nix/narinfo.ts';
import { replaceFile } from './file.ts';

/** The key in `file` (in nix's own form, 0600), or a new one. A damaged file is set aside. @throws Error naming the file */
export function loadCacheKey(file: string): CacheKey & { readonly setAside?: string } {
  let kept: string | undefined;
  try {
    kept = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
  }
  let setAside: string | undefined;
  if (kept !== undefined) {
    try {
      return readCacheKey(kept);
    } catch {
      setAside = `${file}.damaged`;
      renameSync(file, setAside);
    }
  }
  // nix tells keys apart by their names, and a machine may have met another controller.
  const key = makeCacheKey(`nixie-${randomBytes(4).toString('hex')}-1`);
  replaceFile(file, `${key.secretText}\n`);
  return { ...key, ...(setAside === undefined ? {} : { setAside }) };
}
