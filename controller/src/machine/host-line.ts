// One line of what was said by and about a machine.
import type { Stage } from './stage.ts';

export const origins = ['agent', 'journal', 'kernel', 'nixos-anywhere', 'nix', 'core'] as const;
/** Who said it: the agent itself, a program or the kernel of the installer, a child of the controller, the controller. */
export type Origin = (typeof origins)[number];

export interface HostLine {
  /** Milliseconds since 1970 by the controller's clock. */
  readonly at: number;
  /** In which the machine was then. */
  readonly stage: Stage;
  readonly origin: Origin;
  /** Unit, phase or part of the controller. */
  readonly source: string;
  readonly text: string;
  /** RFC 5424 6.2.1: 0 emergency … 7 debug. */
  readonly severity?: number;
}

/** Which of the lines are asked for. */
export interface LineFilter {
  readonly since?: number;
  readonly stage?: Stage;
}

export function passes({ since, stage }: LineFilter, line: Pick<HostLine, 'at' | 'stage'>): boolean {
  return (since === undefined || line.at >= since) && (stage === undefined || line.stage === stage);
}
