// What `nixie doctor` prints. Pure.
import type { Diagnosis, Evidence } from '../doctor/diagnose.ts';
import { offered, serverName } from '../doctor/offer.ts';
import type { InterfaceFacts, SurveyFacts, SurveyFinding } from '../doctor/survey.ts';
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

/** What is there, then what is in the way. */
export function surveyLines(facts: SurveyFacts, findings: readonly SurveyFinding[], paint: Paint): string[] {
  const lines = facts.interfaces.flatMap((one) => interfaceLines(one, paint));
  for (const { id, level, interface: name, says, advice } of findings)
    lines.push(
      `${paint(level === 'problem' ? 'red' : 'yellow', id)}${level === 'note' ? ' (note)' : ''}${name === undefined ? '' : ` on ${clean(name, 64)}`}: ${clean(says)}`,
      `  try: ${clean(advice)}`,
    );
  if (!findings.some(({ level }) => level === 'problem')) lines.push('no problem found');
  return lines;
}

function interfaceLines({ name, up, carrier, mtu, addresses, offers }: InterfaceFacts, paint: Paint): string[] {
  const state = !up ? 'down' : carrier === false ? 'up, no carrier' : 'up';
  const head = `${clean(name, 64)}: ${state}, MTU ${mtu ?? 'unknown'}, ${addresses.join(', ') || 'no IPv4 address'}`;
  if ('why' in offers) return [paint('bold', head)];
  const seen = offers.map((offer) => {
    const parts = [serverName(offer), `offers ${offered(offer)}`, offer.address, offer.file].filter(Boolean);
    return `  ${clean(parts.join(' '))}`;
  });
  return [paint('bold', head), ...(seen.length > 0 ? new Set(seen) : ['  no DHCP server answered'])];
}

/** First the facts, then one object for each finding. */
export function surveyJson(facts: SurveyFacts, findings: readonly SurveyFinding[]): string[] {
  return [JSON.stringify({ facts }), ...findings.map((finding) => JSON.stringify(finding))];
}
