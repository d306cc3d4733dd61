// From the trail of a machine: how far it came, the likely cause, what to try. Pure.
import type { Stage } from '../machine/stage.ts';
import { type CauseId, causes } from './causes.ts';
import { firmwareRules } from './firmware-rules.ts';
import { installerRules } from './installer-rules.ts';
import {
  besideRules,
  cacheRules,
  endRules,
  reasonRule,
  rebootRules,
  relayRules,
  sessionRules,
  silenceRules,
} from './life-rules.ts';
import { type Found, Look } from './look.ts';
import type { Entry, StageEntry, Trail } from './trail.ts';
import { describe } from './words.ts';

/** By phase of the trail; later it is the stage. */
export const steps = [
  'nothing heard of it',
  'asked for an address',
  'asked port 4011 for its boot file',
  'asked for its loader',
  'iPXE started',
  'fetched its boot script',
  'fetched the installer',
  'the installer asked for an address',
  'its agent came',
] as const;

export interface Evidence {
  /** ISO 8601 in UTC; `until` when it was seen more than once. */
  readonly at: string;
  readonly until?: string;
  readonly count: number;
  readonly text: string;
}

export interface Finding {
  readonly id: CauseId;
  readonly says: string;
  readonly cause: string;
  readonly advice: string;
  readonly evidence: readonly Evidence[];
}

export interface Diagnosis {
  readonly host: string;
  readonly stage?: Stage;
  /** ISO 8601. */
  readonly since?: string;
  /** The furthest step of its newest boot. */
  readonly reached: string;
  /** Boots seen. */
  readonly boots: number;
  /** The likeliest first; none: nothing is known to be wrong. */
  readonly findings: readonly Finding[];
}

/** Everything before the agent is judged by what the servers saw. */
const beforeAgent: readonly Stage[] = ['planned', 'probing', 'waking', 'firmware', 'loading', 'restarting'];

/** @param now milliseconds of the wall clock; for a run that is over, its last word */
export function diagnose(trail: Trail, now: number): Diagnosis {
  const look = new Look(trail, now);
  const { stage } = look;
  const findings = found(look).map((each) => finding(each));
  return {
    host: trail.host,
    ...(stage === undefined ? {} : { stage: stage.stage, since: iso(stage.at) }),
    reached: steps[look.phase] ?? steps[0],
    boots: new Set(trail.entries.map(({ attempt }) => attempt)).size,
    findings,
  };
}

function found(look: Look): Found[] {
  const { stage } = look;
  if (stage?.stage === 'proved' || stage?.stage === 'skipped') return cacheRules(look);
  const end = endRules(look);
  if (end.length > 0) return end[0]!.id === 'cancelled' ? end : [...end, ...besideRules(look)];
  const main = [
    ...relayRules(look),
    ...silenceRules(look),
    ...(look.way === undefined || look.in(...beforeAgent) ? [...firmwareRules(look), ...installerRules(look)] : []),
    ...sessionRules(look),
    ...rebootRules(look),
  ];
  const all = [...main, ...besideRules(look)];
  return all.length > 0 ? all : reasonRule(stage);
}

function finding({ id, says, shown }: Found): Finding {
  const { cause, advice } = causes[id];
  const evidence = [...shown].sort((a, b) => startOf(a) - startOf(b)).map(evidenceOf);
  return { id, says, cause, advice, evidence };
}

const startOf = (each: Entry | StageEntry): number => ('first' in each ? each.first : each.at);
const iso = (at: number): string => new Date(at).toISOString();

function evidenceOf(each: Entry | StageEntry): Evidence {
  if (!('first' in each)) {
    const { stage, at, reason } = each;
    return { at: iso(at), count: 1, text: `stage ${stage}${reason === undefined ? '' : `: ${reason}`}` };
  }
  const { first, last, count } = each;
  const who =
    each.mac === undefined ? '' : `${each.mac}${each.interface === undefined ? '' : ` on ${each.interface}`}: `;
  return {
    at: iso(first),
    ...(last > first ? { until: iso(last) } : {}),
    count,
    text: `${who}${describe(each)}`,
  };
}
