// How much memory there is, and in which slots.
import type { Memory } from '@nixie/proto/inventory';
import { errorCorrection, memoryModules, moduleBytes } from './memory-modules.ts';
import { readStructures } from './smbios.ts';
import type { Tree } from './tree.ts';

export async function collectMemory(tree: Tree): Promise<Memory> {
  const kib = /^MemTotal:\s+(\d{1,13}) kB$/m.exec((await tree.text('/proc/meminfo')) ?? '')?.[1];
  const structures = readStructures((await tree.raw('/sys/firmware/dmi/tables/DMI')) ?? new Uint8Array());
  const modules = memoryModules(structures);
  return {
    usableBytes: kib === undefined ? undefined : BigInt(kib) * 1024n,
    physicalBytes: moduleBytes(structures) ?? (await onlineBlocks(tree)),
    ecc: errorCorrection(structures),
    slots: modules.length || undefined,
    modules,
  };
}

async function onlineBlocks(tree: Tree): Promise<bigint | undefined> {
  const base = '/sys/devices/system/memory';
  // Hexadecimal without 0x.
  const block = await tree.value(`${base}/block_size_bytes`);
  const blocks = (await tree.list(base)).filter((name) => /^memory\d+$/.test(name)).length;
  if (block === undefined || !/^[0-9a-f]{1,12}$/i.test(block) || blocks === 0) return undefined;
  return BigInt(`0x${block}`) * BigInt(blocks);
}
