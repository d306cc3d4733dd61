// The folder in which an inventory-only run puts what it read: hosts.json, and for each machine NAME/inventory.json and NAME/facter.json.
import { chmodSync, chownSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Inventory } from '@nixie/proto/inventory';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { replaceFile } from './file.ts';
import { makeFolders } from './make-folders.ts';

export interface InventoryFolder {
  /** @returns the machine's own folder. @throws Error naming the file */
  put(name: string, known: { readonly inventory: Inventory; readonly facter: Uint8Array | undefined }): string;
  putHosts(text: string): void;
}

/**
 * Made when there is none.
 * @throws Error naming --out when it can't be
 * @param owner whose all of it becomes; absent: ours
 */
export function openInventoryFolder(
  path: string,
  owner?: { readonly uid: number; readonly gid: number },
): InventoryFolder {
  const give = (made: string, mode: number): void => {
    chmodSync(made, mode);
    if (owner !== undefined) chownSync(made, owner.uid, owner.gid);
  };
  const folder = (made: string): void => {
    if (makeFolders(made) !== undefined) give(made, 0o755);
  };
  const file = (made: string, content: string | Uint8Array): void => {
    replaceFile(made, content);
    give(made, 0o644);
  };
  try {
    folder(path);
  } catch (error) {
    throw new Error(
      `make folder for what is read: ${(error as Error).message}; accepted by --out: a folder on a disk that this user may write to`,
      { cause: error },
    );
  }
  return {
    put(name, { inventory, facter }) {
      const own = join(path, name);
      folder(own);
      file(join(own, 'inventory.json'), `${writeInventoryJson(inventory)}\n`);
      if (facter !== undefined) file(join(own, 'facter.json'), facter);
      else rmSync(join(own, 'facter.json'), { force: true });
      return own;
    },
    putHosts: (text) => file(join(path, 'hosts.json'), text),
  };
}
