// The disk of a simulated machine: what is on it, and every write to it.
import { Inventory } from '@nixie/proto/inventory';
import type { Random } from './random.ts';

/** `half`: disko or an install that didn't come to its end. */
export type Content =
  | { readonly kind: 'blank' }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'half' }
  | {
      readonly kind: 'system';
      readonly toplevel: string;
      readonly hostKey: string;
      /** Number of the controller's life in which it was installed; 0: long ago. */
      readonly life: number;
      /** The controller has set its reboot mark since. */
      marked?: true;
      /** It has set it once, whatever came then. */
      ended?: true;
      /** The installer's boot in which it was written; it never ran before another one. */
      readonly bootId?: string;
    };

export interface DiskShape {
  path: string;
  serial: string;
  sizeBytes: number;
  /** Reading it gives errors. */
  unreadable: boolean;
  removable: boolean;
}

export class Disk {
  content: Content;
  writes = 0;
  readonly shape: DiskShape;

  constructor(content: Content, shape: DiskShape) {
    this.content = content;
    this.shape = shape;
  }

  get bootable(): boolean {
    return this.content.kind === 'system' || this.content.kind === 'foreign';
  }
}

export function inventoryOf(
  disks: readonly Disk[],
  bootId: string,
  macs: readonly string[],
  address: string,
): Inventory {
  return Inventory.fromPartial({
    schemaVersion: 1,
    agentVersion: 'simulated',
    boot: { bootId, mode: 'uefi' },
    disks: disks.map(({ shape, content }) => {
      const data = content.kind !== 'blank';
      return {
        name: shape.path.slice(5),
        path: shape.path,
        sizeBytes: BigInt(shape.sizeBytes),
        removable: shape.removable,
        readOnly: false,
        inUse: false,
        rotational: false,
        serial: shape.serial,
        byPath: `/dev/disk/by-path/pci-${shape.serial.length}`,
        byId: [`/dev/disk/by-id/nvme-${shape.serial}`],
        ...(shape.unreadable ? {} : { table: data ? 'gpt' : 'none', hasData: data }),
        partitions: data ? [{ number: 1, fs: content.kind === 'foreign' ? 'ntfs' : 'ext4' }] : [],
      };
    }),
    nics: macs.map((mac, i) => ({ name: `eno${i + 1}`, mac, permanentMac: mac, carrier: true, addresses: [address] })),
  });
}

/** `ssh-ed25519 AAAA…` */
export function hostKeyOf(random: Random): string {
  return `ssh-ed25519 ${Buffer.from(random.bytes(51)).toString('base64')}`;
}
