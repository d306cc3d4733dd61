// What happened in every run, one JSON object a line, for people and for the next run's tools. Nobody decides from it.
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';

export interface Journal {
  write(entry: Record<string, unknown>): void;
  close(): void;
}

/** Appends to `file` (made with mode 0600). Each line is on the disk before `write` returns: there are some ten lines per machine. */
export function openJournal(file: string): Journal {
  const fd = openSync(file, 'a', 0o600);
  return {
    write(entry) {
      writeSync(fd, `${JSON.stringify(entry)}\n`);
      fsyncSync(fd);
    },
    close() {
      closeSync(fd);
    },
  };
}
