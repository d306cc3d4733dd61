// What is told to people and programs about a run: one object is one line of `nixie --json`, and all that the terminal view draws from.
// Times are ISO 8601 in UTC. Unknown is absent.
import type { Stage } from './stage.ts';

/** What an agent sees of an install, in the usual order. */
export const installSteps = ['partitioned', 'formatted', 'mounted', 'profile', 'boot-loader', 'unmounted'] as const;
export type InstallStep = (typeof installSteps)[number];

export interface TargetDisk {
  path: string;
  size_bytes: number;
  model?: string;
  serial?: string;
  wwn?: string;
  /** It is the one that the hints of the hosts file mean: the layout finds it under this name. */
  link?: string;
}

/** Whose last words are in the result of a machine that failed; `agent`: and the programs of the installer. */
export type Speaker = 'nix' | 'nixos-anywhere' | 'agent' | 'kernel';

/** The `nixie relay` that the event's machine is behind; of what was seen, the one that saw it, by one of its own interfaces. */
interface Behind {
  relay?: string;
}

export type RunEvent = Behind & Happened;

type Happened =
  | { event: 'stage'; at: string; host: string; stage: Stage; reason?: string; address?: string }
  | {
      event: 'progress';
      at: string;
      host: string;
      stage: Stage;
      /** Of what is sent (loading) or copied (copy). */
      done_bytes?: number;
      total_bytes?: number;
      /** No byte is expected for a while: the boot stage is there, and starts, before it fetches the rest. */
      paused?: boolean;
      bytes_per_second?: number;
      /** Of what is copied: the path under way, whose bytes are not among the done ones; and what its agent sees on the target. */
      path_bytes?: number;
      landed_bytes?: number;
      /** What its agent saw happen to the target. */
      step?: InstallStep;
      /** Of the stage, and of the whole way to the proof: 0 to 100, never less than before. */
      percent?: number;
      overall_percent?: number;
      /** Until it is proved, by what the machines before it took. */
      eta_seconds?: number;
      /** Nothing has moved for so long, and the likely reason. */
      stalled_seconds?: number;
      stalled_why?: string;
    }
  /** What is going to be written to, right before it is: judged free, or its data may be lost. */
  | { event: 'disks'; at: string; host: string; disks: TargetDisk[] }
  /** Something seen on the wire from or for a machine: DHCP, TFTP, HTTP, WoL. `kind` is from a closed set of words. */
  | {
      event: 'seen';
      at: string;
      host?: string;
      mac?: string;
      interface?: string;
      /** Of the relay agent that passed it on. */
      giaddr?: string;
      kind: string;
      detail?: string;
    }
  | { event: 'log'; at: string; host?: string; source: string; text: string }
  | { event: 'notice'; at: string; host?: string; level: 'info' | 'warning' | 'error'; text: string }
  /** What the preparation (evaluate, build) is doing. */
  /** Of evaluation and build, which goes on while machines boot. `over`: nothing more comes of it. */
  | { event: 'prepare'; at: string; text: string; done?: number; total?: number; over?: true }
  | {
      event: 'result';
      at: string;
      host: string;
      result: Stage;
      reason?: string;
      address?: string;
      toplevel?: string;
      /** `ssh-ed25519 AAAA…` of the installed system, once proved. */
      host_key?: string;
      /** Seconds spent in each stage passed. */
      seconds: Partial<Record<Stage, number>>;
      /** Last lines of the log, when it failed: of all, and of each who spoke. */
      log?: string[];
      last_words?: Partial<Record<Speaker, string[]>>;
    }
  | { event: 'end'; at: string; exit_code: number; seconds: number };
