// The archive form of a small store path, made in memory: a process for each of the thousands of small paths of a closure would cost more than
// their bytes. Large ones are sent by `nix-store --dump`.
import { lstat, open, readdir, readlink } from 'node:fs/promises';

export class NarTooLarge extends Error {
  override name = 'NarTooLarge';
}

/**
 * The NAR of what lies at `path` (Dolstra 2006, figure 5.2). Links are archived, not followed.
 * @param most bytes; more is an error
 * @throws NarTooLarge, and what the file system throws
 */
export async function narOf(path: string, most: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const add = (part: Buffer): void => {
    bytes += part.length;
    if (bytes > most) throw new NarTooLarge(`archive ${path}: more than ${most} bytes`);
    parts.push(part);
  };
  const say = (...words: (string | Buffer)[]): void => {
    for (const word of words) add(framed(typeof word === 'string' ? Buffer.from(word, 'latin1') : word));
  };
  const node = async (at: Buffer): Promise<void> => {
    const found = await lstat(at);
    say('(', 'type');
    if (found.isSymbolicLink()) say('symlink', 'target', await readlink(at, { encoding: 'buffer' }));
    else if (found.isFile()) {
      if (found.size > most) throw new NarTooLarge(`archive ${path}: more than ${most} bytes`);
      say('regular');
      if ((found.mode & 0o100) !== 0) say('executable', '');
      say('contents', await contents(at, found.size));
    } else if (found.isDirectory()) {
      say('directory');
      const names = await readdir(at, { encoding: 'buffer' });
      for (const name of names.sort(Buffer.compare)) {
        say('entry', '(', 'name', name, 'node');
        await node(Buffer.concat([at, Buffer.from('/'), name]));
        say(')');
      }
    } else throw new Error(`archive ${path}: found neither file, folder nor link`);
    say(')');
  };
  say('nix-archive-1');
  await node(Buffer.from(path));
  return Buffer.concat(parts);
}

/** Length in eight bytes, the bytes, zeros up to a multiple of eight. */
function framed(bytes: Buffer): Buffer {
  const made = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8);
  made.writeUInt32LE(bytes.length, 0);
  bytes.copy(made, 8);
  return made;
}

/** Not more than `size`, whatever happens to the file meanwhile. */
async function contents(at: Buffer, size: number): Promise<Buffer> {
  const file = await open(at, 'r');
  try {
    const made = Buffer.alloc(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await file.read(made, filled, size - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return made.subarray(0, filled);
  } finally {
    await file.close();
  }
}
