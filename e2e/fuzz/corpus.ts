// The inputs that were worth keeping, a file each.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Target } from './target.ts';

const folder = join(import.meta.dirname, 'corpus');
/** Before each input, so that git, editors and searches take no file for text, whose line ends may be changed. */
const mark = Buffer.of(0);
/** Of one target, so that all together stay below a megabyte. */
export const mostCorpusBytes = 20_000;

export function targetNames(): string[] {
  return readdirSync(join(import.meta.dirname, 'targets'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
    .sort();
}

export async function loadTarget(name: string): Promise<Target> {
  const { target } = (await import(`./targets/${name}.ts`)) as { target: Target };
  return target;
}

export function readCorpus(name: string): Uint8Array[] {
  const place = join(folder, name);
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .sort()
    .map((file) => new Uint8Array(readFileSync(join(place, file))).subarray(mark.length));
}

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

/** Replaces the corpus of a target. Shortest first, up to the bound. */
export function writeCorpus(name: string, inputs: readonly Uint8Array[]): void {
  const place = join(folder, name);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  let bytes = 0;
  for (const input of [...inputs].sort((a, b) => a.length - b.length)) {
    if (bytes + input.length > mostCorpusBytes) break;
    writeFileSync(join(place, `${hashOf(input)}.bin`), Buffer.concat([mark, input]));
    bytes += input.length;
  }
}
