// The machine's journal, where there is one, as log lines.
import { createInterface } from 'node:readline';
import { killGroup, start } from './child.ts';
import type { Clock } from './host.ts';

export interface JournalLine {
  readonly unixMs: number;
  readonly source: string;
  readonly text: string;
}

/** One line of `journalctl -o json`; undefined for our own lines and for what has no message. */
export function readJournalLine(json: string, ownPid: number): JournalLine | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof entry !== 'object' || entry === null) return undefined;
  const field = (name: string): string | undefined => {
    const value = (entry as Record<string, unknown>)[name];
    if (typeof value === 'string') return value;
    // Messages with control bytes or invalid UTF-8 come as a list of octets.
    if (Array.isArray(value) && value.every((octet) => Number.isInteger(octet) && octet >= 0 && octet < 256))
      return Buffer.from(value as number[]).toString('utf8');
    return undefined;
  };
  const text = field('MESSAGE');
  if (text === undefined || field('_PID') === String(ownPid)) return undefined;
  const micros = Number(field('__REALTIME_TIMESTAMP'));
  const source =
    field('_TRANSPORT') === 'kernel'
      ? 'kernel'
      : (field('_SYSTEMD_UNIT') ?? field('SYSLOG_IDENTIFIER') ?? field('_COMM') ?? 'journal');
  return { unixMs: Number.isFinite(micros) ? Math.trunc(micros / 1000) : 0, source, text };
}

/**
 * Follows the journal of this boot until the signal fires. Where there is no journalctl it ends at once; when journalctl ends it is
 * started again after a while, from the place it had reached.
 */
export async function followJournal(
  found: (line: JournalLine) => void,
  clock: Clock,
  signal: AbortSignal,
  program = 'journalctl',
): Promise<void> {
  let cursor: string | undefined;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const from = cursor === undefined ? ['-n', '300'] : [`--after-cursor=${cursor}`];
    const child = start([program, '--follow', '--boot', '--quiet', '--no-pager', '-o', 'json', ...from]);
    const end = (): void => killGroup(child, 'SIGKILL');
    signal.addEventListener('abort', end, { once: true });
    const missing = await new Promise<boolean>((resolve) => {
      child.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ENOENT'));
      child.once('close', () => resolve(false));
      child.stderr?.resume();
      const lines = createInterface({ input: child.stdout!, crlfDelay: Number.POSITIVE_INFINITY });
      lines.on('error', () => {});
      lines.on('line', (json) => {
        cursor = /"__CURSOR"\s*:\s*"([^"\\]+)"/.exec(json)?.[1] ?? cursor;
        const line = readJournalLine(json, process.pid);
        if (line) found(line);
      });
    });
    signal.removeEventListener('abort', end);
    if (missing) return;
    await clock.sleep(Math.min(30_000, 1000 * 2 ** Math.min(attempt, 5)), signal);
  }
}
