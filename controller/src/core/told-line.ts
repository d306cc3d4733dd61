// Events of a run as lines of its log. Pure.
import type { RunEvent } from '../machine/event.ts';
import type { Origin } from '../machine/host-line.ts';
import type { NewLine } from './run-log.ts';

const severities = { error: 3, warning: 4, info: 6 } as const;
/** Children of the controller that work on a machine: the phases of nixos-anywhere. */
const phases: ReadonlySet<string> = new Set(['disko', 'install', 'reboot']);

/** Undefined for what isn't a line: progress comes too often, and a result repeats what was said. */
export function lineOf(event: RunEvent): { readonly host?: string; readonly line: NewLine } | undefined {
  const host = 'host' in event && event.host !== undefined ? { host: event.host } : {};
  const line = (source: string, text: string, severity?: number, origin: Origin = 'core') => ({
    ...host,
    line: { origin, source, text, ...(severity === undefined ? {} : { severity }) },
  });
  switch (event.event) {
    case 'log':
      return line(event.source, event.text, undefined, phases.has(event.source) ? 'nixos-anywhere' : 'core');
    case 'stage': {
      const { stage, address, reason } = event;
      return line('stage', `${stage}${address === undefined ? '' : ` at ${address}`}${reason ? `: ${reason}` : ''}`);
    }
    case 'notice':
      return line('notice', event.text, severities[event.level]);
    case 'seen':
      // Of strangers there may be any number.
      return event.host === undefined ? undefined : line('seen', [event.kind, event.detail].filter(Boolean).join(': '));
    case 'prepare':
      return line('prepare', event.text);
    default:
      return undefined;
  }
}
