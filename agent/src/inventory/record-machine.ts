// `nixie-agent --record DIR`: everything that `--inventory --root DIR` needs to say the same again on another machine.
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { withoutSecrets } from '../cmdline.ts';
import { collectInventory } from './collect.ts';
import { recordingSource, recordNote } from './record.ts';
import { recordFile } from './recorded.ts';
import type { Source } from './source.ts';

/**
 * @param facter its report as it was written; undefined where there is none
 * @returns lines for the person who asked
 * @throws when the folder can't be written, or holds something already
 */
export async function recordMachine(source: Source, folder: string, facter?: Buffer): Promise<string[]> {
  await makeFolders(folder);
  if ((await readdir(folder)).length > 0) throw new Error(`--record ${folder}: it is not empty; name another folder`);
  const recording = recordingSource(source, folder, withoutSecrets);
  const inventory = await collectInventory({ root: source.root, source: recording.source, depth: 'full' });
  await recording.finish();
  await writeFile(join(folder, 'inventory.json'), `${writeInventoryJson(inventory)}\n`);
  if (facter !== undefined) await writeFile(join(folder, 'facter.json'), facter);
  return [
    `recorded ${inventory.disks.length} disks, ${inventory.nics.length} network cards and ${inventory.pci.length} PCI functions in ${folder}`,
    `nixie-agent --inventory --root ${folder} prints them again; ${recordFile} holds what programs said, inventory.json what was made of it`,
    recordNote,
  ];
}

/**
 * With those above it, each tried once: Node's own mkdir (recursive) begins anew for ever where the kernel says "no such file" below a folder
 * that is there, as below /proc and on automounts.
 */
async function makeFolders(folder: string): Promise<void> {
  const missing: string[] = [];
  const isThere = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false;
        throw error;
      },
    );
  try {
    for (let at = resolve(folder); !(await isThere(at)); at = dirname(at)) missing.unshift(at);
    for (const each of missing) await mkdir(each);
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder');
  } catch (error) {
    throw new Error(`--record ${folder}: ${(error as Error).message}; name a folder that can be made`, {
      cause: error,
    });
  }
}
