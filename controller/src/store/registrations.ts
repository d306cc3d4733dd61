// What an agent registered with, kept over a restart of the controller: the agent then comes back with its credential alone.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Inventory } from '@nixie/proto/inventory';
import { type Mac, parseMac } from '../machine/mac.ts';
import { replaceFile } from './file.ts';

export interface KeptRegistration {
  readonly bootId: string;
  readonly mac: Mac;
  readonly sshHostKey: string;
  readonly inventory: Inventory;
}

export interface Registrations {
  get(host: string): KeptRegistration | undefined;
  /** Never throws: what can't be written is kept in memory. */
  put(host: string, registration: KeptRegistration): void;
}

/** The MACs of the cards that the machine had when it registered, listed in the hosts file or not. */
export function cardMacs(registration: KeptRegistration | undefined): Mac[] {
  const nics = registration?.inventory.nics ?? [];
  return [...new Set(nics.flatMap(({ mac }) => parseMac(mac ?? '') ?? []))];
}

/**
 * One file a host in `folder`. A file that can't be read counts as none: then the agent registers anew after its next boot.
 * @param onTrouble told what couldn't be written
 */
export function openRegistrations(folder: string, onTrouble?: (text: string) => void): Registrations {
  const here = new Map<string, KeptRegistration>();
  const file = (host: string) => join(folder, `${host}.json`);
  return {
    get(host) {
      return here.get(host) ?? read(file(host));
    },
    put(host, registration) {
      here.set(host, registration);
      const text = JSON.stringify({ ...registration, inventory: Inventory.toJSON(registration.inventory) });
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        replaceFile(file(host), `${text}\n`);
      } catch (error) {
        onTrouble?.(`keep the registration of ${host}: ${(error as Error).message}`);
      }
    },
  };
}

function read(file: string): KeptRegistration | undefined {
  try {
    const { bootId, mac, sshHostKey, inventory } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const parsed = typeof mac === 'string' ? parseMac(mac) : undefined;
    if (typeof bootId !== 'string' || bootId === '' || parsed === undefined) return undefined;
    if (typeof sshHostKey !== 'string' || !/^ssh-ed25519 [A-Za-z0-9+/]+={0,2}$/.test(sshHostKey)) return undefined;
    if (typeof inventory !== 'object' || inventory === null) return undefined;
    return { bootId, mac: parsed, sshHostKey, inventory: Inventory.fromJSON(inventory) };
  } catch {
    return undefined;
  }
}
