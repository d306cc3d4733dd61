// Which processors and how much memory are near to each other.
import type { NumaNode } from '@nixie/proto/inventory';
import type { Tree } from './tree.ts';

/** None where the kernel has no NUMA. */
export async function collectNuma(tree: Tree): Promise<NumaNode[]> {
  const base = '/sys/devices/system/node';
  const nodes: NumaNode[] = [];
  for (const name of await tree.list(base)) {
    const node = /^node(\d{1,6})$/.exec(name)?.[1];
    if (node === undefined || nodes.length >= 1024) continue;
    const kib = /MemTotal:\s+(\d{1,13}) kB/.exec((await tree.text(`${base}/${name}/meminfo`)) ?? '')?.[1];
    const distances = ((await tree.text(`${base}/${name}/distance`)) ?? '').split(/\s+/).filter(Boolean).slice(0, 1024);
    nodes.push({
      node: Number(node),
      cpulist: await tree.numbers(`${base}/${name}/cpulist`),
      memoryBytes: kib === undefined ? undefined : BigInt(kib) * 1024n,
      distances: distances.every((each) => /^\d{1,5}$/.test(each)) ? distances.map(Number) : [],
    });
  }
  return nodes.sort((a, b) => a.node - b.node);
}
