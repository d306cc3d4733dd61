/** Files of the cache are replaced whole: two runs may prepare the same lab at the same time. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';

/** Writes `text` to `path` by temp file and rename, unless it is there already. */
export function writeIfChanged(path: string, text: string | Uint8Array): void {
  if (existsSync(path) && Buffer.from(text).equals(readFileSync(path))) return;
  const fresh = `${path}.${process.pid}.tmp`;
  writeFileSync(fresh, text);
  renameSync(fresh, path);
}

/** SHA-256 of a file as 64 hex digits. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
