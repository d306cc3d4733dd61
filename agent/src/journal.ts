// Follows the machine's journal, where there is one. The journal keeps what is not read: nobody who writes to it waits for us, and we stop
// reading while the queue is full.
import { byteLines } from './byte-lines.ts';
import { killGroup, start } from './child.ts';
import type { Clock } from './host.ts';
import { type JournalLine, journalFields, readJournalLine } from './journal-line.ts';
import { hrMs } from './machine-clock.ts';

/** Where lines go; a LogQueue. */
export interface LogSink {
  add(line: { ticks: number; source: string; text: string; severity?: number }): void;
  mark(place: string): void;
  readonly full: boolean;
  room(signal: AbortSignal): Promise<void>;
}

export interface JournalOptions {
  readonly sink: LogSink;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A cursor; absent: the last lines of this boot. */
  readonly from?: string;
  readonly program?: string;
  /** Whose lines are left out: they are added elsewhere. */
  readonly ownPid: number;
  /** Milliseconds since the machine's boot; absent: its real clock. */
  readonly sinceBootMs?: () => number;
}

/** Of the boot, at the first start. An installer has said some 2,000 by then. */
const beginning = 5000;
/** Of JSON: 8 KiB of text as a list of octets, and the other fields. A journal that is asked for all of a field gives megabytes. */
const mostLineBytes = 64 << 10;

/**
 * Until the signal fires. When journalctl ends it is started again after a while, from the place it had reached.
 * @returns `missing` at once where there is no journalctl
 */
export async function followJournal(options: JournalOptions): Promise<'missing' | 'stopped'> {
  const { sink, clock, signal, program = 'journalctl', ownPid, sinceBootMs = hrMs } = options;
  let cursor = options.from;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const from = cursor === undefined ? ['-n', String(beginning)] : [`--after-cursor=${cursor}`, '--no-tail'];
    const child = start([
      program,
      '--follow',
      '--boot',
      '--quiet',
      '--no-pager',
      // Without it long and odd messages are left out.
      '--all',
      '--output=json',
      `--output-fields=${journalFields.join(',')}`,
      ...from,
    ]);
    const end = (): void => killGroup(child, 'SIGKILL');
    signal.addEventListener('abort', end, { once: true });
    const began = clock.ticks();
    const missing = await new Promise<boolean>((resolve) => {
      child.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ENOENT'));
      child.once('close', () => resolve(false));
      child.stderr?.resume();
      const lines = byteLines((json) => {
        const { line, cursor: at } = readJournalLine(json, ownPid);
        cursor = at ?? cursor;
        if (line !== undefined) sink.add({ ...line, ticks: ticksOf(line, clock, sinceBootMs) });
      }, mostLineBytes);
      child.stdout?.on('data', (bytes: Buffer) => {
        lines.push(bytes);
        if (cursor !== undefined) sink.mark(cursor);
        if (!sink.full) return;
        child.stdout?.pause();
        sink.room(signal).then(() => child.stdout?.resume());
      });
    });
    signal.removeEventListener('abort', end);
    if (missing) return 'missing';
    if (clock.ticks() - began > 60_000) attempt = 0;
    await clock.sleep(Math.min(30_000, 1000 * 2 ** Math.min(attempt, 5)), signal);
  }
  return 'stopped';
}

/** When it was said, on our monotonic clock: the one on the wall may be set meanwhile. */
export function ticksOf({ monotonicMs }: Pick<JournalLine, 'monotonicMs'>, clock: Clock, sinceBootMs: () => number) {
  const age = monotonicMs === undefined ? 0 : Math.max(0, sinceBootMs() - monotonicMs);
  return clock.ticks() - age;
}
