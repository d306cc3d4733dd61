// `nixie-agent --record DIR`: everything that `--inventory --root DIR` needs to say the same again on another machine.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  await mkdir(folder, { recursive: true });
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
