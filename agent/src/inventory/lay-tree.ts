// For tests: puts a small recorded machine below a directory.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Text or bytes of a file; `→ target` makes a symbolic link, `null` a folder. */
export type Laid = Record<string, string | Uint8Array | null>;

/** @returns the directory; `remove` deletes it */
export function layTree(files: Laid): { root: string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'nixie-tree-'));
  for (const [path, content] of Object.entries(files)) {
    const at = join(root, path);
    mkdirSync(content === null ? at : dirname(at), { recursive: true });
    if (content === null) continue;
    if (typeof content === 'string' && content.startsWith('→ ')) symlinkSync(content.slice(2), at);
    else writeFileSync(at, content);
  }
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}
