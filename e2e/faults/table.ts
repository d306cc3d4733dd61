// The table of a run of all faults, for the terminal and for docs/faults.md.
import type { Fault } from './fault.ts';
import type { Outcome } from './strike.ts';

export interface Row {
  readonly fault: Fault;
  /** ISO 8601: when it struck. */
  readonly at: string;
  /** Absent: the lab failed, or the fault never found its moment. */
  readonly outcome?: Outcome;
  readonly good: boolean;
  /** Why it isn't good. */
  readonly why?: string;
}

const heads = ['fault', 'where', 'what happened', 'time to recovery', 'data lost'] as const;
const longest = 320;

function cells({ fault, outcome, good, why }: Row): string[] {
  const happened = [...(outcome?.happened ?? []), ...(good ? [] : [`NOT AS EXPECTED: ${why ?? ''}`])];
  return [
    fault.what,
    fault.where,
    happened.map((text) => (text.length > longest ? `${text.slice(0, longest)}…` : text)).join('; '),
    outcome === undefined ? 'unknown' : time(fault, outcome),
    outcome === undefined ? 'unknown' : outcome.lost.length === 0 ? 'none' : outcome.lost.join(', '),
  ];
}

function time(fault: Fault, outcome: Outcome): string {
  const [back] = outcome.recovery;
  // A row that was kept as JSON has null for undefined.
  if (fault.expect.status === 0 && typeof back === 'number') return `${back.toFixed(0)} s`;
  return `ended after ${outcome.toEnd.toFixed(0)} s`;
}

/** One line a fault, cells joined by ` | `. */
export function plainRow(row: Row): string {
  return `${row.good ? 'ok  ' : 'BAD '} ${cells(row).join(' | ')}`;
}

export const plainHead = `     ${heads.join(' | ')}`;

/** @param kinds how many there are */
export function page(rows: readonly Row[], kinds: number): string {
  const missing =
    rows.length < kinds ? ` (${kinds - rows.length} of the ${kinds} were not run on this computer yet)` : '';
  const days = [...new Set(rows.map(({ at }) => at.slice(0, 10)))].sort();
  const line = (each: readonly string[]) => `| ${each.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return `# Faults

Written by \`npm run faults\`, run on ${days.join(', ')}${missing}: the real Nixie on real firmware (emulated machines), each time with one fault.

*Time to recovery* runs from the strike until the machine was again as far as it had been, or further; where the run must end without it, until the end
of the run. *Data lost* is looked for on a second disk of each machine that holds data and that no layout names, on the disks of machines that were never
free to be written to, and on installed disks after their install.

${line(heads)}
${line(heads.map(() => '---'))}
${rows.map((row) => line(cells(row))).join('\n')}
`;
}
