// One ssh login that is kept open for a phase: the dozen ssh of nixos-anywhere go through it (ssh_config(5), ControlMaster) instead of logging in
// each time, which is most of a short phase. Ours and in the foreground, not one that the first ssh leaves behind: it ends when the phase ends.
// Nothing depends on it. Where it can't be had, or is gone, each ssh logs in by itself and says what is wrong.
import { existsSync } from 'node:fs';
import { watchChild } from '../child/child.ts';
import type { ChildUser } from '../child/identity.ts';
import { sleep } from '../clock.ts';
import { pinnedOptions } from './shim.ts';

export interface MasterRequest {
  /** ssh(1) by absolute path. */
  readonly realSsh: string;
  /** File with the one key that is believed. */
  readonly knownHosts: string;
  /** Private key, readable by `as`. */
  readonly keyFile: string;
  readonly address: string;
  /** Where the others find it; the shim names the same. Below 90 bytes: ssh makes a longer name of it first. */
  readonly controlPath: string;
  /** Where ssh looks for programs of its own. */
  readonly searchPath: string;
  /** More options in front, such as `ProxyCommand=…`. */
  readonly options?: readonly string[];
  /** Absent: as ourselves. */
  readonly as?: ChildUser;
  readonly signal?: AbortSignal;
  /** Milliseconds until the phase begins without it. */
  readonly patienceMs?: number;
}

export interface Master {
  /** False: there is none, for whatever reason. */
  readonly open: boolean;
  /** What it said, or that it ended, once it has ended by itself: those that shared it end without a word. */
  lost(): string | undefined;
  /** Ends it and what it carries. */
  close(): void;
}

export const noMaster: Master = { open: false, lost: () => undefined, close: () => {} };

/** Logs in and waits until the others can use it, or it has failed, or the time is over. Never throws. */
export async function openMaster(request: MasterRequest): Promise<Master> {
  const { controlPath, signal, patienceMs = 15_000 } = request;
  if (signal?.aborted) return noMaster;
  const pinned = pinnedOptions(request.knownHosts, { controlMaster: 'yes', controlPath });
  const options = [...pinned, ...(request.options ?? [])].flatMap((each) => ['-o', each]);
  const words = ['-F', '/dev/null', ...options, '-o', 'IdentitiesOnly=yes', '-i', request.keyFile];
  let said = '';
  const child = watchChild<'closed'>(
    {
      program: request.realSsh,
      argv: [...words, '-N', '-T', `root@${request.address}`],
      env: { PATH: request.searchPath, LC_ALL: 'C' },
      outputs: 'apart',
      ...(request.as === undefined ? {} : { as: request.as }),
    },
    {
      // SIGTERM lets it remove its socket; its folder goes right after, so it need not.
      graceMs: 0,
      lingerMs: 0,
      onErrors: (bytes) => {
        said = `${said}${bytes.toString('latin1')}`.slice(-1000);
      },
    },
  );
  let closed = false;
  const close = () => {
    closed = true;
    child.stop('closed');
  };
  const lost = () => {
    if (closed || child.running) return undefined;
    return (
      said
        .trim()
        .split(/[\r\n]+/)
        .at(-1) || 'ssh ended'
    );
  };
  const until = performance.now() + patienceMs;
  while (child.running && !signal?.aborted && performance.now() < until) {
    if (existsSync(controlPath)) return { open: true, lost, close };
    await sleep(20, signal);
  }
  close();
  return noMaster;
}
