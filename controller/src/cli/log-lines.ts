// What `nixie logs` prints of a line. Pure.
import type { HostLine } from '../machine/host-line.ts';
import type { Paint } from './colour.ts';
import { clean } from './text.ts';

/** More than any line has. */
const longest = 65_536;

/** As in the log files: `2026-11-20T21:27:17.123Z copy journal sshd.service: text`. */
export function logLine({ at, stage, origin, source, text, severity }: HostLine, paint: Paint): string {
  const said = clean(text, longest);
  const coloured = severity === undefined || severity > 4 ? said : paint(severity < 4 ? 'red' : 'yellow', said);
  return `${paint('dim', new Date(at).toISOString())} ${paint('cyan', stage)} ${origin} ${clean(source, 64)}: ${coloured}`;
}

export function logJson(host: string, { at, stage, origin, source, text, severity }: HostLine): string {
  const time = new Date(at).toISOString();
  return JSON.stringify({
    at: time,
    host,
    stage,
    origin,
    source: clean(source, 64),
    severity,
    text: clean(text, longest),
  });
}
