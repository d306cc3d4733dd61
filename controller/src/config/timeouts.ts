// The time limits that can be set on the command line, and which stages of a machine's life each one holds for.
import type { WayStep } from '../machine/stage.ts';

export interface Timeout {
  /** `--probe-timeout SECONDS` */
  readonly option: string;
  /** Its name in the options object: `probeTimeout`. */
  readonly key: string;
  /** Empty: the limit isn't one of a machine's life. */
  readonly stages: readonly WayStep[];
  readonly description: string;
}

const timeout = (name: string, stages: readonly WayStep[], description: string): Timeout => ({
  option: `--${name}-timeout`,
  key: `${name}Timeout`,
  stages,
  description,
});

export const timeouts: readonly Timeout[] = [
  timeout('build', [], 'evaluating and building everything'),
  timeout('probe', ['probing'], 'finding out whether a machine runs its system already'),
  timeout('wake', ['waking'], 'from the first magic packet to the first sign of the machine'),
  timeout(
    'boot',
    ['restarting', 'firmware', 'loading'],
    'each: order to boot afresh until firmware, until boot script, until agent',
  ),
  timeout('check', ['registered', 'preflight'], 'each: waiting for a free job, looking at the disks'),
  timeout('disko', ['disko'], 'partitioning'),
  timeout('copy', ['copy'], 'copying the closure'),
  timeout('install', ['install'], 'nixos-install and boot loader'),
  timeout('reboot', ['rebooting'], 'the order to reboot'),
  timeout('proof', ['proving'], 'from the reboot to the proof'),
];

export const buildTimeoutKey = 'buildTimeout';
/** Seconds: kernels are built from source in it, but a hanging substituter isn't waited for all night. */
export const defaultBuildTimeoutSeconds = 6 * 3600;
