// The words after `nixie doctor` → whose trail is looked at, or which interfaces.
import { join, resolve } from 'node:path';
import { readDhcp, type Surroundings } from '../config/flags.ts';
import { ConfigError, type Problem, show } from '../config/problem.ts';
import type { DhcpSetting } from '../config/run-config.ts';
import { defaultStateDir } from '../config/state-dir.ts';
import { type OperatorOptions, readOperator } from './operator-request.ts';

export interface DoctorOptions extends OperatorOptions {
  readonly interface?: readonly string[];
  readonly dhcp?: string;
  readonly ipxe?: string;
  readonly json?: boolean;
}

export type DoctorRequest =
  | {
      readonly of: 'machines';
      /** Absent: all that have not come to a good end. */
      readonly host?: string;
      readonly socket: string;
      /** Absolute path of the state folder. */
      readonly stateDir: string;
      readonly json: boolean;
    }
  | {
      readonly of: 'interfaces';
      /** Each once. */
      readonly interfaces: readonly string[];
      readonly dhcp: DhcpSetting;
      /** Absolute path. */
      readonly ipxeDir?: string;
      readonly json: boolean;
    };

/** @throws ConfigError with all that is wrong */
export function readDoctor(
  host: string | undefined,
  options: DoctorOptions,
  around: Pick<Surroundings, 'cwd' | 'uid' | 'env'>,
): DoctorRequest {
  const { cwd, uid, env } = around;
  const path = (given: string) => resolve(cwd, given.replace(/^~(?=\/|$)/, env.HOME ?? '~'));
  const json = options.json ?? false;
  const problems: Problem[] = [];
  const no = (where: string, text: string) => void problems.push({ where, text });
  const interfaces = [...new Set(options.interface ?? [])];
  if (interfaces.length === 0) {
    for (const option of ['dhcp', 'ipxe'] as const)
      if (options[option] !== undefined) no(`--${option}`, 'accepted only with --interface');
    if (problems.length > 0) throw new ConfigError(problems);
    const { socket } = readOperator(options, around);
    const stateDir = options.state === undefined ? defaultStateDir(uid, env)! : path(options.state);
    return { of: 'machines', ...(host === undefined ? {} : { host }), socket, stateDir, json };
  }
  if (host !== undefined) no('doctor', `found ${show(host)} and --interface, accepted: one of the two`);
  if (options.state !== undefined) no('--state', 'accepted only without --interface');
  for (const name of interfaces)
    if (!/^[^\s/\u0000-\u001f]{1,15}$/.test(name) || name === '.' || name === '..')
      no('--interface', `found ${show(name)}, accepted: the name of a network interface, as \`ip link\` shows it`);
  const dhcp = readDhcp(options.dhcp ?? 'proxy', no);
  if (problems.length > 0) throw new ConfigError(problems);
  const ipxe = options.ipxe ?? env.NIXIE_IPXE;
  return { of: 'interfaces', interfaces, dhcp, ...(ipxe === undefined ? {} : { ipxeDir: path(ipxe) }), json };
}

/** Both files of the journal, the older first. */
export function journalsOf(stateDir: string): readonly string[] {
  return [join(stateDir, 'journal.jsonl.1'), join(stateDir, 'journal.jsonl')];
}
