// What is told to people and programs about a run: one object is one line of `nixie --json`, and all that the terminal view draws from.
// Times are ISO 8601 in UTC. Unknown is absent.
import type { Stage } from './stage.ts';

export type RunEvent =
  | { event: 'stage'; at: string; host: string; stage: Stage; reason?: string; address?: string }
  | {
      event: 'progress';
      at: string;
      host: string;
      stage: Stage;
      done_bytes: number;
      total_bytes?: number;
      bytes_per_second?: number;
    }
  /** Something seen on the wire from or for a machine: DHCP, TFTP, HTTP, WoL. `kind` is from a closed set of words. */
  | { event: 'seen'; at: string; host?: string; mac?: string; interface?: string; kind: string; detail?: string }
  | { event: 'log'; at: string; host?: string; source: string; text: string }
  | { event: 'notice'; at: string; host?: string; level: 'info' | 'warning' | 'error'; text: string }
  /** What the preparation (evaluate, build) is doing. */
  | { event: 'prepare'; at: string; text: string; done?: number; total?: number }
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
      /** Last lines of the log, when it failed. */
      log?: string[];
    }
  | { event: 'end'; at: string; exit_code: number; seconds: number };
