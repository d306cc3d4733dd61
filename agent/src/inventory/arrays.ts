// What is made of disks: md arrays and everything of the device mapper.
import type { DiskArray } from '@nixie/proto/inventory';
import { mountPoints, mountsOf } from './mount-info.ts';
import type { Tree } from './tree.ts';

/** Device mapper targets say who made them by how their uuid begins. */
const makers: readonly (readonly [RegExp, string])[] = [
  [/^mpath-/, 'multipath'],
  [/^LVM-/, 'lvm'],
  [/^CRYPT-/, 'crypt'],
];

export async function collectArrays(tree: Tree): Promise<DiskArray[]> {
  const arrays: DiskArray[] = [];
  const names = (await tree.list('/sys/block')).filter((name) => /^(md|dm-)\d+$/.test(name));
  if (names.length === 0) return arrays;
  const mounts = await mountPoints(tree);
  for (const name of names) {
    if (arrays.length >= 1024) break;
    const base = `/sys/block/${name}`;
    const sectors = await tree.count(`${base}/size`);
    // Made by the kernel for a number, and never assembled.
    if (!sectors) continue;
    const md = name.startsWith('md');
    const uuid = (await tree.value(`${base}/dm/uuid`)) ?? '';
    const label = await tree.value(`${base}/dm/name`);
    const suspended = await tree.flag(`${base}/dm/suspended`);
    arrays.push({
      name,
      path: label === undefined ? `/dev/${name}` : `/dev/mapper/${label}`,
      kind: md ? 'md' : (makers.find(([pattern]) => pattern.test(uuid))?.[1] ?? 'dm'),
      level: md ? await tree.value(`${base}/md/level`) : undefined,
      sizeBytes: BigInt(sectors) * 512n,
      members: await tree.list(`${base}/slaves`),
      label,
      state: md
        ? await tree.value(`${base}/md/array_state`)
        : suspended === undefined
          ? undefined
          : suspended
            ? 'suspended'
            : 'active',
      mountedAt: await mountsOf(tree, mounts, name, [], await tree.list(`${base}/holders`)),
    });
  }
  return arrays;
}
