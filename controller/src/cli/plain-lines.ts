// The view without a terminal: one line for what matters, for logs and CI. Pure but for the memory of what was said when.
import type { RunEvent } from '../machine/event.ts';
import { clean, clock, size } from './text.ts';

/** `43%, 33.0 MB of 76.8 MB, 10.2 MB/s, 61% of all, 1:20 left` */
export function progressWords(event: Extract<RunEvent, { event: 'progress' }>): string {
  const { done_bytes: done, total_bytes: total, bytes_per_second: rate, stalled_seconds: stalled } = event;
  const words: string[] = [];
  if (event.percent !== undefined) words.push(`${event.percent}%`);
  if (done !== undefined) words.push(`${size(done)}${total === undefined ? '' : ` of ${size(total)}`}`);
  if (rate !== undefined && stalled === undefined) words.push(`${size(rate)}/s`);
  if (event.overall_percent !== undefined) words.push(`${event.overall_percent}% of all`);
  if (event.eta_seconds !== undefined) words.push(`${clock(event.eta_seconds)} left`);
  if (stalled !== undefined) words.push(`standing still for ${clock(stalled)}: ${event.stalled_why ?? ''}`);
  return words.join(', ');
}

/** `writes to /dev/nvme0n1 (500.1 GB, SAMSUNG, S1)` */
export function disksWords({ disks }: Extract<RunEvent, { event: 'disks' }>): string {
  const each = disks.map(({ path, size_bytes, model, serial, wwn, link }) => {
    const about = [size(size_bytes), model, serial ?? wwn].filter(Boolean).join(', ');
    return `${path} (${about})${link === undefined ? '' : `, which its layout finds as ${link}`}`;
  });
  return `writes to ${each.length === 0 ? 'no disk' : each.join('; ')}`;
}

const quietMs = 10_000;

export interface PlainOptions {
  /** Log lines and what was seen on the wire, too. */
  readonly debug: boolean;
}

/** Turns events into lines, each with the time in UTC: stages when they change, progress of a host at most every 10 s. */
export function plainLines(options: PlainOptions): (event: RunEvent) => string | undefined {
  const stages = new Map<string, string>();
  const spoken = new Map<string, number>();
  /** May this be said now? Remembers it when it may. */
  const due = (key: string, at: number): boolean => {
    if (at - (spoken.get(key) ?? Number.NEGATIVE_INFINITY) < quietMs) return false;
    spoken.set(key, at);
    return true;
  };
  const say = (event: RunEvent): string | undefined => {
    const at = Date.parse(event.at);
    switch (event.event) {
      case 'stage': {
        const known = `${event.stage} ${event.reason ?? ''}`;
        if (stages.get(event.host) === known) return undefined;
        stages.set(event.host, known);
        spoken.delete(`progress ${event.host}`);
        const address = event.address === undefined ? '' : ` address=${event.address}`;
        return `${event.host}: ${event.stage}${address}${event.reason === undefined ? '' : `: ${event.reason}`}`;
      }
      case 'progress': {
        if (!due(`progress ${event.host}`, at)) return undefined;
        return `${event.host}: ${event.stage} ${progressWords(event)}`;
      }
      case 'disks':
        return `${event.host}: ${disksWords(event)}`;
      case 'notice':
        return `${event.level === 'info' ? '' : `${event.level}: `}${event.host === undefined ? '' : `${event.host}: `}${event.text}`;
      case 'prepare': {
        if (!due('prepare', at)) return undefined;
        const count =
          event.done === undefined ? '' : ` ${event.done}${event.total === undefined ? '' : `/${event.total}`}`;
        return `prepare: ${event.text}${count}`;
      }
      case 'log':
        return options.debug ? `${event.host ?? '-'} ${event.source}: ${event.text}` : undefined;
      case 'seen': {
        if (!options.debug) return undefined;
        const detail = event.detail === undefined ? '' : `: ${event.detail}`;
        return `${event.host ?? event.mac ?? '-'} seen ${event.kind}${event.interface === undefined ? '' : ` on ${event.interface}`}${detail}`;
      }
      case 'result':
      case 'end':
        return undefined; // the stage was told, and the table follows
    }
  };
  return (event) => {
    const line = say(event);
    return line === undefined ? undefined : `${event.at.slice(11, 19)} ${clean(line)}`;
  };
}
