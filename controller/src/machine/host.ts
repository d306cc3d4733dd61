// What the operator wrote about one machine, checked.
import type { Mac } from './mac.ts';

export type System = 'x86_64-linux' | 'aarch64-linux';

/** All given conditions must hold for the disks of a machine before anything is written to them. */
export interface ExpectDisk {
  readonly serial?: string;
  readonly wwn?: string;
  /** bytes */
  readonly minSizeBytes?: number;
  /** bytes */
  readonly maxSizeBytes?: number;
  readonly rotational?: boolean;
}

export interface Host {
  /** The key in the hosts file; letters, digits, `-`, `_`, `.`. */
  readonly name: string;
  /** Attribute of the flake's nixosConfigurations; the name unless said otherwise. */
  readonly flakeAttr: string;
  /** At least one; any of them names this machine. */
  readonly macs: readonly Mac[];
  readonly system: System;
  readonly tags: readonly string[];
  /** More words for the installer's kernel command line. */
  readonly boot: readonly string[];
  /** The address that Nixie's DHCP server gives to the first MAC. */
  readonly address?: string;
  /** Each entry must be met by exactly one disk of the machine. */
  readonly expectDisks: readonly ExpectDisk[];
  /** The operator agreed in the hosts file that what is on the disks is lost. */
  readonly wipe: boolean;
}
