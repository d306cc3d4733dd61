// Lines of log files: `2026-11-20T21:27:17.123Z copy journal sshd.service: text`, with `/3` behind the origin where a severity is known.
import { type HostLine, type Origin, origins } from '../machine/host-line.ts';
import { ends, type Stage, waySteps } from '../machine/stage.ts';

const stages: ReadonlySet<string> = new Set([...waySteps, ...ends]);
const known: ReadonlySet<string> = new Set(origins);
const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) (\S+?)(?:\/([0-7]))? ([^:]*): (.*)$/s;

/** Without a line end. The text must have none either: it was cleaned where it came in. */
export function lineText({ at, stage, origin, source, text, severity }: HostLine): string {
  const level = severity === undefined ? '' : `/${severity}`;
  return `${new Date(at).toISOString()} ${stage} ${origin}${level} ${source.replaceAll(':', '_')}: ${text}`;
}

/** Undefined for what is no such line: the torn end of a file, or what somebody else wrote. */
export function readLine(line: string): HostLine | undefined {
  const [, at, stage = '', origin = '', level, source, text] = form.exec(line) ?? [];
  if (source === undefined || text === undefined || !stages.has(stage) || !known.has(origin)) return undefined;
  const time = Date.parse(at!);
  if (Number.isNaN(time)) return undefined;
  return {
    at: time,
    stage: stage as Stage,
    origin: origin as Origin,
    source,
    text,
    ...(level === undefined ? {} : { severity: Number(level) }),
  };
}
