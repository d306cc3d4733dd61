// How much memory there is.
import type { Memory } from '@nixie/proto/inventory';
import { moduleBytes, readStructures } from './smbios.ts';
import type { Tree } from './tree.ts';

export async function collectMemory(tree: Tree): Promise<Memory> {
  const kib = /^MemTotal:\s+(\d{1,13}) kB$/m.exec((await tree.text('/proc/meminfo')) ?? '')?.[1];
  const table = await tree.raw('/sys/firmware/dmi/tables/DMI');
  let physical = table && moduleBytes(readStructures(table));
  if (physical === undefined) {
    const base = '/sys/devices/system/memory';
    // Hexadecimal without 0x.
    const block = await tree.value(`${base}/block_size_bytes`);
    const blocks = (await tree.list(base)).filter((name) => /^memory\d+$/.test(name)).length;
    if (block !== undefined && /^[0-9a-f]{1,12}$/i.test(block) && blocks > 0)
      physical = BigInt(`0x${block}`) * BigInt(blocks);
  }
  return { usableBytes: kib === undefined ? undefined : BigInt(kib) * 1024n, physicalBytes: physical, modules: [] };
}
