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
  /** Disks that meet it, no more and no fewer; absent: one. */
  readonly count?: number;
}

/** All given conditions must hold for one disk of the machine, and for no other: that one is written to. */
export interface DiskHints {
  /** bytes */
  readonly minSizeBytes?: number;
  /** bytes */
  readonly maxSizeBytes?: number;
  readonly rotational?: boolean;
  // Whole text in either case; `*` stands for any text.
  readonly model?: string;
  readonly serial?: string;
  readonly wwn?: string;
  /** With or without `/dev/disk/by-path/`. */
  readonly byPath?: string;
}

/** Where the value of a secret is read; the value itself is never kept with the host. */
export type SecretSource =
  /** Byte by byte; a relative path is meant from the hosts file's folder. */
  | { readonly kind: 'file'; readonly path: string }
  /** What the program prints; no shell is between. */
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  | { readonly kind: 'env'; readonly name: string }
  /** The operator types it when the run starts. */
  | { readonly kind: 'prompt' };

/** Handed to the installer for the time of partitioning. */
export interface DiskKey {
  /** Absolute, on the installer. */
  readonly path: string;
  readonly source: SecretSource;
}

/** A file of the installed system. */
export interface SecretFile {
  /** Absolute, on the installed system. */
  readonly path: string;
  readonly source: SecretSource;
  /** Permission bits. */
  readonly mode: number;
  /** `UID:GID` */
  readonly owner: string;
}

export interface HostSecrets {
  readonly diskKeys: readonly DiskKey[];
  readonly files: readonly SecretFile[];
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
  /** `subnetKey` of the declared subnet that it is in, and no other. Absent: wherever it is seen. */
  readonly subnet?: string;
  /** The `nixie relay` whose networks it is in. Absent: ours. */
  readonly relay?: string;
  /** Each entry must be met by exactly as many disks of the machine as it says. */
  readonly expectDisks: readonly ExpectDisk[];
  /** Which disk its layout means by /dev/nixie/disk. Absent: it names its disks itself. */
  readonly disk?: DiskHints;
  /** File that holds what was recorded of its hardware; a relative path is meant from the hosts file's folder. */
  readonly inventory?: string;
  /** The operator agreed in the hosts file that what is on the disks is lost. */
  readonly wipe: boolean;
  /** Its disks may be of the removable kind; absent: no. */
  readonly allowRemovable?: boolean;
  /** Absent: there are none. */
  readonly secrets?: HostSecrets;
}
