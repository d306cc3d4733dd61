// Files that the kernel makes from its own memory, asking neither a driver nor a device, so that reading them can't hang: they are read at
// once. A round through libuv's threads costs four hand-overs a file, and an inventory has hundreds of such files: at boot, on a machine
// whose processors have other work, that is most of its time.
import { closeSync, openSync, readdirSync, readlinkSync, readSync, realpathSync } from 'node:fs';

/**
 * Closed lists. Not here: what takes a lock that drivers hold (`speed`, `duplex`, `carrier` of a card), what asks a device (`serial` of a virtio
 * disk, pages of a SCSI disk), what calls the firmware (EFI variables).
 */
const read = [
  /^\/proc\/(?:cmdline|cpuinfo|meminfo|mounts|swaps|uptime|mdstat|self\/mountinfo|net\/route|sys\/kernel\/\w+(?:\/boot_id)?)$/,
  /^\/sys\/class\/dmi\/id\/\w+$/,
  /^\/sys\/firmware\/dmi\/tables\/DMI$/,
  /^\/sys\/devices\/system\/(?:cpu|node|memory)\/[\w/]+$/,
  /^\/sys\/(?:class\/)?block\/[^/]+\/(?:size|ro|removable|hidden|dm\/(?:name|uuid)|queue\/(?:rotational|zoned|\w+_block_size))$/,
  /^\/sys\/(?:class\/)?block\/[^/]+\/[^/]+\/(?:partition|size|start|dev)$/,
  /^\/sys\/class\/net\/[^/]+\/(?:address|addr_assign_type|dev_port|mtu|type)$/,
  /^\/sys\/bus\/pci\/devices\/[^/]+\/(?:vendor|device|subsystem_vendor|subsystem_device|class|revision|numa_node)$/,
];

/** Folders and links of /sys and /proc are the kernel's own, and /dev is a file system in memory. */
const looked = /^\/(?:sys|proc|dev)(?:\/|$)/;

export const readsAtOnce = (path: string): boolean => read.some((each) => each.test(path));
export const looksAtOnce = (path: string): boolean => looked.test(path);

let room: Buffer | undefined;

/** The whole file. @throws what the system said: an error with `code` */
export function readNow(path: string): Buffer {
  room ??= Buffer.allocUnsafeSlow(64 << 10);
  const parts: Buffer[] = [];
  const file = openSync(path, 'r');
  try {
    // Files of the kernel tell no size, and give a part at a time.
    for (;;) {
      const got = readSync(file, room, 0, room.length, null);
      if (got === 0) return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      parts.push(Buffer.from(room.subarray(0, got)));
    }
  } finally {
    closeSync(file);
  }
}

export const listNow = (path: string): string[] => readdirSync(path).sort();
export const linkNow = (path: string): string => readlinkSync(path);
export const realNow = (path: string): string => realpathSync.native(path);
