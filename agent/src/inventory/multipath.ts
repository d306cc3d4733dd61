// NVMe's own multipath: one disk, whose ways are hidden disks of their own. For what the device mapper joins see luns.ts.
import type { Disk, DiskPath } from '@nixie/proto/inventory';
import type { Tree } from './tree.ts';

/** @param device where `/sys/block/NAME/device` leads; @param all names in /sys/block */
export async function findPaths(
  tree: Tree,
  disk: Disk,
  device: string,
  all: readonly string[],
): Promise<Pick<Disk, 'multipath' | 'paths'>> {
  const subsystem = /\/(nvme-subsys\d+)$/.exec(device)?.[1];
  return subsystem === undefined
    ? { paths: [] }
    : { multipath: subsystem, paths: await nvmePaths(tree, disk.name, all) };
}

/** nvme0n1 is reached over nvme0c0n1, nvme0c1n1 …: hidden disks, each below its controller. */
async function nvmePaths(tree: Tree, name: string, all: readonly string[]): Promise<DiskPath[]> {
  const [, subsystem, namespace] = /^nvme(\d+)n(\d+)$/.exec(name) ?? [];
  const paths: DiskPath[] = [];
  for (const leg of all.filter((each) => new RegExp(`^nvme${subsystem}c\\d+n${namespace}$`).test(each)).slice(0, 64)) {
    const controller = (await tree.real(`/sys/block/${leg}/device`)) ?? '';
    const transport = await tree.value(`${controller}/transport`);
    const place = /\/([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\/nvme\//.exec(controller)?.[1];
    paths.push({
      name: leg,
      transport: transport === undefined ? undefined : `nvme-${transport}`,
      pciAddress: place,
      // Whether this way may be used for this namespace says more than whether the controller is there.
      state: (await tree.value(`/sys/block/${leg}/ana_state`)) ?? (await tree.value(`${controller}/state`)),
    });
  }
  return paths;
}
