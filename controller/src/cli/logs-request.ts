// The words after `nixie logs` → whose lines, which of them, and where they are.
import { join, resolve } from 'node:path';
import type { Surroundings } from '../config/flags.ts';
import { ConfigError, nearest, type Problem, show } from '../config/problem.ts';
import { defaultStateDir } from '../config/state-dir.ts';
import { ends, type Stage, waySteps } from '../machine/stage.ts';
import { type OperatorOptions, readOperator } from './operator-request.ts';

export interface LogsOptions extends OperatorOptions {
  readonly logDir?: string;
  readonly follow?: boolean;
  readonly since?: string;
  readonly stage?: string;
  readonly json?: boolean;
}

export interface LogsRequest {
  readonly host: string;
  /** Absolute path. */
  readonly socket: string;
  /** Absolute; read when no controller answers. */
  readonly logDir: string;
  readonly follow: boolean;
  /** Now → since when, both in milliseconds since 1970. */
  readonly since?: (now: number) => number;
  readonly stage?: Stage;
  readonly json: boolean;
}

export const stages: readonly Stage[] = [...waySteps, ...ends];

/** @throws ConfigError with all that is wrong */
export function readLogs(
  host: string,
  options: LogsOptions,
  around: Pick<Surroundings, 'cwd' | 'uid' | 'env'>,
): LogsRequest {
  const problems: Problem[] = [];
  const { cwd, uid, env } = around;
  const path = (given: string) => resolve(cwd, given.replace(/^~(?=\/|$)/, env.HOME ?? '~'));
  let socket = '';
  try {
    ({ socket } = readOperator(options, around));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  const state = options.state === undefined ? defaultStateDir(uid, env) : path(options.state);
  const since = options.since === undefined ? undefined : readSince(options.since);
  if (options.since !== undefined && since === undefined) {
    const accepted = 'a duration like 90s, 10m or 1h30m, or a time in UTC like 21:05 or 2026-11-20T21:05:00';
    problems.push({ where: '--since', text: `found ${show(options.since)}, accepted: ${accepted}` });
  }
  const stage = stages.find((each) => each === options.stage);
  if (options.stage !== undefined && stage === undefined) {
    const guess = nearest(options.stage, stages);
    const hint = guess === undefined ? `accepted: ${stages.join(', ')}` : `did you mean ${show(guess)}?`;
    problems.push({ where: '--stage', text: `found ${show(options.stage)}, which is no stage; ${hint}` });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    host,
    socket,
    logDir: options.logDir === undefined ? join(state!, 'logs') : path(options.logDir),
    follow: options.follow ?? false,
    json: options.json ?? false,
    ...(since && { since }),
    ...(stage && { stage }),
  };
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const dayMs = 86_400_000;

/** Undefined for what is neither a duration nor a time. Times without a zone are in UTC, as all that is shown. */
export function readSince(text: string): ((now: number) => number) | undefined {
  if (/^(?:\d{1,9}[smhd])+$/.test(text)) {
    let ago = 0;
    for (const [, count, unit] of text.matchAll(/(\d+)([smhd])/g)) ago += Number(count) * unitMs[unit!]!;
    return (now) => now - ago;
  }
  const [, hour, minute, second = '0'] = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(text) ?? [];
  if (minute !== undefined) {
    if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
    const inDay = (Number(hour) * 3600 + Number(minute) * 60 + Number(second)) * 1000;
    return (now) => {
      const today = now - (now % dayMs) + inDay;
      return today > now ? today - dayMs : today;
    };
  }
  const [, date, time, zone] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? [];
  if (date === undefined) return undefined;
  const at = Date.parse(`${date}T${time ?? '00:00'}${zone ?? 'Z'}`);
  return Number.isNaN(at) ? undefined : () => at;
}
