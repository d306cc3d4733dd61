// What is wrong with what the operator wrote, in one form for files and flags, so that all of it comes in one report.
import type { Position } from './json-tree.ts';

export interface Problem {
  /** The file as the operator named it; absent for flags. */
  readonly file?: string;
  readonly position?: Position;
  /** `$.machine1.mac_address` in a file, `--dhcp` for a flag. */
  readonly where: string;
  /** What was found and what is accepted: one sentence. */
  readonly text: string;
}

/** `hosts.json:3:5: $.machine1.mac_address: found …`, as editors and terminals know how to jump to. */
export function problemLine(problem: Problem): string {
  const place = problem.position === undefined ? '' : `:${problem.position.line}:${problem.position.column}`;
  return `${problem.file === undefined ? '' : `${problem.file}${place}: `}${problem.where}: ${problem.text}`;
}

/** Configuration that can't be used; carries every problem. Nothing was started. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(problemLine).join('\n'));
    this.problems = problems;
  }
}

/** A value as it is shown in a problem: short, on one line, control characters escaped. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value) && value.length === 0) return 'an empty array';
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? typeof value);
  const safe = text.replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?');
  return safe.length <= 80 ? safe : `${safe.slice(0, 77)}…`;
}

/** The candidate that a mistyped word most likely means, if any is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase().replaceAll('-', '_').slice(0, 64);
  if (wanted.length < 2) return undefined;
  const scored = candidates.map((candidate) => {
    const plain = candidate.toLowerCase().replaceAll('-', '_');
    const part = wanted.length >= 3 && (plain.startsWith(wanted) || wanted.startsWith(plain));
    return { candidate, score: part ? 1 : distance(wanted, plain) };
  });
  const best = scored.reduce<{ candidate: string; score: number } | undefined>(
    (left, right) => (left === undefined || right.score < left.score ? right : left),
    undefined,
  );
  return best !== undefined && best.score <= Math.max(1, Math.floor(wanted.length / 3)) ? best.candidate : undefined;
}

/** Edits (insert, delete, replace, swap of neighbours) from one word to the other. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
