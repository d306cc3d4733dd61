// Ending what an SSH login left behind: a remote command without a terminal runs on after its client is gone.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './host.ts';

export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Clock ticks since boot; with the pid it names one process for good. */
  readonly startedAt: string;
}

/** /proc/PID/stat: the name stands in parentheses and may hold anything, so the last one counts. */
export function readStat(text: string): Process | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ');
  const pid = Number.parseInt(text, 10);
  const parent = Number(fields[1]);
  const startedAt = fields[19];
  if (!Number.isInteger(pid) || !Number.isInteger(parent) || startedAt === undefined) return undefined;
  return { pid, parent, name: text.slice(open + 1, close), startedAt };
}

export function listProcesses(root: string): Process[] {
  let names: string[];
  try {
    names = readdirSync(join(root, 'proc'));
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const process = readStat(readFileSync(join(root, 'proc', name, 'stat'), 'utf8'));
      return process ? [process] : [];
    } catch {
      return [];
    }
  });
}

/**
 * Everything that belongs to an SSH login, and never the listening server, ourselves or what we started: processes whose parent is
 * an SSH server other than the listener, with all their descendants.
 */
export function loginProcesses(all: readonly Process[], self: number): Process[] {
  const byPid = new Map(all.map((process) => [process.pid, process]));
  const isServer = (name: string | undefined): boolean => name !== undefined && /^(sshd.*|dropbear)$/.test(name);
  const isLogin = (process: Process): boolean => isServer(process.name) && isServer(byPid.get(process.parent)?.name);
  return all.filter((process) => {
    let belongs = false;
    const seen = new Set<number>();
    for (let at: Process | undefined = process; at && !seen.has(at.pid); at = byPid.get(at.parent)) {
      if (at.pid === self) return false;
      seen.add(at.pid);
      belongs ||= isLogin(at);
    }
    return belongs;
  });
}

/** Processes that hold something below `place` open, work in it or have it for their root; never ourselves, what we started, or process 1. */
export function usersOf(root: string, place: string, all: readonly Process[], self: number): Process[] {
  const byPid = new Map(all.map((process) => [process.pid, process]));
  const isOurs = (process: Process): boolean => {
    const seen = new Set<number>();
    for (let at: Process | undefined = process; at && !seen.has(at.pid); at = byPid.get(at.parent)) {
      if (at.pid === self) return true;
      seen.add(at.pid);
    }
    return false;
  };
  const leads = (link: string): boolean => {
    try {
      const to = readlinkSync(link);
      return to === place || to.startsWith(`${place}/`);
    } catch {
      return false; // ended meanwhile, or the kernel's own
    }
  };
  return all.filter((process) => {
    if (process.pid === 1 || isOurs(process)) return false;
    const folder = join(root, 'proc', String(process.pid));
    if (leads(join(folder, 'cwd')) || leads(join(folder, 'root'))) return true;
    try {
      return readdirSync(join(folder, 'fd')).some((name) => leads(join(folder, 'fd', name)));
    } catch {
      return false;
    }
  });
}

/**
 * Ends what belongs to ssh logins, and what a login that is gone has left at work on the target: nix goes on fetching for as long as it has paths to
 * fetch. SIGTERM, then after at most two seconds SIGKILL, and a second for that to take effect.
 * @returns how many were ended
 */
export async function endLogins(root: string, clock: Clock, target = '/mnt'): Promise<number> {
  const all = listProcesses(root);
  const victims = [...new Set([...loginProcesses(all, process.pid), ...usersOf(root, target, all, process.pid)])];
  const living = (): Process[] => {
    const now = new Set(listProcesses(root).map(({ pid, startedAt }) => `${pid} ${startedAt}`));
    return victims.filter(({ pid, startedAt }) => now.has(`${pid} ${startedAt}`));
  };
  const send = (signal: NodeJS.Signals): void => {
    for (const { pid } of living()) {
      try {
        process.kill(pid, signal);
      } catch {
        // ended meanwhile
      }
    }
  };
  send('SIGTERM');
  for (let tries = 0; tries < 20 && living().length > 0; tries += 1) await clock.sleep(100);
  send('SIGKILL');
  for (let tries = 0; tries < 10 && living().length > 0; tries += 1) await clock.sleep(100);
  return victims.length;
}
