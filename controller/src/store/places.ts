// Everything that is ever written to the state folder, by name. The test beside it lets each part write and finds nothing else.
import { chmodSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const places = {
  /** Key and certificate of the controller (tls.ts). */
  tls: { name: 'tls.pem', kind: 'file' },
  /** What signs the binary cache (cache-key.ts). */
  cacheKey: { name: 'cache-key', kind: 'file' },
  /** Address by MAC (leases.ts). */
  leases: { name: 'leases.json', kind: 'file' },
  /** Where hosts were proved last, by name (last-addresses.ts). */
  lastAddresses: { name: 'addresses.json', kind: 'file' },
  /** Addresses that machines declined (leases.ts). */
  declined: { name: 'declined.json', kind: 'file' },
  /** What happened (journal.ts). */
  journal: { name: 'journal.jsonl', kind: 'file' },
  olderJournal: { name: 'journal.jsonl.1', kind: 'file' },
  /** A folder for each run, unless --log-dir says otherwise: HOST.log (log-files.ts). */
  logs: { name: 'logs', kind: 'folder' },
  /** Tokens that are out (tokens.ts). */
  tokens: { name: 'tokens.json', kind: 'file' },
  /** Relays that may join, and the key of each that has (relays.ts). */
  relays: { name: 'relays.json', kind: 'file' },
  relayKeys: { name: 'relay-keys.json', kind: 'file' },
  /** Who changes the list of those that may join (relays.ts). */
  relaysLock: { name: 'relays.lock', kind: 'file' },
  /** Who uses this folder (lock.ts). */
  lock: { name: 'lock', kind: 'file' },
  /** OperatorService. */
  operator: { name: 'operator.sock', kind: 'socket' },
  /** HOST.json: what its agent registered with (registrations.ts). */
  registrations: { name: 'registrations', kind: 'folder' },
  /** HOST/inventory.json, facter.json, smbios.bin: what its agent told at length (hardware.ts). */
  hardware: { name: 'hardware', kind: 'folder' },
  /** HOST.json: a reboot into the new system is under way (marks.ts). */
  marks: { name: 'marks', kind: 'folder' },
  /** HOST.json: disks that an install has begun to write to (begun.ts). */
  begun: { name: 'begun', kind: 'folder' },
  /** HOST.json: consent to the loss of data that an install has used up (consents.ts). */
  consents: { name: 'consents', kind: 'folder' },
  /** HOST/ssh_host_ed25519_key: host keys of installed systems (install/keys.ts). */
  hostKeys: { name: 'hostkeys', kind: 'folder' },
  /** The key that may ask installed systems what they run (install/keys.ts). */
  proof: { name: 'proof', kind: 'folder' },
  /** Links that keep what was built (nix/build.ts). */
  gcRoots: { name: 'gcroots', kind: 'folder' },
  /** HOME of nix when it runs on another user's checkout (nix/runner.ts). */
  home: { name: 'home', kind: 'folder' },
  /** Folders of runs where no place in memory can be had (install/folders.ts). */
  run: { name: 'run', kind: 'folder' },
} as const satisfies Record<string, { name: string; kind: 'file' | 'folder' | 'socket' }>;

export type Place = keyof typeof places;

export function placeIn(stateDir: string, place: Place): string {
  return join(stateDir, places[place].name);
}

/** What parts put there for a moment, and only a crash leaves. */
const passing = /(?:\.new|\.old)$|^proof-[A-Za-z0-9]{6}$/;

/**
 * Before a run, under the lock: sweeps what a crash left, sets aside what is of the wrong kind, and closes what is open to others.
 * What nobody here wrote is left alone. Never throws.
 * @returns sentences for the operator
 */
export function tidy(stateDir: string): string[] {
  const told: string[] = [];
  const attempt = (what: string, call: () => void): void => {
    try {
      call();
    } catch (error) {
      told.push(`${what}: ${(error as Error).message}`);
    }
  };
  // Not in hostkeys/: hosts may be called by any such name.
  const folders = (['registrations', 'marks', 'begun', 'consents'] as const).map((place) => placeIn(stateDir, place));
  for (const folder of [stateDir, ...folders])
    for (const name of list(folder))
      if (passing.test(name))
        attempt(`remove ${join(folder, name)}`, () => rmSync(join(folder, name), { recursive: true, force: true }));
  for (const { name, kind } of Object.values(places)) {
    const path = join(stateDir, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined || kind === 'socket') continue;
    if (kind === 'file' ? !found.isFile() : !found.isDirectory())
      attempt(`set aside ${path}`, () => {
        rmSync(`${path}.damaged`, { recursive: true, force: true });
        renameSync(path, `${path}.damaged`);
        told.push(`${path} is no ${kind}; it was set aside as ${name}.damaged`);
      });
    else if ((found.mode & 0o077) !== 0)
      attempt(`close ${path}`, () => chmodSync(path, kind === 'file' ? 0o600 : 0o700));
  }
  return told;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
