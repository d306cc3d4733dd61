// Log files → lines that pass a filter, at the pace of the reader and with bounded memory.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type HostLine, type LineFilter, passes } from '../machine/host-line.ts';
import { readLine } from './log-format.ts';

/** Much longer than any line that is written. */
const longestLine = 64 << 10;
const chunkBytes = 64 << 10;

/** Batches of lines, none of them empty. Closes the file. */
export async function* linesOf(file: FileHandle, bytes: number, filter: LineFilter): AsyncGenerator<HostLine[]> {
  try {
    const decoder = new TextDecoder();
    const chunk = Buffer.alloc(chunkBytes);
    let rest = '';
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunkBytes, bytes - at), at);
      if (bytesRead === 0) break;
      at += bytesRead;
      const texts = (rest + decoder.decode(chunk.subarray(0, bytesRead), { stream: true })).split('\n');
      rest = texts.pop()!.slice(0, longestLine);
      const lines = texts.flatMap((text) => readLine(text) ?? []).filter((line) => passes(filter, line));
      if (lines.length > 0) yield lines;
    }
  } finally {
    await file.close();
  }
}

/** The lines of several files, one after the other. @throws Error naming a file that can't be read */
export async function* linesOfFiles(paths: readonly string[], filter: LineFilter): AsyncGenerator<HostLine[]> {
  for (const path of paths) {
    let opened: { file: FileHandle; bytes: number };
    try {
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      opened = { file, bytes: (await file.stat()).size };
    } catch (error) {
      throw new Error(`read ${path}: ${(error as Error).message}`, { cause: error });
    }
    yield* linesOf(opened.file, opened.bytes, filter);
  }
}
