// Folders with those above them, with an end. Node's own mkdir (recursive) begins anew for ever, at full speed and with ever more memory, where the
// kernel says "no such file" below a folder that is there: below /proc, on automounts and in control groups.
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * As `mkdir -p`; each folder of the way is tried once.
 * @param mode of those that are made
 * @returns the first that was made; undefined: it was there
 * @throws Error that names what stands in the way
 */
export function makeFolders(path: string, mode = 0o777): string | undefined {
  const missing: string[] = [];
  for (let at = resolve(path); statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at))
    missing.unshift(at);
  if (missing.length === 0 && !statSync(path).isDirectory()) throw new Error(`${path} is no folder`);
  for (const each of missing) {
    try {
      mkdirSync(each, { mode });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Somebody was faster; a link to nothing stays one.
      if (code === 'EEXIST' && statSync(each, { throwIfNoEntry: false })?.isDirectory()) continue;
      const why =
        code === 'ENOENT' || code === 'EPERM'
          ? `no folder can be made in ${dirname(each)} (${code})`
          : code === 'EEXIST'
            ? `${each} is no folder, or a link to nothing`
            : (error as Error).message;
      throw new Error(why, { cause: error });
    }
  }
  return missing[0];
}
