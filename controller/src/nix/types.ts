// What the Nix side of a run gives to the rest of it. Store paths are full (`/nix/store/<hash>-<name>`), sizes are bytes, unknown is absent.
import type { System } from '../machine/host.ts';
import type { Cause } from './causes.ts';

/** One output that is wanted: how to build it and where it will be. */
export interface Output {
  /** `/nix/store/….drv` */
  readonly drv: string;
  /** `/nix/store/…` */
  readonly out: string;
}

/** Why something that Nix was asked for isn't there. */
export interface NixFailure {
  readonly cause: Cause;
  /** One sentence or Nix's own last `error:`; without ANSI codes, at most a few lines. */
  readonly text: string;
  /** Last lines of the log of the build that failed, or of what nix printed; oldest first. */
  readonly log: readonly string[];
  /** The derivation that failed, so that `nix log <drv>` shows all of it. */
  readonly drv?: string;
}

/** A flake reference that always means the same tree. */
export interface PinnedFlake {
  /** As the operator wrote it, made absolute. */
  readonly given: string;
  /** What nix is called with from here on, without `#`. */
  readonly url: string;
  /** SRI hash of the tree: two references with the same one are the same flake. */
  readonly narHash?: string;
  /** Commit; absent when the tree has changes that aren't committed, or is no checkout. */
  readonly revision?: string;
  /** The tree is a checkout with changes that aren't committed. */
  readonly dirty: boolean;
  /** The tree's copy in the store, when nix says it. */
  readonly path?: string;
}

/** A machine's configuration as the flake has it. */
export interface HostSystem {
  readonly toplevel: Output;
  /** The output is the script itself. It formats the disks without a question. */
  readonly diskoScript: Output;
  /** The platform it is built for, like `x86_64-linux`. */
  readonly system?: string;
  readonly hostName?: string;
  /** Device of each disk in the disko configuration, by its name there. */
  readonly diskDevices?: Readonly<Record<string, string>>;
  readonly sshEnabled?: boolean;
  readonly sshPorts?: readonly number[];
  /** Where its sshd expects its host keys. */
  readonly sshHostKeys?: readonly { readonly path: string; readonly type: string }[];
  /** Does root have an authorized key? Without one, and without a password, nobody can log in. */
  readonly rootHasKeys?: boolean;
}

export type HostEvaluation =
  | { readonly ok: true; readonly value: HostSystem }
  | { readonly ok: false; readonly failure: NixFailure };

/** What an installer's configuration consists of: one bundle, or the three parts. */
export type InstallerParts = {
  readonly system?: string;
} & (
  | { readonly form: 'bundle'; readonly bundle: Output }
  | {
      readonly form: 'parts';
      readonly kernel: Output;
      /** Name of the kernel's file in its output: `bzImage`, `Image`. */
      readonly kernelFile: string;
      readonly ramdisk: Output;
      readonly toplevel: Output;
    }
);

export type InstallerEvaluation =
  | { readonly ok: true; readonly value: InstallerParts }
  | { readonly ok: false; readonly failure: NixFailure };

export interface Evaluation {
  readonly flake: PinnedFlake;
  /** By host name: an entry for each host that was asked for. */
  readonly hosts: Readonly<Record<string, HostEvaluation>>;
  /** An entry for each installer that was asked for. */
  readonly installers: Readonly<Partial<Record<System, InstallerEvaluation>>>;
  /** What the operator should know though nothing failed, like changes that aren't committed. */
  readonly warnings: readonly string[];
}

/** How building one named thing (a host, an installer) ended. */
export type BuildResult = { readonly ok: true } | { readonly ok: false; readonly failure: NixFailure };

/** A host after evaluation and build. */
export type HostBuild =
  | {
      readonly ok: true;
      readonly system: HostSystem;
      /** Sum of narSize over all paths of the toplevel's closure. */
      readonly closureBytes?: number;
    }
  | { readonly ok: false; readonly failure: NixFailure };

/** An installer that is ready to be served. */
export interface Installer {
  readonly system: System;
  readonly kernel: InstallerFile;
  readonly initrd: InstallerFile;
  /** The rest, where kernel and initrd are only a boot stage: machines fetch it in chunks, from each other as well. */
  readonly image?: InstallerImage;
  /** `init=…` first, then the words of kernel-params, in their order. */
  readonly commandLine: readonly string[];
  readonly warnings: readonly string[];
}

export interface InstallerImage {
  readonly file: InstallerFile;
  /** The part of it that a boot stage without the agent gets first, bytes; absent: the agent is in the initrd. */
  readonly first?: { readonly at: number; readonly bytes: number };
  /** Sizes and hashes of all chunks; its own hash stands on the kernel command line. */
  readonly manifest: { readonly text: string; readonly sha256: string };
}

export interface InstallerFile {
  /** Absolute path, all links resolved: a regular file in the store. */
  readonly path: string;
  readonly bytes: number;
  /** 64 hex digits */
  readonly sha256: string;
}

/** What the preparation is doing now. At most four a second. */
export interface NixProgress {
  /** For people: `building linux-6.12.30`, `downloading …`. */
  readonly text: string;
  readonly done?: number;
  readonly total?: number;
  /** What `done` and `total` count. */
  readonly unit?: 'builds' | 'bytes' | 'paths';
}
