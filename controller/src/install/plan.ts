// One nixos-anywhere child per host and phase: its arguments, its environment, its patience. Pure: nothing is read or started here.
// One phase a process, so that the phase is known for certain, has its own deadline and can be started again alone.
import { isIPv4, isIPv6 } from 'node:net';
import type { ChildUser, Identity } from '../child/identity.ts';

export const phases = ['disko', 'install', 'reboot'] as const;
export type Phase = (typeof phases)[number];

/** What one child does, one after the other. A phase passes some of them, always in this order. */
export type Step =
  | 'start' // nothing said yet
  | 'keys' // ssh-copy-id; loops for ever on its own when it gets no answer or no login
  | 'facts' // what the installer has and lacks; the silent opening of the first copy counts here too
  | 'upload' // the disko script and its closure, into the installer's memory
  | 'disko' // partitions and file systems
  | 'copy' // the system's closure, to the new disk
  | 'extra-files' // host key and proof key
  | 'install' // nixos-install and boot loader
  | 'reboot' // the reboot command is given
  | 'waiting' // polls until ssh fails; loops for ever on its own when the machine stays
  | 'done';

/** Milliseconds a step may take. A copy is allowed more the larger it is. */
export interface Patience {
  readonly stepMs: Readonly<Record<Step, number>>;
  /** Added to a copy's time for its bytes: slower than this is given up. Bytes per second. */
  readonly copyBytesPerSecond: number;
  /** Longest silence in a copy beside the time that the path under way may need. */
  readonly quietCopyMs: number;
  /** Between the polite signal and the last one. */
  readonly graceMs: number;
}

const second = 1000;
const minute = 60 * second;

export const defaultPatience: Patience = {
  stepMs: {
    start: 60 * second,
    keys: 60 * second,
    facts: 60 * second,
    upload: 2 * minute,
    disko: 10 * minute,
    copy: 2 * minute,
    'extra-files': 2 * minute,
    install: 15 * minute,
    reboot: 60 * second,
    waiting: 2 * minute,
    done: 30 * second,
  },
  // Four machines at once behind 100 Mbit/s get some 3 MB/s each; a copy that stands still is found by its silence.
  copyBytesPerSecond: 1_000_000,
  quietCopyMs: 60 * second,
  graceMs: 5 * second,
};

/** Some steps given more or less time than the table says. */
export type PatienceChange = Partial<Omit<Patience, 'stepMs'>> & { readonly stepMs?: Partial<Patience['stepMs']> };

export function withPatience(change: PatienceChange = {}): Patience {
  return { ...defaultPatience, ...change, stepMs: { ...defaultPatience.stepMs, ...change.stepMs } };
}

/** Folders of one run of one host, made by folders.ts: private, in memory where the system has such a place, no blanks in their names. */
export interface RunPaths {
  /** Holds `ssh`, our shim. Goes first in PATH. */
  readonly shim: string;
  /** The child makes `.ssh` in it. */
  readonly home: string;
  /** The child's copies of keys: emptied by us after each phase, because a killed child leaves them. */
  readonly tmp: string;
}

export interface PhaseRequest {
  readonly phase: Phase;
  /** Name of the machine, for messages only. */
  readonly host: string;
  /** Where its agent said that it is. */
  readonly address: string;
  readonly sshPort?: number;
  /** Absolute path of nixos-anywhere. */
  readonly program: string;
  /** Store path of the disko script; every phase asks for both paths. */
  readonly disko: string;
  /** Store path of the system. */
  readonly toplevel: string;
  /** Private key of this run, 0600, no passphrase. */
  readonly keyFile: string;
  readonly paths: RunPaths;
  /** Where programs are looked for, behind the shim. */
  readonly searchPath: string;
  /** More variables for nix, from `nixEnvironment`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Staged files for the new disk; used by `install` only. */
  readonly extraFiles?: string;
  /** Of the staged files, those that don't belong to root; used by `install` only. */
  readonly owners?: readonly { readonly path: string; readonly owner: string }[];
  /** Paths on the installer of keys for disks; used by `disko` only. The child inherits each as a descriptor, in this order, from 3 on. */
  readonly diskKeys?: readonly string[];
  readonly patience?: PatienceChange;
  /** Whom the child runs as; the folders must be theirs. Absent: as ourselves. */
  readonly as?: Identity;
}

/** The first descriptor behind standard input, output and error. */
const firstInherited = 3;

export interface PhasePlan {
  readonly host: string;
  readonly phase: Phase;
  readonly program: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Removed after the child has ended, however it ended. */
  readonly tmp: string;
  readonly patience: Patience;
  /** Absent: as ourselves. */
  readonly as?: ChildUser;
}

/** Arguments, environment and patience of one child. Throws when a value can't be passed on safely, naming it. */
export function planPhase(request: PhaseRequest): PhasePlan {
  const { phase, host, paths, patience } = request;
  if (!isIPv4(request.address) && !isIPv6(request.address)) {
    throw new Error(`plan ${phase} of ${host}: address: expected an IP address, found "${request.address}"`);
  }
  const { shim, home, tmp } = paths;
  for (const [name, value] of Object.entries({
    shim,
    home,
    tmp,
    keyFile: request.keyFile,
    extraFiles: request.extraFiles,
  })) {
    // The child joins its folder unquoted into NIX_SSHOPTS, which nix splits on blanks; a word starting with `-` would be a flag.
    if (value !== undefined && !/^\/[^\s'"\\]*$/.test(value)) {
      throw new Error(
        `plan ${phase} of ${host}: ${name}: expected an absolute path without blanks or quotes, found "${value}"`,
      );
    }
  }
  for (const path of [...(request.diskKeys ?? []), ...(request.owners ?? []).map((each) => each.path)]) {
    // Handed to a shell on the machine without quotes.
    if (!/^\/[A-Za-z0-9._+@:,=%/-]+$/.test(path))
      throw new Error(`plan ${phase} of ${host}: expected a plain absolute path for a secret, found "${path}"`);
  }
  for (const name of ['disko', 'toplevel'] as const) {
    if (!/^\/[^\s'"\\]*$/.test(request[name])) {
      throw new Error(`plan ${phase} of ${host}: ${name}: expected a store path, found "${request[name]}"`);
    }
  }
  return {
    host,
    phase,
    program: request.program,
    argv: argv(request),
    env: {
      ...request.env,
      PATH: `${paths.shim}:${request.searchPath}`,
      HOME: paths.home,
      TMPDIR: paths.tmp,
      LC_ALL: 'C',
      ...(request.as === undefined ? {} : { USER: request.as.name, LOGNAME: request.as.name }),
    },
    tmp: paths.tmp,
    patience: withPatience(patience),
    ...(request.as === undefined ? {} : { as: request.as }),
  };
}

function argv(request: PhaseRequest): string[] {
  const words = [
    '--store-paths',
    request.disko,
    request.toplevel,
    '--build-on',
    'local',
    '--phases',
    request.phase,
    '-i',
    request.keyFile,
    '--no-use-machine-substituters',
    // Behind the script's own options; the shim puts the ones that matter for safety in front of all.
    '--ssh-option',
    'ServerAliveInterval=15',
    '--ssh-option',
    'ServerAliveCountMax=4',
  ];
  if (request.sshPort !== undefined && request.sshPort !== 22) words.push('--ssh-port', String(request.sshPort));
  if (request.phase === 'install' && request.extraFiles !== undefined) words.push('--extra-files', request.extraFiles);
  if (request.phase === 'install')
    for (const { path, owner } of request.owners ?? []) words.push('--chown', path, owner);
  if (request.phase === 'disko')
    for (const [index, path] of (request.diskKeys ?? []).entries())
      words.push('--disk-encryption-keys', path, `/dev/fd/${firstInherited + index}`);
  words.push('--target-host', `root@${request.address}`);
  return words;
}

/**
 * The variables that nix and its downloads need, out of the caller's own environment; everything else stays out: SSH_AUTH_SOCK, SSH_PRIVATE_KEY,
 * SSHPASS, NIX_SSHOPTS and NIXOS_NO_CHECK change what nixos-anywhere does.
 */
export function nixEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of keptVariables) {
    const value = env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

const keptVariables = [
  'NIX_CONF_DIR',
  'NIX_CONFIG',
  'NIX_USER_CONF_FILES',
  'NIX_REMOTE',
  'NIX_STORE_DIR',
  'NIX_STATE_DIR',
  'NIX_LOG_DIR',
  'NIX_SSL_CERT_FILE',
  'SSL_CERT_FILE',
  'LOCALE_ARCHIVE',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'all_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'ALL_PROXY',
] as const;

/** Milliseconds that a step may take, for a copy of so many bytes. */
export function stepLimitMs(patience: Patience, step: Step, bytes = 0): number {
  const forBytes = step === 'copy' || step === 'upload' ? (bytes / patience.copyBytesPerSecond) * 1000 : 0;
  return patience.stepMs[step] + forBytes;
}
