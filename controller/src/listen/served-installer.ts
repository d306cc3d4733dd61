// An installer as the HTTP door serves it: by the hash of each of its files.
import { servedOf } from '../core/installer-files.ts';
import type { Installer } from '../nix/types.ts';
import { type HeldFile, type HttpFile, heldBytes } from './http-file.ts';

/** By what stands below `/f/`. */
export function servedInstaller(installer: Installer): ReadonlyMap<string, HttpFile | HeldFile> {
  const { files, manifest } = servedOf(installer);
  const served = new Map<string, HttpFile | HeldFile>();
  for (const [name, { path, bytes, sha256 }] of files) served.set(name, { path, size: bytes, sha256 });
  if (manifest !== undefined) {
    const [name, text, sha256] = manifest;
    served.set(name, heldBytes(Buffer.from(text), sha256));
  }
  return served;
}
