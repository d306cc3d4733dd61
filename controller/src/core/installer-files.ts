// The installer as boot scripts need it, and whether a script can be made of it.
import { type InstallerFiles, installerScript } from '../answer/script.ts';
import type { Host } from '../machine/host.ts';
import type { Installer, InstallerFile } from '../nix/types.ts';

export function filesOf(installer: Installer): InstallerFiles {
  const { kernel, initrd, image, commandLine } = installer;
  return {
    kernelSha256: kernel.sha256,
    initrdSha256: initrd.sha256,
    ...(image === undefined ? {} : { imageManifestSha256: image.manifest.sha256 }),
    kernelParams: commandLine,
    // The compressed initrd, what it and the image's first part unpack to, the image, which stays as it is, and room to work.
    needsBytes:
      kernel.bytes + 3 * (initrd.bytes + (image?.first?.bytes ?? 0)) + (image?.file.bytes ?? 0) + 128 * 1024 * 1024,
  };
}

/** What of an installer is served below `/f/`: files by `SHA256/NAME`, and the manifest, which is none. */
export function servedOf({ kernel, initrd, image }: Installer): {
  readonly files: readonly (readonly [name: string, file: InstallerFile])[];
  readonly manifest?: readonly [name: string, text: string, sha256: string];
} {
  const files = [[`${kernel.sha256}/kernel`, kernel] as const, [`${initrd.sha256}/initrd`, initrd] as const];
  if (image === undefined) return { files };
  const { text, sha256 } = image.manifest;
  return {
    files: [...files, [`${image.file.sha256}/image`, image.file]],
    manifest: [`${sha256}/manifest`, text, sha256],
  };
}

/**
 * Why no boot script can be made for a machine (a word that iPXE would not pass on, a command line that is too long); found before it is waited for.
 * @param at as machines will be told to reach us
 */
export function unbootable(
  host: Host,
  files: InstallerFiles,
  at: { readonly address: string; readonly httpPort: number; readonly grpcPort: number },
): string | undefined {
  try {
    const boot = { machine: host.name, mac: host.macs[0]!, boot: host.boot, ...at };
    installerScript(files, { ...boot, fingerprint: '0'.repeat(64), token: '0'.repeat(32) });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
