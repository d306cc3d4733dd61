// Inputs that were recorded for other tests, as the beginning of the search.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The beginning of a file of the repository. */
export function fileSeed(path: string, most = 4096): Uint8Array {
  return new Uint8Array(readFileSync(join(root, path))).slice(0, most);
}

/** DHCP messages of real firmware, one of each kind of length. */
export function dhcpSeeds(most = 24): Uint8Array[] {
  const lines = readFileSync(join(root, 'controller/src/wire/dhcp4/fixtures/dhcp.jsonl'), 'utf8').trim().split('\n');
  const byLength = new Map<number, Uint8Array>();
  for (const line of lines) {
    const raw = Buffer.from((JSON.parse(line) as { raw: string }).raw, 'hex');
    if (!byLength.has(raw.length)) byLength.set(raw.length, new Uint8Array(raw));
  }
  return [...byLength.values()].slice(0, most);
}
