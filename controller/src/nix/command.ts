// Runs nix programs: as a group of their own with a deadline, in a clean environment, as the user whose flake it is.
import { type SpawnOptions, spawn as spawnProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { lineSplitter } from './lines.ts';

export interface NixCall {
  readonly program: 'nix' | 'nix-store';
  readonly args: readonly string[];
  /** From the start of the program; then its group is ended. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Each line of stderr, cut at 64 KiB. */
  readonly onLine?: (line: string) => void;
  /** `self`: as the user that runs Nixie even if calls usually run as another one. For what is written outside the store. */
  readonly as?: 'self';
}

export interface NixResult {
  /** Why there is nothing more to wait for. */
  readonly ended: 'exited' | 'signalled' | 'deadline' | 'aborted' | 'missing' | 'too-much-output';
  /** Exit status; absent when it didn't exit by itself. */
  readonly code?: number;
  readonly stdout: string;
  /** The last 256 KiB. */
  readonly stderr: string;
}

/** Never rejects: all that can go wrong is in the result. */
export type RunNix = (call: NixCall) => Promise<NixResult>;

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
}

export interface RunnerSettings {
  /** Where PATH, HOME, NIX_* and the like are taken from; all else is left out. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whom children run as; absent: as ourselves. */
  readonly as?: Identity;
  /** A folder for HOME instead of the one in `env`, with the .gitconfig that git is to use. */
  readonly home?: string;
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs?: number;
  /** Bytes of stdout that are kept before the call is given up. */
  readonly maxStdoutBytes?: number;
  readonly spawn?: typeof spawnProcess;
  /** Folder of the nix programs; absent: looked up in PATH. */
  readonly binDir?: string;
}

const features = ['--extra-experimental-features', 'nix-command flakes'];
const stderrKeptBytes = 256 * 1024;

const kept =
  /^(?:PATH|HOME|USER|LOGNAME|TMPDIR|TZDIR|LANG|LC_.*|LOCALE_ARCHIVE|NIX_.*|IN_NIX_SHELL|SSH_AUTH_SOCK|GIT_SSH|GIT_SSH_COMMAND|GIT_CONFIG_.*|XDG_CONFIG_HOME|XDG_CACHE_HOME|XDG_DATA_HOME|XDG_STATE_HOME|SUDO_UID|SUDO_GID|(?:https?|ftp|all|no)_proxy|(?:HTTPS?|FTP|ALL|NO)_PROXY|SSL_CERT_FILE|SSL_CERT_DIR)$/;

/** The environment of a nix child: see {@link RunnerSettings}. */
export function nixEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  as?: Identity,
  home?: string,
): Record<string, string> {
  const made: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined && kept.test(name)) made[name] = value;
  made.PATH ??= '/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/local/bin:/usr/bin:/bin';
  if (as) {
    // Root's folders are not this user's, and sudo's marks would make git believe in a third one.
    for (const name of Object.keys(made)) if (/^(?:XDG_|SUDO_)/.test(name)) delete made[name];
    Object.assign(made, { HOME: as.home, USER: as.name, LOGNAME: as.name });
    // A folder that only root can enter.
    delete made.TMPDIR;
  } else if (home) {
    // Only git looks at the private HOME; nix's own settings and caches stay where they were.
    const before = made.HOME ?? '/root';
    made.XDG_CONFIG_HOME ??= `${before}/.config`;
    made.XDG_CACHE_HOME ??= `${before}/.cache`;
    made.HOME = home;
  }
  made.HOME ??= '/root';
  return made;
}

const groups = new Set<number>();

/** For a program that ends at once: kills every group that still runs, without waiting. Gives their number. */
export function killNixGroups(): number {
  const { size } = groups;
  for (const group of groups) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // It is gone.
    }
  }
  groups.clear();
  return size;
}

export function nixRunner(settings: RunnerSettings): RunNix {
  const graceMs = settings.graceMs ?? 5_000;
  const maxStdoutBytes = settings.maxStdoutBytes ?? 128 * 1024 * 1024;
  const spawn = settings.spawn ?? spawnProcess;
  return (call) =>
    new Promise((done) => {
      if (call.signal?.aborted) return done({ ended: 'aborted', stdout: '', stderr: '' });
      const as = call.as === 'self' ? undefined : settings.as;
      const options: SpawnOptions = {
        cwd: '/',
        env: nixEnvironment(settings.env, as, settings.home),
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
        ...(as ? { uid: as.uid, gid: as.gid } : {}),
      };
      const args = call.program === 'nix' ? [...features, ...call.args] : [...call.args];
      const child = spawn(settings.binDir ? `${settings.binDir}/${call.program}` : call.program, args, options);

      if (child.pid !== undefined) groups.add(child.pid);
      let ended: NixResult['ended'] | undefined;
      let stderr = '';
      const stdout: Buffer[] = [];
      let stdoutBytes = 0;
      let killTimer: NodeJS.Timeout | undefined;
      let drainTimer: NodeJS.Timeout | undefined;
      let settled = false;
      const killGroup = (signal: NodeJS.Signals) => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, signal);
        } catch {
          // The group is gone.
        }
      };
      const stop = (why: NixResult['ended']) => {
        if (ended !== undefined || settled) return;
        ended = why;
        killGroup('SIGTERM');
        killTimer = setTimeout(() => killGroup('SIGKILL'), graceMs);
      };
      const deadline = setTimeout(() => stop('deadline'), call.deadlineMs);
      const onAbort = () => stop('aborted');
      call.signal?.addEventListener('abort', onAbort, { once: true });

      const lines = lineSplitter((line) => call.onLine?.(line));
      (child.stdout as Readable | null)?.on('data', (chunk: Buffer) => {
        stdoutBytes += chunk.length;
        if (stdoutBytes > maxStdoutBytes) stop('too-much-output');
        else stdout.push(chunk);
      });
      (child.stderr as Readable | null)?.on('data', (chunk: Buffer) => {
        lines.push(chunk);
        stderr = (stderr + chunk.toString('latin1')).slice(-stderrKeptBytes);
      });

      const settle = (code: number | null) => {
        if (settled) return;
        settled = true;
        if (child.pid !== undefined) groups.delete(child.pid);
        for (const timer of [deadline, killTimer, drainTimer]) clearTimeout(timer);
        call.signal?.removeEventListener('abort', onAbort);
        lines.end();
        child.stdout?.destroy();
        child.stderr?.destroy();
        const text = {
          stdout: Buffer.concat(stdout).toString('utf8'),
          stderr: Buffer.from(stderr, 'latin1').toString('utf8'),
        };
        if (ended !== undefined) done({ ended, ...text });
        else if (code === null) done({ ended: 'signalled', ...text });
        else done({ ended: 'exited', code, ...text });
      };
      child.on('error', (error: NodeJS.ErrnoException) => {
        // Without a pid nothing was started and no exit follows.
        if (child.pid !== undefined) return;
        ended = error.code === 'ENOENT' || error.code === 'EACCES' ? 'missing' : 'signalled';
        stderr += Buffer.from(`starting ${call.program}: ${error.message}\n`).toString('latin1');
        settle(null);
      });
      child.on('close', (code) => settle(code));
      child.on('exit', (code) => {
        // A grandchild may hold the pipes open for ever: what is left of the group gets a moment, then it goes.
        drainTimer = setTimeout(() => {
          killGroup('SIGKILL');
          settle(code);
        }, graceMs);
      });
    });
}
