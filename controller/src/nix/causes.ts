// The one place that knows what nix's words mean. Nix ends 1 (nix-store: 100) whatever went wrong, so only its text tells the cause.

/** Closed set; the same words in logs, `--json` and tests. */
export type Cause =
  | 'aborted'
  | 'build-failed'
  | 'daemon-refused'
  | 'deadline'
  | 'disk-full'
  | 'evaluation'
  | 'features-off'
  | 'foreign-owner'
  | 'hash-mismatch'
  | 'incomplete'
  | 'link-lost'
  | 'missing-attribute'
  | 'missing-program'
  | 'no-network'
  | 'not-a-flake'
  | 'out-of-memory'
  | 'untracked-file'
  | 'unknown'
  | 'untrusted-key'
  | 'wrong-platform';

interface Rule {
  readonly cause: Cause;
  readonly pattern: RegExp;
}

// Texts come from builds too: no pattern may look at the rest of a line from each of its characters. So `.*` and two `[^']*` in a row have an
// anchor or a lookahead, which is not tried again, before them.
// First match wins: the causes that make others happen stand first.
const rules: readonly Rule[] = [
  { cause: 'disk-full', pattern: /No space left on device|database or disk is full/ },
  { cause: 'out-of-memory', pattern: /Cannot allocate memory|out of memory|bad_alloc/i },
  {
    cause: 'foreign-owner',
    // 2.26 says it itself; 2.8 only git's status; 128 is any other failure of git.
    pattern: /is not owned by current user|detected dubious ownership|'?git'? failed with exit code 129/,
  },
  { cause: 'features-off', pattern: /experimental (?:Nix )?feature '[^']*' is disabled/ },
  {
    cause: 'daemon-refused',
    pattern:
      /cannot connect to (?:socket|daemon)|is not allowed to connect to the Nix daemon|you are not privileged to build/,
  },
  {
    cause: 'no-network',
    pattern:
      /Could not resolve host|Couldn't resolve host|Failed to connect to|Connection refused|unable to download|Network is unreachable/,
  },
  { cause: 'untrusted-key', pattern: /lacks a valid signature|lacks a signature by a trusted key/ },
  { cause: 'hash-mismatch', pattern: /hash mismatch in|NAR hash mismatch/ },
  {
    cause: 'wrong-platform',
    pattern: /is required to build '[^']*', but I am|platform mismatch|Failed to find a machine for remote build/i,
  },
  {
    cause: 'build-failed',
    // `builder for … failed` up to 2.28, `Cannot build … Reason: builder failed` from 2.29 on.
    pattern:
      /builder for '[^']*' failed|Cannot build '[^']*\.drv'|dependenc(?:y|ies) of derivation|^(?:(?!build of ).)*build of .* failed|timed out after/m,
  },
  { cause: 'missing-attribute', pattern: /does not provide attribute/ },
  { cause: 'untracked-file', pattern: /is not tracked by Git|path '(?=[^']*-source\/)[^']*' does not exist/ },
  {
    cause: 'not-a-flake',
    pattern:
      /does not contain a '?(?:\/?[^ ']*\/)?flake\.nix'?|could not find a flake\.nix file|is not part of a flake|is not a valid URL|cannot find flake|getting status of '[^']*': No such file/,
  },
  { cause: 'link-lost', pattern: /Broken pipe|failed to start SSH connection|Connection (?:closed|reset) by/ },
  { cause: 'missing-program', pattern: /executing '[^']*': No such file or directory/ },
];

/** The cause of a failed nix call, from all that it printed; `otherwise` when no text is known. */
export function causeOf(text: string, otherwise: Cause = 'unknown'): Cause {
  return rules.find((rule) => rule.pattern.test(text))?.cause ?? otherwise;
}

const advices: Partial<Record<Cause, string>> = {
  'daemon-refused':
    'the nix daemon does not answer this user; look at `systemctl status nix-daemon` and `allowed-users` in nix.conf',
  'disk-full': 'the disk that holds /nix or the temporary folder is full',
  'features-off': "add `experimental-features = nix-command flakes` to nix.conf; Nixie's own calls already ask for it",
  'foreign-owner':
    "the checkout belongs to another user: run nixie through sudo as that user, or add it to git's `safe.directory`",
  'hash-mismatch': 'a download has another hash than the flake says',
  'missing-attribute': 'the flake has no configuration of that name under nixosConfigurations',
  'no-network': 'a download was needed and the network did not give it',
  'not-a-flake': 'there is no flake.nix at that place',
  'out-of-memory': 'this machine has too little memory for the evaluation or build',
  'untracked-file': 'a git flake sees only files that git knows: `git add -N` the new ones',
  'untrusted-key': "a binary cache's key is not among `trusted-public-keys`",
  'wrong-platform':
    'this machine cannot build for that platform: add a remote builder or `boot.binfmt.emulatedSystems`',
};

/** What the operator can do about it, as a clause; absent when Nix's own text is the best there is. */
export function adviceFor(cause: Cause): string | undefined {
  return advices[cause];
}

/** Removes colours and other escape sequences of a terminal. */
export function plain(text: string): string {
  return text.replace(
    /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[\u0000-\u0008\u000b-\u001f\u007f]/g,
    '',
  );
}

/**
 * The sentence that counts in what nix printed: from the last line that begins with `error:` on, at most `maxLines` lines. Before it
 * newer versions print the way that led there. Without such a line: the last lines.
 */
export function lastError(text: string, maxLines = 6): string {
  const lines = plain(text)
    .split('\n')
    .map((line) => line.trimEnd());
  let start = -1;
  for (let at = lines.length - 1; at >= 0; at--) {
    if (/^\s*error: ?/.test(lines[at]!)) {
      // The line alone is a heading ("error:" then the trace); the text is at a later `error:`.
      start = at;
      break;
    }
  }
  const found = start >= 0 ? lines.slice(start) : lines.filter((line) => line.trim() !== '').slice(-maxLines);
  const kept = found.map((line) => line.trim()).filter((line) => line !== '');
  return kept
    .slice(0, maxLines)
    .join('\n')
    .replace(/^error:\s*/, '');
}
