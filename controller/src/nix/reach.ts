// What a user can reach on this machine, asked of the kernel by a child of that user before anything depends on it: modes, ACLs, noexec, missing
// interpreters and what git thinks of owners are nobody else's to judge.
import { realpathSync } from 'node:fs';
import type { Identity } from '../child/identity.ts';
import { type Runner, runProgram } from '../child/program.ts';

export type Need =
  /** A program, by its name, in PATH. */
  | { readonly kind: 'find'; readonly what: string }
  /** A program by absolute path, and a word by which it does nothing: it is started. */
  | { readonly kind: 'start'; readonly what: string; readonly word: string }
  | { readonly kind: 'read'; readonly what: string }
  /** A folder. */
  | { readonly kind: 'write'; readonly what: string }
  /** Of a daemon. */
  | { readonly kind: 'socket'; readonly what: string }
  /** A git checkout. */
  | { readonly kind: 'git'; readonly what: string };

// Four words a need: kind, what, its word, where it really is. Prints the number of each that isn't met, and the first folder on the way to it
// that can't be entered.
const script = `
set -f
way() {
  rest=\${1#/} at=
  while [ "$rest" != "\${rest#*/}" ]; do
    at=$at/\${rest%%/*} rest=\${rest#*/}
    if [ ! -x "$at" ]; then printf '%s' "$at"; return; fi
  done
}
in_path() {
  IFS=:
  for folder in $PATH; do
    if [ -f "$folder/$1" ] && [ -x "$folder/$1" ]; then return 0; fi
  done
  return 1
}
starts() {
  status=0
  "$1" "$2" </dev/null >/dev/null 2>&1 || status=$?
  [ $status -ne 126 ] && [ $status -ne 127 ]
}
trusts() {
  if in_path git; then git -C "$1" rev-parse --git-dir >/dev/null 2>&1; else [ -O "$1" ]; fi
}
n=0
while [ $# -ge 4 ]; do
  met=n
  case $1 in
  find) if in_path "$2"; then met=y; fi ;;
  start) if starts "$2" "$3"; then met=y; fi ;;
  read) if [ -r "$2" ] && { [ ! -d "$2" ] || [ -x "$2" ]; }; then met=y; fi ;;
  write) if [ -d "$2" ] && [ -w "$2" ] && [ -x "$2" ]; then met=y; fi ;;
  socket) if [ -S "$2" ] && [ -w "$2" ]; then met=y; fi ;;
  git) if trusts "$2"; then met=y; fi ;;
  esac
  if [ $met = n ]; then
    printf '%s\\t' $n
    way "$4"
    echo
  fi
  n=$((n + 1))
  shift 4
done
echo done
`;

const limitMs = 30_000;

/**
 * Why this user can't have what is needed, one sentence a need; none when all is met.
 * @param env of the child; PATH and HOME count
 */
export async function barriers(
  needs: readonly Need[],
  as: Identity,
  env: Readonly<Record<string, string>>,
  run: Runner = runProgram,
): Promise<string[]> {
  const words = needs.flatMap((need) => [
    need.kind,
    need.what,
    need.kind === 'start' ? need.word : '',
    need.kind === 'find' ? '' : real(need.what),
  ]);
  let said: Awaited<ReturnType<Runner>>;
  try {
    said = await run('/bin/sh', ['-c', script, 'sh', ...words], { deadlineMs: limitMs, env, as });
  } catch (error) {
    return [`nothing can be started as ${as.name}: ${(error as Error).message}`];
  }
  const lines = said.stdout.trimEnd().split('\n');
  if (said.timedOut) return [`what ${as.name} can reach was not found out within ${limitMs / 1000} s`];
  if (said.status !== 0 || lines.pop() !== 'done')
    return [
      `nothing can be started as ${as.name}: ${said.stderr.trim().split('\n').at(-1) || `status ${said.status}`}`,
    ];
  return lines.map((line) => {
    const [number, folder = ''] = line.split('\t');
    return sentence(needs[Number(number)]!, as.name, folder);
  });
}

function sentence({ kind, what }: Need, name: string, folder: string): string {
  if (kind === 'find') return `no ${what} is in a folder of PATH that ${name} may enter`;
  if (folder !== '') return `${name} may not enter ${folder}, on the way to ${what}`;
  switch (kind) {
    case 'start':
      return `${name} can't execute ${what} (its mode, its interpreter, or a file system mounted noexec)`;
    case 'read':
      return `${name} can't read ${what}`;
    case 'write':
      return `${what}, the home of ${name}, is missing or can't be written`;
    case 'socket':
      return `${name} may not connect to ${what}, and what ${name} may by another group doesn't count`;
    case 'git':
      return `git refuses ${what} to ${name}: it belongs to somebody else`;
  }
}

/** Behind links: the folder that is closed may be on the way there. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
