// What an agent registered with, kept over a restart of the controller: the agent then comes back with its credential alone.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Inventory } from '@nixie/proto/inventory';
import type { Mac } from '../machine/mac.ts';

export interface KeptRegistration {
  readonly bootId: string;
  readonly mac: Mac;
  readonly sshHostKey: string;
  readonly inventory: Inventory;
}

export interface Registrations {
  get(host: string): KeptRegistration | undefined;
  put(host: string, registration: KeptRegistration): void;
}

/** One file a host in `folder`. A file that can't be read counts as none: then the agent registers anew after its next boot. */
export function openRegistrations(folder: string): Registrations {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = (host: string) => join(folder, `${host}.json`);
  return {
    get(host) {
      try {
        const kept = JSON.parse(readFileSync(file(host), 'utf8')) as Record<string, unknown>;
        return { ...(kept as unknown as KeptRegistration), inventory: Inventory.fromJSON(kept.inventory) };
      } catch {
        return undefined;
      }
    },
    put(host, registration) {
      const fresh = `${file(host)}.new`;
      const text = JSON.stringify({ ...registration, inventory: Inventory.toJSON(registration.inventory) });
      writeFileSync(fresh, `${text}\n`, { mode: 0o600 });
      renameSync(fresh, file(host));
    },
  };
}
