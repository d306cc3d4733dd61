// Where each host was proved last: beyond a router no neighbour table knows its MAC, so a later run looks for it there. Nothing is believed of who
// answers but the host key. Losing the file costs a wake.
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { replaceFile } from './file.ts';

export interface LastAddresses {
  get(host: string): string | undefined;
  /** Never throws. */
  put(host: string, address: string): void;
}

/** Beyond so many the oldest are forgotten. */
const most = 20_000;

/** @param warn is told what can't be written */
export function openLastAddresses(file: string, warn: (text: string) => void): LastAddresses {
  const known = new Map<string, string>();
  try {
    for (const [host, address] of Object.entries(JSON.parse(readFileSync(file, 'utf8')) as object))
      if (typeof address === 'string' && isIPv4(address)) known.set(host, address);
  } catch {
    // There is none yet, or it is damaged.
  }
  return {
    get: (host) => known.get(host),
    put(host, address) {
      if (known.get(host) === address || !isIPv4(address)) return;
      known.delete(host);
      known.set(host, address);
      if (known.size > most) known.delete(known.keys().next().value!);
      try {
        replaceFile(file, `${JSON.stringify(Object.fromEntries(known), undefined, 1)}\n`);
      } catch (error) {
        warn(`keep addresses: ${(error as Error).message}`);
      }
    },
  };
}
