// The words after `nixie inventory` → whose inventory, in which form, and where it is kept.
import { resolve } from 'node:path';
import type { Surroundings } from '../config/flags.ts';
import { ConfigError, nearest, type Problem, show } from '../config/problem.ts';
import { defaultStateDir } from '../config/state-dir.ts';
import { type OperatorOptions, readOperator } from './operator-request.ts';

export const inventoryFormats = ['table', 'json', 'facter', 'runtime-info', 'nix'] as const;
export type InventoryFormat = (typeof inventoryFormats)[number];

export interface InventoryOptions extends OperatorOptions {
  readonly format?: string;
}

export interface InventoryRequest {
  /** Absent: all hosts. */
  readonly host?: string;
  readonly format: InventoryFormat;
  /** Absolute path. */
  readonly socket: string;
  /** Absolute; read when no controller answers. */
  readonly stateDir: string;
}

/** @throws ConfigError with all that is wrong */
export function readInventoryRequest(
  host: string | undefined,
  options: InventoryOptions,
  around: Pick<Surroundings, 'cwd' | 'uid' | 'env'>,
): InventoryRequest {
  const problems: Problem[] = [];
  const { cwd, uid, env } = around;
  let socket = '';
  try {
    ({ socket } = readOperator(options, around));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  const given = options.format ?? 'table';
  const format = inventoryFormats.find((each) => each === given);
  if (format === undefined) {
    const guess = nearest(given, inventoryFormats);
    const hint = guess === undefined ? `accepted: ${inventoryFormats.join(', ')}` : `did you mean ${show(guess)}?`;
    problems.push({ where: '--format', text: `found ${show(given)}, ${hint}` });
  } else if (host === undefined && format !== 'table' && format !== 'json')
    problems.push({ where: '--format', text: `${format} is of one machine; accepted without a host: table, json` });
  if (host !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(host))
    problems.push({ where: 'HOST', text: `found ${show(host)}, accepted: the name of a host` });
  if (problems.length > 0) throw new ConfigError(problems);
  const stateDir =
    options.state === undefined
      ? defaultStateDir(uid, env)!
      : resolve(cwd, options.state.replace(/^~(?=\/|$)/, env.HOME ?? '~'));
  return { ...(host === undefined ? {} : { host }), format: format!, socket, stateDir };
}
