// The log folder of a run that begins.

import { type LogFiles, openLogFiles } from './log-files.ts';
import { makeRunLogs, sweepRuns } from './log-folders.ts';
import { lineText } from './log-format.ts';

export interface RunLogsRequest {
  readonly logDir: string;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  /** Monotonic. */
  readonly ticks: () => number;
  readonly warn: (text: string) => void;
}

const keep = { mostRuns: 20, mostBytes: 2 ** 31, untouchedMs: 3_600_000 };

/** Undefined when there can be none: then it was said why, and the run goes on without. */
export function beginRunLogs({ logDir, now, ticks, warn }: RunLogsRequest): LogFiles | undefined {
  try {
    for (const text of sweepRuns(logDir, keep, now())) warn(text);
    return openLogFiles({
      folder: makeRunLogs(logDir, now()),
      onTrouble: warn,
      ticks,
      lossLine: (lines, why) => {
        const text = `${lines.toLocaleString('en')} lines dropped: ${why}`;
        return `${lineText({ at: now(), stage: 'planned', origin: 'core', source: 'log', text, severity: 4 })}\n`;
      },
    });
  } catch (error) {
    warn(`${(error as Error).message}; this run goes on without log files`);
    return undefined;
  }
}
