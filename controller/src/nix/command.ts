// Runs nix programs: as a group of their own with a deadline, in a clean environment, as the user whose flake it is.
import { watchChild } from '../child/child.ts';
import type { Identity } from '../child/identity.ts';
import { splitLines } from '../child/lines.ts';

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
  /** Folder of the nix programs; absent: looked up in PATH. */
  readonly binDir?: string;
}

const features = ['--extra-experimental-features', 'nix-command flakes'];
const stderrKeptBytes = 256 * 1024;
/** Of stderr, in characters: one line of the log may be a whole message in JSON. */
const longestLine = 64 * 1024;

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
    // git-status(1): what it could note down in the checkout of somebody else is left.
    made.GIT_OPTIONAL_LOCKS = '0';
  }
  made.HOME ??= '/root';
  return made;
}

export function nixRunner(settings: RunnerSettings): RunNix {
  const { graceMs, maxStdoutBytes = 128 * 1024 * 1024 } = settings;
  return async (call) => {
    const as = call.as === 'self' ? undefined : settings.as;
    let stderr = '';
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    const lines = splitLines((line) => call.onLine?.(line), longestLine);
    const child = watchChild<'too-much-output'>(
      {
        program: settings.binDir ? `${settings.binDir}/${call.program}` : call.program,
        argv: call.program === 'nix' ? [...features, ...call.args] : call.args,
        env: nixEnvironment(settings.env, as, settings.home),
        outputs: 'apart',
        ...(as === undefined ? {} : { as }),
      },
      {
        deadlineMs: call.deadlineMs,
        signal: call.signal,
        // A grandchild that holds the outputs gets the same time as one that is asked to end.
        ...(graceMs === undefined ? {} : { graceMs, lingerMs: graceMs }),
        onOutput(bytes) {
          stdoutBytes += bytes.length;
          if (stdoutBytes > maxStdoutBytes) child.stop('too-much-output');
          else stdout.push(bytes);
        },
        onErrors(bytes) {
          lines.push(bytes);
          stderr = (stderr + bytes.toString('latin1')).slice(-stderrKeptBytes);
        },
      },
    );
    const end = await child.ended;
    lines.end();
    const text = {
      stdout: Buffer.concat(stdout).toString('utf8'),
      stderr: Buffer.from(stderr, 'latin1').toString('utf8'),
    };
    if (end.kind === 'not-started') {
      const missing = end.error.code === 'ENOENT' || end.error.code === 'EACCES';
      text.stderr += `starting ${call.program}: ${end.error.message}\n`;
      return { ended: missing ? 'missing' : 'signalled', ...text };
    }
    if (end.why !== undefined) return { ended: end.why, ...text };
    return end.status === null ? { ended: 'signalled', ...text } : { ended: 'exited', code: end.status, ...text };
  };
}
