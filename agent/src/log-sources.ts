// Where the machine's own lines come from, and the place in them that a new life of the agent begins at.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from './host.ts';
import { followJournal } from './journal.ts';
import { followKernel, kernelPlace } from './kmsg.ts';
import type { LogQueue } from './log-queue.ts';

export interface SourceParts {
  readonly queue: LogQueue;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** In a folder that a reboot empties. */
  readonly placeFile: string;
  readonly ownPid: number;
  readonly kernelFile?: string;
  readonly journalctl?: string;
}

/** The journal; the kernel's log where there is no journal. Until the signal fires. */
export async function followMachine(parts: SourceParts): Promise<void> {
  const { queue, clock, signal, placeFile, ownPid } = parts;
  const from = readPlace(placeFile);
  let kept: string | undefined;
  const keepPlace = (): void => {
    const { place } = queue;
    if (place === undefined || place === kept) return;
    kept = place;
    try {
      mkdirSync(dirname(placeFile), { recursive: true, mode: 0o700 });
      writeFileSync(`${placeFile}.new`, place, { mode: 0o600 });
      renameSync(`${placeFile}.new`, placeFile);
    } catch {
      // Then a new life of the agent says some lines again.
    }
  };
  const keep = setInterval(keepPlace, 500);
  try {
    const journal = from === undefined || kernelPlace.test(from) ? {} : { from };
    const ended = await followJournal({
      sink: queue,
      clock,
      signal,
      ownPid,
      ...journal,
      ...(parts.journalctl === undefined ? {} : { program: parts.journalctl }),
    });
    if (ended === 'missing')
      await followKernel({
        sink: queue,
        clock,
        signal,
        ...(from === undefined ? {} : { from }),
        ...(parts.kernelFile === undefined ? {} : { file: parts.kernelFile }),
      });
  } finally {
    clearInterval(keep);
    keepPlace();
  }
}

function readPlace(file: string): string | undefined {
  try {
    const place = readFileSync(file, 'utf8').trim();
    return /^[\x21-\x7e ]{1,500}$/.test(place) ? place : undefined;
  } catch {
    return undefined;
  }
}
