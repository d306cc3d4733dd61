// What happened in every run, one JSON object a line, for people and for the next run's tools. Nobody decides from it, so nothing stops or
// waits for it: a line is handed to the kernel at once, and brought to the disk behind the scenes.
import { closeSync, fdatasync, fstatSync, fsyncSync, openSync, readSync, renameSync, writeSync } from 'node:fs';

export interface Journal {
  /** Never throws. */
  write(entry: Record<string, unknown>): void;
  close(): void;
}

export interface JournalOptions {
  /** A larger file is set aside as `FILE.1`: at the start of a run, and whenever it has grown so large. */
  readonly largestBytes?: number;
  /** Called once, with what is wrong; the run goes on without a journal. */
  readonly onTrouble?: (text: string) => void;
}

/** Appends to `file` (made with mode 0600), behind the torn last line of a crash if there is one. Never throws. */
export function openJournal(file: string, options: JournalOptions = {}): Journal {
  const { largestBytes = 16 * 1024 * 1024, onTrouble } = options;
  let fd: number | undefined;
  let size = 0;
  /** The descriptor that is being synced; who syncs it closes it when it isn't ours any more. */
  let syncing: number | undefined;
  let unsynced = false;
  const give = (verb: string, error: unknown): void => {
    const broken = fd;
    fd = undefined;
    // A sync may be under way: then it closes.
    if (broken !== undefined && broken !== syncing) close(broken);
    onTrouble?.(`${verb} ${file}: ${(error as Error).message}; this run has no journal from here on`);
  };
  const sync = (): void => {
    if (fd === undefined) return;
    if (syncing !== undefined) {
      unsynced = true;
      return;
    }
    const syncs = fd;
    syncing = syncs;
    fdatasync(syncs, (error) => {
      syncing = undefined;
      // It was closed, or set aside, meanwhile.
      if (fd !== syncs) close(syncs);
      else if (error !== null) return give('sync', error);
      if (unsynced) {
        unsynced = false;
        sync();
      }
    });
  };
  const setAside = (): void => {
    const old = fd;
    renameSync(file, `${file}.1`);
    fd = openSync(file, 'a+', 0o600);
    size = 0;
    if (old !== undefined && old !== syncing) close(old);
  };
  try {
    fd = open(file, largestBytes);
    size = fstatSync(fd).size;
  } catch (error) {
    give('open', error);
  }
  return {
    write(entry) {
      if (fd === undefined) return;
      try {
        if (size > largestBytes) setAside();
        size += writeSync(fd, `${JSON.stringify(entry)}\n`);
        sync();
      } catch (error) {
        give('write', error);
      }
    },
    close() {
      const last = fd;
      fd = undefined;
      if (last === undefined || last === syncing) return;
      try {
        fsyncSync(last);
      } catch {
        // It stays with the kernel.
      }
      close(last);
    },
  };
}

function open(file: string, largestBytes: number): number {
  // Read as well: the last byte tells whether the last line is whole.
  let fd = openSync(file, 'a+', 0o600);
  const { size } = fstatSync(fd);
  if (size > largestBytes) {
    closeSync(fd);
    renameSync(file, `${file}.1`);
    fd = openSync(file, 'a+', 0o600);
  } else if (size > 0) {
    const last = Buffer.alloc(1);
    readSync(fd, last, 0, 1, size - 1);
    if (last[0] !== 0x0a) writeSync(fd, '\n');
  }
  return fd;
}

function close(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It is closed.
  }
}
