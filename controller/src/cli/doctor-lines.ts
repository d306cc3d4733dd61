// What `nixie doctor` prints. Pure.
import type { Diagnosis, Evidence } from '../doctor/diagnose.ts';
import type { Paint } from './colour.ts';
import { clean } from './text.ts';

/** Of one machine: how far it came, then each finding with what shows it and what to try. */
export function diagnosisLines(diagnosis: Diagnosis, paint: Paint): string[] {
  const { host, stage, since, reached, boots, findings } = diagnosis;
  const at = stage === undefined ? '' : `: ${stage}${since === undefined ? '' : ` since ${shortTime(since)}`}`;
  const counted = boots > 1 ? ` (boot ${boots} of those seen)` : '';
  const lines = [paint('bold', `${clean(host, 64)}${at}; ${reached}${counted}`)];
  if (findings.length === 0) lines.push('  nothing found');
  for (const [index, { id, says, cause, advice, evidence }] of findings.entries())
    lines.push(
      `  ${paint(index === 0 ? 'red' : 'yellow', id)}: ${clean(says)}`,
      `    likely cause: ${cause}`,
      `    try: ${advice}`,
      ...evidence.map((each) => paint('dim', `    ${evidenceLine(each)}`)),
    );
  return lines;
}

/** `12:00:01 to 12:00:09, 5 times: …` in UTC. */
function evidenceLine({ at, until, count, text }: Evidence): string {
  const to = until === undefined ? '' : ` to ${shortTime(until)}`;
  return `${shortTime(at)}${to}${count > 1 ? `, ${count} times` : ''}: ${clean(text)}`;
}

function shortTime(at: string): string {
  return `${at.slice(11, 19)}Z`;
}
