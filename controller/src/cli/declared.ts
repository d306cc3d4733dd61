// What a hosts file declares, for commands that work without a configuration of a run.
import { readHostsFile, type Surroundings } from '../config/flags.ts';
import type { Problem } from '../config/problem.ts';
import type { Host } from '../machine/host.ts';
import type { Subnet } from '../machine/subnet.ts';

export interface Declared {
  readonly hosts: readonly Host[];
  readonly subnets: readonly Subnet[];
}

/** Nothing without a file, and after problems. */
export function declaredIn(file: string | undefined, around: Surroundings, problems: Problem[]): Declared {
  if (file === undefined) return { hosts: [], subnets: [] };
  const result = readHostsFile(file, file, around);
  if (result.ok) return { hosts: result.hosts, subnets: result.subnets };
  problems.push(...result.problems);
  return { hosts: [], subnets: [] };
}
