// What was recorded of the machines' hardware: files of the operator's, found by the hosts file's "inventory" or in --inventory-dir.
import { dirname, join, resolve } from 'node:path';
import type { Inventory } from '@nixie/proto/inventory';
import { readInventoryJson } from '@nixie/proto/inventory-json';
import type { Host } from '../machine/host.ts';

/** Several machines' worth: 1,000 disks are less than one MB. */
const largestBytes = 16 * 2 ** 20;

export interface RecordedPlaces {
  /** Absolute; paths in it are meant from its folder. */
  readonly hostsFile: string;
  /** Absolute. */
  readonly inventoryDir?: string;
}

/** The file of a host. `optional`: it need not be there. Undefined: nothing says where one would be. */
export function recordedFile(
  host: Pick<Host, 'name' | 'inventory'>,
  { hostsFile, inventoryDir }: RecordedPlaces,
): { readonly file: string; readonly optional: boolean } | undefined {
  if (host.inventory !== undefined) return { file: resolve(dirname(hostsFile), host.inventory), optional: false };
  if (inventoryDir === undefined) return undefined;
  return { file: join(inventoryDir, host.name, 'inventory.json'), optional: true };
}

/** @throws Error: a sentence that names the file */
export function readRecorded(file: string, readFile: (path: string) => Uint8Array): Inventory {
  let bytes: Uint8Array;
  try {
    bytes = readFile(file);
  } catch (error) {
    throw Object.assign(new Error(`read recorded inventory ${file}: ${(error as Error).message}`, { cause: error }), {
      code: (error as NodeJS.ErrnoException).code,
    });
  }
  if (bytes.length > largestBytes)
    throw new Error(`read recorded inventory ${file}: it has ${bytes.length} bytes, accepted are ${largestBytes}`);
  try {
    const inventory = readInventoryJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (inventory.schemaVersion === 0) throw new TypeError('there is no schema_version: is it an inventory?');
    // Another number means that a field means something else.
    if (inventory.schemaVersion !== 1) throw new TypeError(`its schema_version is ${inventory.schemaVersion}, not 1`);
    return inventory;
  } catch (error) {
    throw new Error(
      `read recorded inventory ${file}: ${(error as Error).message}; accepted: what \`nixie inventory HOST --format json\` prints`,
    );
  }
}
