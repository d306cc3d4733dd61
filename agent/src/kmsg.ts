// The kernel's own log, where no journal keeps it (Linux Documentation/ABI/testing/dev-kmsg).
import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { Clock } from './host.ts';
import { type LogSink, ticksOf } from './journal.ts';
import { hrMs } from './machine-clock.ts';

export interface KernelRecord {
  readonly sequence: number;
  /** Since the boot. */
  readonly monotonicMs: number;
  /** RFC 5424 6.2.1. */
  readonly severity: number;
  readonly text: string;
}

/** `6,339,5140900,-;text`, then lines of properties that begin with a blank. Undefined for what is no record. */
export function readKernelRecord(record: string): KernelRecord | undefined {
  const [, priority, sequence, micros, text] = /^(\d{1,5}),(\d{1,15}),(\d{1,15}),[^;\n]*;([^\n]*)/.exec(record) ?? [];
  if (text === undefined) return undefined;
  const octets = text.replace(/\\x([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return {
    sequence: Number(sequence),
    monotonicMs: Number(micros) / 1000,
    severity: Number(priority) & 7,
    // What isn't printable ASCII comes as escaped octets of UTF-8.
    text: octets === text ? text : Buffer.from(octets, 'latin1').toString('utf8'),
  };
}

export interface KernelOptions {
  readonly sink: LogSink;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Place of an earlier life of the agent. */
  readonly from?: string;
  readonly file?: string;
  readonly sinceBootMs?: () => number;
}

const pauseMs = 500;
/** In one go, before others have their turn. */
const mostAtOnce = 500;
/** CONSOLE_EXT_LOG_MAX of the kernel: no record is longer. */
export const longestRecord = 8192;
export const kernelPlace = /^kmsg (\d{1,15})$/;

/**
 * Until the signal fires, or the file can't be read any more. What the kernel overwrote before it was read is counted.
 * @throws Error where there is no such file
 */
export async function followKernel(options: KernelOptions): Promise<void> {
  const { sink, clock, signal, file = '/dev/kmsg', sinceBootMs = hrMs } = options;
  const before = kernelPlace.exec(options.from ?? '')?.[1];
  let last = before === undefined ? undefined : Number(before);
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const bytes = Buffer.alloc(longestRecord);
  try {
    while (!signal.aborted) {
      let count = 0;
      for (; count < mostAtOnce && !sink.full; count++) {
        const length = readOne(fd, bytes);
        if (length === 0) break;
        const record = length === undefined ? undefined : readKernelRecord(bytes.toString('utf8', 0, length));
        if (record === undefined || record.sequence <= (last ?? -1)) continue;
        const lost = last === undefined ? 0 : record.sequence - last - 1;
        const ticks = ticksOf(record, clock, sinceBootMs);
        if (lost > 0) sink.add({ ticks, source: 'agent', text: `${lost} kernel lines were overwritten unread` });
        last = record.sequence;
        sink.add({ ticks, source: 'kernel', text: record.text, severity: record.severity });
      }
      if (last !== undefined && count > 0) sink.mark(`kmsg ${last}`);
      if (sink.full) await sink.room(signal);
      else await clock.sleep(count < mostAtOnce ? pauseMs : 0, signal);
    }
  } finally {
    closeSync(fd);
  }
}

/** Length of one record; 0 when there is none yet; undefined when some were overwritten: the next is there. */
export function readOne(fd: number, into: Buffer): number | undefined {
  try {
    return readSync(fd, into, 0, into.length, null);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EAGAIN') return 0;
    if (code === 'EPIPE' || code === 'EINVAL') return undefined;
    throw error;
  }
}
