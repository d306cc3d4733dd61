// The real computer behind `Surroundings`. Only config/ and bin/ look at the environment.
import { readFileSync, type Stats, statSync } from 'node:fs';
import type { Surroundings } from './flags.ts';

export function realSurroundings(): Surroundings {
  return {
    cwd: process.cwd(),
    uid: process.getuid?.() ?? -1,
    env: process.env,
    readFile: (path) => readFileSync(path),
    look: (path) => {
      let facts: Stats;
      try {
        facts = statSync(path);
      } catch {
        return undefined;
      }
      const kind = facts.isFile() ? 'file' : facts.isDirectory() ? 'folder' : 'other';
      return { kind, mode: facts.mode, uid: facts.uid };
    },
  };
}
