// The log files of one run: written behind the scenes, bounded on the disk and in memory. Nothing waits for them but those who ask to; a disk that
// is full or broken costs lines, which are counted, and nothing else.
import { constants, statfsSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { logFileName, olderEnding } from './log-folders.ts';

export interface LogFiles {
  readonly folder: string;
  /** Whole lines, each with its line end; of a host, or of the run. Never throws. */
  write(host: string | undefined, lines: readonly string[]): void;
  /** Resolves at once unless more waits for the disk than is good; then when it has caught up, or after two seconds. */
  room(): Promise<void>;
  /**
   * Opens what was written of a host before this call. The caller closes the files; what is written later is behind `bytes`.
   * Nothing was written: an empty list. Oldest first.
   */
  read(host: string): Promise<readonly { readonly file: FileHandle; readonly bytes: number }[]>;
  /** Lines that could not be written. */
  readonly lost: number;
  close(): Promise<void>;
}

export interface LogFilesOptions {
  readonly folder: string;
  /** Of all files of this run. */
  readonly mostBytes?: number;
  /** A larger file is set aside, and what was set aside before is removed. */
  readonly largestBytes?: number;
  /** Characters that wait for the disk. */
  readonly mostWaiting?: number;
  /** So much stays free for those who need it more; what would go below is not written. */
  readonly leaveFreeBytes?: number;
  /** Called when writing begins to fail, and when it works again. */
  readonly onTrouble: (text: string) => void;
  /** Milliseconds, monotonic. */
  readonly ticks: () => number;
  /** What `lines` are missing, as a line with its end. */
  readonly lossLine: (lines: number, why: string) => string;
  readonly freeBytes?: (folder: string) => number;
}

interface HostFile {
  readonly path: string;
  waiting: string[];
  chars: number;
  bytes: number;
  lost: number;
  torn: boolean;
  /** One write, or one look, at a time. */
  turn: Promise<unknown>;
}

const flushMs = 200;
const retryMs = 10_000;
const roomMs = 2000;
const smallestFile = 256 << 10;
const append = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

export function openLogFiles(options: LogFilesOptions): LogFiles {
  const {
    folder,
    mostBytes = 1 << 30,
    largestBytes = 16 << 20,
    mostWaiting = 16 << 20,
    leaveFreeBytes = 256 << 20,
    onTrouble,
    ticks,
    lossLine,
    freeBytes = freeIn,
  } = options;
  const files = new Map<string, HostFile>();
  let waiting = 0;
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;
  let rooms: (() => void)[] = [];
  /** Why writing fails, and until when it isn't tried. */
  let trouble: { readonly why: string; readonly until: number } | undefined;
  let closed = false;

  const lose = (file: HostFile, lines: number): void => {
    file.lost += lines;
    lost += lines;
  };
  const fileOf = (name: string): HostFile => {
    const known = files.get(name);
    if (known !== undefined) return known;
    const made = {
      path: join(folder, name),
      waiting: [],
      chars: 0,
      bytes: 0,
      lost: 0,
      torn: false,
      turn: Promise.resolve(),
    };
    files.set(name, made);
    return made;
  };
  const put = async (file: HostFile, lines: readonly string[]): Promise<void> => {
    if (trouble !== undefined && ticks() < trouble.until) return lose(file, lines.length);
    try {
      const free = freeBytes(folder);
      if (free < leaveFreeBytes) throw new Error(`only ${free >> 20} MiB are free`);
      const share = Math.max(smallestFile, Math.min(largestBytes, mostBytes / 2 / files.size));
      if (file.bytes > share) {
        await rename(file.path, file.path + olderEnding);
        file.bytes = 0;
      }
      const handle = await open(file.path, append, 0o600);
      try {
        const { torn } = file;
        file.torn = true;
        const before = file.lost === 0 ? '' : lossLine(file.lost, trouble?.why ?? 'too many at once');
        await handle.appendFile(`${torn ? '\n' : ''}${before}${lines.join('')}`);
        file.lost = 0;
        file.torn = false;
        file.bytes = (await handle.stat()).size;
      } finally {
        await handle.close();
      }
      if (trouble !== undefined) onTrouble(`logs are written to ${folder} again; ${lost} lines are missing`);
      trouble = undefined;
    } catch (error) {
      const why = (error as Error).message;
      if (trouble === undefined)
        onTrouble(`write logs to ${folder}: ${why}; what is said until that works again is missing there`);
      trouble = { why, until: ticks() + retryMs };
      lose(file, lines.length);
    }
  };
  const flush = (file: HostFile): Promise<unknown> => {
    const { waiting: lines, chars } = file;
    if (lines.length === 0) return file.turn;
    file.waiting = [];
    file.chars = 0;
    file.turn = file.turn.then(async () => {
      await put(file, lines);
      waiting -= chars;
      if (waiting > mostWaiting / 4) return;
      for (const go of rooms.splice(0)) go();
    });
    return file.turn;
  };
  const flushAll = (): Promise<unknown> => {
    clearTimeout(timer);
    timer = undefined;
    return Promise.all([...files.values()].map(flush));
  };

  return {
    folder,
    write(host, lines) {
      if (closed || lines.length === 0) return;
      const file = fileOf(logFileName(host));
      const chars = lines.reduce((sum, line) => sum + line.length, 0);
      if (waiting + chars > mostWaiting) return lose(file, lines.length);
      file.waiting.push(...lines);
      file.chars += chars;
      waiting += chars;
      if (file.chars > 1 << 20) flush(file);
      else timer ??= setTimeout(flushAll, flushMs).unref();
    },
    room() {
      if (waiting <= mostWaiting / 2) return Promise.resolve();
      return new Promise((resolve) => {
        const late = setTimeout(resolve, roomMs);
        rooms.push(() => {
          clearTimeout(late);
          resolve();
        });
      });
    },
    read(host) {
      const file = files.get(logFileName(host));
      if (file === undefined) return Promise.resolve([]);
      flush(file);
      // In its turn: what is accepted later is written later.
      const opened = file.turn.then(() => openBoth(file.path));
      file.turn = opened.catch(() => undefined);
      return opened;
    },
    get lost() {
      return lost;
    },
    async close() {
      if (closed) return;
      closed = true;
      await flushAll();
      // One try more: at the end the reason is often gone.
      if (trouble !== undefined) trouble = { ...trouble, until: 0 };
      await Promise.all([...files.values()].filter((file) => file.lost > 0).map((file) => put(file, [])));
      for (const go of rooms.splice(0)) go();
      rooms = [];
    },
  };
}

async function openBoth(path: string) {
  const opened: { file: FileHandle; bytes: number }[] = [];
  for (const each of [path + olderEnding, path]) {
    try {
      const file = await open(each, constants.O_RDONLY | constants.O_NOFOLLOW);
      opened.push({ file, bytes: (await file.stat()).size });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      for (const { file } of opened) await file.close();
      throw error;
    }
  }
  return opened;
}

function freeIn(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
