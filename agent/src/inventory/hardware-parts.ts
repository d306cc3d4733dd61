// How the parts of a hardware report are made on a machine, or from a tree.
import { run } from '../child.ts';
import type { HardwareParts } from '../hardware-report.ts';
import { realClock } from '../host.ts';
import { type CollectOptions, collectInventory } from './collect.ts';
import { runFacter } from './facter.ts';
import { askNeighbours } from './lldp.ts';
import { raiseLinks, raiseWorld } from './raise-links.ts';
import { recordedSource } from './recorded.ts';
import { machineSource } from './source.ts';
import { Tree } from './tree.ts';

/**
 * @param told what is known when it is asked for; @param folder for a file of a moment
 * @param linksUpMs see `raiseLinks`
 */
export function hardwareParts(
  root: string,
  told: () => Pick<CollectOptions, 'bootMac' | 'reachedBy'>,
  folder: string,
  linksUpMs: number,
): Pick<HardwareParts, 'collect' | 'neighbours' | 'smbios' | 'facter'> {
  const real = root === '/';
  const source = real ? machineSource : recordedSource(root);
  return {
    async collect() {
      if (real) await raiseLinks(raiseWorld(source, realClock), linksUpMs, told().bootMac);
      return await collectInventory({ root, source, depth: 'full', ...told() });
    },
    neighbours: async () => (real ? await askNeighbours(new Tree(source, 'nics', [])) : undefined),
    smbios: () => source.read('/sys/firmware/dmi/tables/DMI').catch(() => undefined),
    facter: async () => (real ? await runFacter(folder, run) : { why: 'not-installed' }),
  };
}
