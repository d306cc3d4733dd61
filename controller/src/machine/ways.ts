// Disks that are reached over several ways (Fibre Channel, iSCSI, SAS with two ports, NVMe). Pure.
import type { Disk } from '@nixie/proto/inventory';

/**
 * Why a disk can't be written to by any of its names: each name is that of one way, and what is cached of the disk below one isn't seen below another.
 * Undefined for a disk with one way, or with something that joins them.
 */
export function loneWays(disk: Disk): string | undefined {
  if (disk.paths.length < 2 || disk.multipath !== undefined) return undefined;
  const ways = disk.paths.map(({ name }) => name).join(', ');
  return `it is reached over ${disk.paths.length} ways (${ways}), and no multipath device joins them: services.multipath in the installer's configuration makes one`;
}

/** The disk that a device is only a way to; its layout has to name the disk. */
export function wayTo(device: string, disks: readonly Disk[]): Disk | undefined {
  return disks.find((disk) => disk.paths.some(({ name }) => device === `/dev/${name}`));
}
