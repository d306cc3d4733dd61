// The `ssh` that nixos-anywhere, ssh-copy-id and nix find first in PATH. nixos-anywhere trusts any host key at any address, and its options come
// first and win; so this `ssh` drops them and puts ours in front: the machine at that address must have the key that its agent registered.
// It also drops `-C`: compression makes a copy five times slower than the wire.
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface ShimRequest {
  /** Folder to put `ssh` and `known_hosts` in; private. */
  readonly folder: string;
  /** The program behind, by absolute path. */
  readonly realSsh: string;
  /** The keys of the machine, as `ssh-ed25519 AAAA…`; no other is believed, whatever name or port is asked for. */
  readonly hostKeys: readonly string[];
  /** More options in front, such as `ProxyCommand=…`: `-F /dev/null` shuts out the ones of the user's file. */
  readonly options?: readonly string[];
  /** Seconds until a connection attempt ends. */
  readonly connectTimeoutSeconds?: number;
  /** Socket of a login that is open already (master.ts), or may be. Absent: every call logs in by itself. */
  readonly controlPath?: string;
}

/** Options of ssh(1) whose value is the rest of the word or the next word. */
const valued = 'bceilmopBDEFIJLOPQRSWw';

/** Never taken from the caller: these decide whom we believe. */
const dropped = ['UserKnownHostsFile', 'GlobalKnownHostsFile', 'StrictHostKeyChecking'];

/** Writes `ssh` and `known_hosts` into the folder; returns the path of `ssh`. */
export async function writeShim(request: ShimRequest): Promise<string> {
  const knownHosts = await writeKnownHosts(request.folder, request.hostKeys);
  const file = join(request.folder, 'ssh');
  await writeFile(file, shimText(request, knownHosts), { mode: 0o700 });
  await chmod(file, 0o700);
  return file;
}

/** Writes `known_hosts` into the folder; returns its path. */
export async function writeKnownHosts(folder: string, hostKeys: readonly string[]): Promise<string> {
  const file = join(folder, 'known_hosts');
  await writeFile(file, knownHostsText(hostKeys), { mode: 0o600 });
  return file;
}

/** `*`: the file is for one machine, and this holds for every form in which its address can be written. */
export function knownHostsText(hostKeys: readonly string[]): string {
  if (hostKeys.length === 0) throw new Error('pin host key: expected at least one key, found none');
  return hostKeys
    .map((key) => {
      const words = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) ([A-Za-z0-9+/]+={0,2})(?: [^\r\n]*)?$/.exec(key.trim());
      if (words === null) throw new Error(`pin host key: expected "ssh-ed25519 AAAA…", found "${key}"`);
      return `* ${words[1]} ${words[2]}\n`;
    })
    .join('');
}

/** Options that are put in front of everything; ssh keeps the first value that it sees. */
export function pinnedOptions(
  knownHosts: string,
  more: {
    readonly connectTimeoutSeconds?: number;
    readonly controlMaster?: 'yes' | 'no';
    readonly controlPath?: string;
  } = {},
): string[] {
  return [
    `UserKnownHostsFile=${knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    `ControlMaster=${more.controlMaster ?? 'no'}`,
    `ControlPath=${more.controlPath ?? 'none'}`,
    'Compression=no',
    'BatchMode=yes',
    `ConnectTimeout=${more.connectTimeoutSeconds ?? 10}`,
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
  ];
}

/** The script. POSIX sh, no program is started but ssh: it runs a dozen times an install. */
export function shimText(request: Omit<ShimRequest, 'folder' | 'hostKeys'>, knownHosts: string): string {
  const options = [...pinnedOptions(knownHosts, request), ...(request.options ?? [])];
  const controlled = `ControlPath=${request.controlPath}`;
  const inFront = options
    .map((option) => (option === controlled ? '-o "ControlPath=$control"' : `-o ${quote(option)}`))
    .join(' \\\n  ');
  const ours = dropped.map((name) => `${anyCase(name)}[=\\ ]*`).join(' | ');
  return `#!/bin/sh
# ssh with the host key pinned. Written anew for each run.
# Goes through its arguments as ssh does: options, host, more options, and from the first word that is none, or from --, the remote command.
left=$#
host=n
control=${quote(request.controlPath ?? 'none')}
while [ "$left" -gt 0 ]; do
  word=$1
  case $word in
  --)
    # Ends the options here; ssh looks for options once more behind the host.
    set -- "$@" "$word"
    shift
    left=$((left - 1))
    if [ $host = y ]; then break; fi
    if [ "$left" -gt 0 ]; then
      set -- "$@" "$1"
      shift
      left=$((left - 1))
      host=y
    fi
    continue
    ;;
  -?*) ;;
  *)
    if [ $host = y ]; then break; fi
    host=y
    set -- "$@" "$word"
    shift
    left=$((left - 1))
    continue
    ;;
  esac
  shift
  left=$((left - 1))
  # One word may hold several letters: keep them but C, up to one that takes a value.
  letters=\${word#-}
  kept=
  while [ -n "$letters" ]; do
    rest=\${letters#?}
    letter=\${letters%"$rest"}
    case $letter in
    C) letters=$rest ;;
    [${valued}])
      if [ -n "$rest" ]; then
        value=$rest
      elif [ "$left" -gt 0 ]; then
        value=$1
        shift
        left=$((left - 1))
      else
        # Nothing follows: let ssh complain.
        kept=$kept$letter
        break
      fi
      if [ -n "$kept" ]; then set -- "$@" "-$kept"; fi
      kept=
      drop=n
      case $letter in
      o)
        case $value in
        ${ours}) drop=y ;;
        ${anyCase('PreferredAuthentications')}[=\\ ]publickey) ;;
        # nix waits for the words of this command, which only a login of its own runs; ssh-copy-id asks for the version by a login that fails.
        ${anyCase('LocalCommand')}[=\\ ]* | ${anyCase('PreferredAuthentications')}[=\\ ]*) control=none ;;
        esac
        ;;
      F) drop=y ;;
      # What nix asks first; there is a login to be shared means that it doesn't wait for those words.
      O) control=none ;;
      esac
      if [ $drop = n ]; then
        if [ -n "$rest" ]; then set -- "$@" "-$letter$value"; else set -- "$@" "-$letter" "$value"; fi
      fi
      break
      ;;
    *)
      kept=$kept$letter
      letters=$rest
      ;;
    esac
  done
  if [ -n "$kept" ]; then set -- "$@" "-$kept"; fi
done
# The untouched words stand in front: turn them behind the kept ones.
while [ "$left" -gt 0 ]; do
  set -- "$@" "$1"
  shift
  left=$((left - 1))
done
exec ${quote(request.realSsh)} -F /dev/null \\
  ${inFront} "$@"
`;
}

/** One word for sh. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A pattern for sh that matches the name in any case: ssh does not tell them apart. */
function anyCase(name: string): string {
  return [...name].map((letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`).join('');
}
