// Recorded packets of real firmware, with another MAC.
import { readFileSync } from 'node:fs';

const file = new URL('../../../controller/src/wire/dhcp4/fixtures/dhcp.jsonl', import.meta.url);

interface Recorded {
  readonly msg: string;
  readonly src: string;
  readonly sport: number;
  readonly dport: number;
  readonly chaddr: string;
  readonly raw: string;
}

const recorded = readFileSync(file, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Recorded);

/** OVMF beside a foreign server: its DISCOVER, and its REQUEST to port 4011. */
export function ovmf(what: 'DISCOVER' | 'boot server REQUEST', mac: string): string {
  const port = what === 'DISCOVER' ? 67 : 4011;
  const msg = what === 'DISCOVER' ? 'DISCOVER' : 'REQUEST';
  const found = recorded.find((one) => one.msg === msg && one.dport === port && one.chaddr === '52:54:00:77:00:24');
  if (!found) throw new Error(`no recorded ${what}`);
  const at = 2 * 28; // chaddr
  return found.raw.slice(0, at) + mac.replaceAll(':', '') + found.raw.slice(at + 12);
}
