// Marked secrets, and the search for them in everything that was written or could be seen.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { run } from './child.ts';

/** A value that stands nowhere by chance; letters, digits and dashes, so that it can be typed. */
export function makeMark(name: string): string {
  return `mark-${name}-${randomBytes(15).toString('hex')}`;
}

/** The ways in which a mark may be written down: as it is, in hexadecimal, and in base64 wherever in other bytes it stands. */
export function waysToWrite(mark: string): string[] {
  const hex = [...Buffer.from(mark)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const inBase64 = ['', 'x', 'xx'].map((before) => {
    const whole = Buffer.from(`${before}${mark}`).toString('base64');
    // Whole groups of four characters stand for three bytes: those that hold nothing but the mark.
    const bytes = before.length + mark.length;
    return whole.slice(before === '' ? 0 : 4, Math.floor(bytes / 3) * 4);
  });
  return [mark, hex, hex.toUpperCase(), ...inBase64];
}

/** Which of the marks stand in a text, by their names. */
export function marksIn(text: string, marks: Readonly<Record<string, string>>): string[] {
  return Object.keys(marks).filter((name) => waysToWrite(marks[name]!).some((way) => text.includes(way)));
}

/** On one command line: all its words together have 2 MiB. */
const mostPlaces = 2000;

/** Files below these places that hold a mark. `zeros`: the files are mostly zeros (disk images), which are no lines. */
export async function filesWithMarks(
  places: readonly string[],
  marks: Readonly<Record<string, string>>,
  options: { exclude?: readonly string[]; zeros?: boolean } = {},
): Promise<string[]> {
  const argv = ['grep', '-r', '-l', '-a', '-s', '-F', '-f', '-', ...(options.zeros === true ? ['-z'] : [])];
  argv.push(...(options.exclude ?? []).flatMap((name) => [`--exclude=${name}`, `--exclude-dir=${name}`]), '--');
  const input = `${Object.values(marks).flatMap(waysToWrite).join('\n')}\n`;
  const found: string[] = [];
  for (let from = 0; from < places.length; from += mostPlaces) {
    const { stdout, late } = await run([...argv, ...places.slice(from, from + mostPlaces)], {
      input,
      accept: true,
      deadlineMs: 300_000,
      env: { ...process.env, LC_ALL: 'C' },
    });
    if (late) throw new Error('the search for marks took too long, so that nothing can be said');
    found.push(...stdout.split('\n').filter((line) => line !== ''));
  }
  return found;
}

export interface Sighting {
  readonly pid: number;
  readonly where: 'cmdline' | 'environ';
  readonly marks: readonly string[];
  readonly program: string;
}

const programOf = (pid: string): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();

/** Looks at the command line and the environment of every process of this computer, again and again. */
export function watchProcesses(
  marks: Readonly<Record<string, string>>,
  everyMs = 150,
): { stop(): { looks: number; seen: Sighting[] } } {
  const seen = new Map<string, Sighting>();
  let looks = 0;
  const look = (): void => {
    looks++;
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      for (const where of ['cmdline', 'environ'] as const) {
        try {
          const program = programOf(name);
          const text = readFileSync(`/proc/${name}/${where}`, 'latin1');
          if (!text.includes('mark-') && !/[0-9a-zA-Z+/]{40}/.test(text)) continue;
          const found = marksIn(text, marks);
          // One that became another program meanwhile is looked at again soon: what was read was not that program's.
          if (found.length === 0 || programOf(name) !== program) continue;
          seen.set(`${name} ${where} ${program}`, { pid: Number(name), where, marks: found, program });
        } catch {
          // It ended meanwhile.
        }
      }
    }
  };
  const timer = setInterval(look, everyMs);
  return {
    stop() {
      clearInterval(timer);
      return { looks, seen: [...seen.values()] };
    },
  };
}
