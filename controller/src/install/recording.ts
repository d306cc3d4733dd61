// Reads recorded runs of nixos-anywhere: `seconds O|E text` a line, then `rc=…`, then the commands that the target's sshd received. For tests.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Recording {
  readonly lines: readonly { readonly atMs: number; readonly text: string }[];
  /** Exit status; negative: ended by that signal. */
  readonly status: number;
  /** In the order in which they came, repeats included. */
  readonly commands: readonly string[];
}

export function readRecording(name: string): Recording {
  const text = readFileSync(join(import.meta.dirname, 'fixtures', `${name}.txt`), 'utf8');
  const lines: { atMs: number; text: string }[] = [];
  const commands: string[] = [];
  let status: number | undefined;
  for (const line of text.split(/\r*\n/)) {
    const said = /^ *(\d+\.\d+) [OE] (.*)$/.exec(line);
    if (said !== null && status === undefined) lines.push({ atMs: Number(said[1]) * 1000, text: said[2]! });
    const ended = /^rc=(-?\d+)/.exec(line);
    if (ended !== null) status = Number(ended[1]);
    const received = /^\d\d:\d\d:\d\d\.\d+ \[\d+\] (.*)$/.exec(line);
    if (received !== null) commands.push(received[1]!);
  }
  if (status === undefined) throw new Error(`read recording ${name}: no line rc=`);
  return { lines, status, commands };
}

/** The `### … ###` lines. */
export function headings(texts: Iterable<string>): string[] {
  return [...texts].filter((text) => /^### .+ ###$/.test(text));
}
