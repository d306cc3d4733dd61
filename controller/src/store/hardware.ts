// What agents told of their machines at length: a folder a host with inventory.json, facter.json and smbios.bin. For people and for `nixie
// inventory`; nothing is decided by it.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { HardwareReport } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import { readInventoryJson, writeInventoryJson } from '@nixie/proto/inventory-json';
import { oversized } from '../machine/whole-inventory.ts';
import { replaceFile } from './file.ts';

/** A report of nixos-facter has some 50 kB; the largest known ones less than one MB. */
const mostFacterBytes = 10 << 20;
/** SMBIOS 3.0 tables are some kB; their length field allows 4 GiB. */
const mostSmbiosBytes = 1 << 20;

export interface HardwareShelf {
  inventory(host: string): Inventory | undefined;
  /** Exactly as nixos-facter wrote it. */
  facter(host: string): Buffer | undefined;
  /** Why its agent said, since this controller was started, that there is none; undefined when it has one or hasn't said. */
  facterMissing(host: string): string | undefined;
  /** @throws Error: what is wrong with the report, or why it can't be kept; what was kept before stays */
  put(host: string, report: HardwareReport): void;
  forget(host: string): void;
}

/** What can't be read counts as absent. */
export function openHardware(folder: string): HardwareShelf {
  const missing = new Map<string, string>();
  const file = (host: string, name: string) => join(folder, host, name);
  const read = (host: string, name: string): Buffer | undefined => {
    try {
      return readFileSync(file(host, name));
    } catch {
      return undefined;
    }
  };
  const keep = (host: string, name: string, content: string | Uint8Array): void => {
    mkdirSync(join(folder, host), { recursive: true, mode: 0o700 });
    replaceFile(file(host, name), content);
  };
  return {
    inventory(host) {
      const text = read(host, 'inventory.json');
      try {
        return text === undefined ? undefined : readInventoryJson(text.toString());
      } catch {
        return undefined;
      }
    },
    facter: (host) => read(host, 'facter.json'),
    facterMissing: (host) => missing.get(host),
    put(host, { content }) {
      switch (content?.$case) {
        case 'inventory': {
          const why = oversized(content.value);
          if (why !== undefined) throw new Error(why);
          return keep(host, 'inventory.json', `${writeInventoryJson(content.value)}\n`);
        }
        case 'facter':
          keep(host, 'facter.json', facterReport(content.value.jsonGzip));
          missing.delete(host);
          return;
        case 'facterMissing':
          missing.set(host, content.value.why.slice(0, 200));
          return;
        case 'smbiosGzip':
          return keep(host, 'smbios.bin', gunzipSync(content.value, { maxOutputLength: mostSmbiosBytes }));
      }
    },
    forget(host) {
      missing.delete(host);
      rmSync(join(folder, host), { recursive: true, force: true });
    },
  };
}

/** The report's bytes. @throws Error when they are too many, or no JSON object */
export function facterReport(gzip: Uint8Array): Buffer {
  const json = gunzipSync(gzip, { maxOutputLength: mostFacterBytes });
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('facter: found no object');
  return json;
}
