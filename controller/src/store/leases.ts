// The addresses that MACs were given, so that a machine keeps its own over runs. Losing the file costs nothing but that.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { type Mac, parseMac } from '../machine/mac.ts';

export function readLeases(file: string): Record<Mac, string> {
  const leases: Record<Mac, string> = {};
  try {
    for (const [key, value] of Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>)) {
      const mac = parseMac(key);
      if (mac !== undefined && typeof value === 'string' && isIPv4(value)) leases[mac] = value;
    }
  } catch {
    return {};
  }
  return leases;
}

/** In one step. MACs of other hosts files stay known. */
export function writeLeases(file: string, leases: Readonly<Record<Mac, string>>): void {
  const fresh = `${file}.${process.pid}.new`;
  writeFileSync(fresh, `${JSON.stringify(leases, undefined, 1)}\n`, { mode: 0o600 });
  renameSync(fresh, file);
}
