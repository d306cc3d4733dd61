// What is known of a machine: its full inventory, with what was read of its disks since. Pure.
import type { Disk, Inventory } from '@nixie/proto/inventory';

/** More than any machine has; an inventory that lists more is not believed. */
const most = {
  disks: 4096,
  nics: 1024,
  pci: 4096,
  usb: 4096,
  arrays: 4096,
  numa: 1024,
  errors: 65_536,
  sensors: 4096,
  kernelErrors: 65_536,
} as const;

/** Why an inventory is not to be kept; undefined: it is. */
export function oversized(inventory: Inventory): string | undefined {
  for (const [list, limit] of Object.entries(most) as [keyof typeof most, number][])
    if (inventory[list].length > limit)
      return `its inventory lists ${inventory[list].length} ${list}, accepted: ${limit}`;
  return undefined;
}

/**
 * @param full told some seconds after the registration; of this or another boot
 * @param quick that of the registration, or a later look
 */
export function wholeInventory(full: Inventory | undefined, quick: Inventory | undefined): Inventory | undefined {
  if (full === undefined || quick === undefined) return full ?? quick;
  if (full.boot?.bootId !== quick.boot?.bootId) return quick;
  const looked = new Map(quick.disks.map((disk) => [disk.path, disk]));
  return { ...full, disks: full.disks.map((disk) => withContents(disk, looked.get(disk.path))) };
}

/** A look that was asked for is the later one. */
function withContents(disk: Disk, looked: Disk | undefined): Disk {
  if (looked === undefined || looked.serial !== disk.serial || looked.sizeBytes !== disk.sizeBytes) return disk;
  const { table, partitions, signatures, hasData, holders, mountedAt, inUse, nixosHost } = looked;
  return { ...disk, table, partitions, signatures, hasData, holders, mountedAt, inUse, nixosHost };
}
