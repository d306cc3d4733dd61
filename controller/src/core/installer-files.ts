// The installer as boot scripts need it, and whether a script can be made of it.
import { type InstallerFiles, installerScript } from '../answer/script.ts';
import type { Host } from '../machine/host.ts';
import type { Installer } from '../nix/types.ts';

export function filesOf(installer: Installer): InstallerFiles {
  const { kernel, initrd, commandLine } = installer;
  return {
    kernelSha256: kernel.sha256,
    initrdSha256: initrd.sha256,
    kernelParams: commandLine,
    // The compressed image, what it unpacks to, and room to work.
    needsBytes: kernel.bytes + 3 * initrd.bytes + 128 * 1024 * 1024,
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
