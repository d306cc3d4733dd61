// Which consent to the loss of data was used up by an install, kept over a restart of the service: what was installed by it is not lost by it.
// It only forbids. Losing it leaves what is written in the hosts file: then `"wipe": true` is consent as written.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Mac, parseMac } from '../machine/mac.ts';
import { replaceFile } from './file.ts';

/** How an operator consents: in the hosts file, or by the option. */
export const consentKinds = ['wipe', 'reinstall'] as const;
export type ConsentKind = (typeof consentKinds)[number];

export interface UsedConsent {
  /** Of the machine that was installed; undefined: not known, then it may be any. */
  readonly macs?: readonly Mac[];
  readonly kinds: readonly ConsentKind[];
}

/** Where it outlives a service. */
export interface Consents {
  /** Undefined: none was used up. */
  get(host: string): UsedConsent | undefined;
  /** On the disk when it returns; undefined takes it away. @throws Error naming the file */
  put(host: string, used: UsedConsent | undefined): void;
}

/** One file a host in `folder`. A file that is there and can't be read means that all was used up: some install has ended there. */
export function openConsents(folder: string): Consents {
  const file = (host: string) => join(folder, `${host}.json`);
  return {
    get(host) {
      let text: string;
      try {
        text = readFileSync(file(host), 'utf8');
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : { kinds: consentKinds };
      }
      return read(text) ?? { kinds: consentKinds };
    },
    put(host, used) {
      if (used === undefined) return rmSync(file(host), { force: true });
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      replaceFile(file(host), `${JSON.stringify(used)}\n`);
    },
  };
}

function read(text: string): UsedConsent | undefined {
  try {
    const { macs, kinds } = JSON.parse(text) as Record<string, unknown>;
    if (!Array.isArray(kinds) || !kinds.every((kind) => consentKinds.includes(kind))) return undefined;
    if (macs === undefined) return { kinds };
    if (!Array.isArray(macs)) return undefined;
    const parsed = macs.map((mac) => (typeof mac === 'string' ? parseMac(mac) : undefined));
    return parsed.every((mac) => mac !== undefined) ? { macs: parsed, kinds } : undefined;
  } catch {
    return undefined;
  }
}
