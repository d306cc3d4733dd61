// `nixie check`: what is wrong or will be missed, from hosts file and evaluation alone; nothing is built or started.
import type { RunConfig } from '../config/run-config.ts';
import type { Host } from '../machine/host.ts';
import { hintsUnused } from '../machine/root-disk.ts';
import { type Subnet, subnetLines } from '../machine/subnet.ts';
import type { Evaluation, HostSystem } from '../nix/types.ts';
import type { Paint } from './colour.ts';
import { clean } from './text.ts';

export interface CheckEntry {
  /** Host, or `installer SYSTEM`. */
  readonly name: string;
  /** It can't be installed as long as these are there. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export interface CheckReport {
  readonly entries: readonly CheckEntry[];
  readonly subnets: readonly Subnet[];
  /** Of the whole. */
  readonly warnings: readonly string[];
}

// Names by order of discovery, which changes between boots; /dev/disk/by-id/… and /dev/mapper/… don't.
const unstable = /^\/dev\/(?:sd[a-z]+|hd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;

export function judgeEvaluation(
  config: Pick<RunConfig, 'hosts' | 'sshKey' | 'installers' | 'subnets'>,
  evaluation: Evaluation,
  warnings: readonly string[] = [],
): CheckReport {
  const installers = Object.entries(evaluation.installers).map(
    ([system, entry]): CheckEntry => ({
      name: `installer ${system}`,
      problems: entry.ok ? [] : [entry.failure.text],
      warnings: [],
    }),
  );
  const hosts = config.hosts.map((host): CheckEntry => {
    const entry = evaluation.hosts[host.name];
    if (entry === undefined) return { name: host.name, problems: ['it was not evaluated'], warnings: [] };
    if (!entry.ok) return { name: host.name, problems: [entry.failure.text], warnings: [] };
    return { name: host.name, ...judgeHost(host, entry.value, config.sshKey !== undefined) };
  });
  return {
    entries: [...installers, ...hosts],
    subnets: config.subnets,
    warnings: [...warnings, ...evaluation.warnings],
  };
}

function judgeHost(host: Host, system: HostSystem, hasKey: boolean): Pick<CheckEntry, 'problems' | 'warnings'> {
  const problems: string[] = [];
  const warnings: string[] = [];
  if (system.system !== undefined && system.system !== host.system)
    problems.push(`it is built for ${system.system}, and the hosts file says "system": "${host.system}"`);
  const unused = hintsUnused(host, system.diskDevices && Object.values(system.diskDevices));
  if (unused !== undefined) problems.push(unused);
  for (const [name, device] of Object.entries(system.diskDevices ?? {}))
    if (unstable.test(device))
      warnings.push(
        `disko's disk ${JSON.stringify(name)} is ${device}, a name that can be another disk after the next boot; use /dev/disk/by-id/…`,
      );
  if (system.sshEnabled === false)
    warnings.push('no way in for the proof: services.openssh is not enabled, so it will be installed, unproved');
  else if (system.rootHasKeys === false && !hasKey)
    warnings.push(
      'no way in for the proof but the key that nixie places in /root/.ssh: give root an authorized key, or use --ssh-key',
    );
  return { problems, warnings };
}

export function hasProblems(report: CheckReport): boolean {
  return report.entries.some(({ problems }) => problems.length > 0);
}

/** The report for people, one line for each finding. */
export function checkLines(report: CheckReport, paint: Paint): string[] {
  const lines = report.warnings.map((text) => paint('yellow', `warning: ${clean(text)}`));
  lines.push(...subnetLines(report.subnets).map((text) => clean(text)));
  for (const { name, problems, warnings } of report.entries) {
    lines.push(problems.length > 0 ? `${name}: ${paint('red', 'problem')}` : `${name}: ${paint('green', 'ok')}`);
    for (const text of problems) for (const line of text.split('\n')) lines.push(`  ${clean(line)}`);
    for (const text of warnings) lines.push(`  ${paint('yellow', `warning: ${clean(text)}`)}`);
  }
  const bad = report.entries.filter(({ problems }) => problems.length > 0).length;
  lines.push(bad === 0 ? 'all can be installed' : `${bad} of ${report.entries.length} can not be used as they are`);
  return lines;
}

/** The report for programs, one object for each entry. */
export function checkJson(report: CheckReport): unknown[] {
  return [
    ...report.warnings.map((text) => ({ warning: text })),
    ...report.subnets.map(({ cidr, relay, range, controllerAddress }) => ({
      subnet: cidr,
      ...(relay !== undefined && { relay }),
      ...(range !== undefined && { range: `${range.from}-${range.to}` }),
      ...(controllerAddress !== undefined && { controller_address: controllerAddress }),
    })),
    ...report.entries.map(({ name, problems, warnings }) => ({
      name,
      result: problems.length > 0 ? 'problem' : 'ok',
      problems,
      warnings,
    })),
  ];
}
