// The files that go to the new disk with `--extra-files`: the system's SSH host key and the proof key. nixos-anywhere applies the modes of all
// folders in it to the new system, so each mode is set on its own: a 0700 staging folder would make `/etc` 0700.
import { chmod, copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { KeyPair } from './keys.ts';

export interface Staging {
  readonly path: string;
  remove(): Promise<void>;
}

/** What the proof key may do: nothing but this. The same words are asked for with any other key. */
export const proofCommand = 'readlink -f /run/booted-system; readlink -f /run/current-system';

/** The line of `authorized_keys`. `restrict` takes forwarding, terminal and the rest (sshd(8)). */
export function proofLine(publicKey: string): string {
  return `command="${proofCommand}",restrict ${publicKey} nixie-proof`;
}

/**
 * Makes `folder` (inside a private one, in memory) with
 * `etc/ssh/ssh_host_ed25519_key{,.pub}` and `root/.ssh/authorized_keys` (sshd of NixOS reads it beside its own files, and nothing replaces it).
 */
export async function stageExtraFiles(
  folder: string,
  given: { readonly hostKey: KeyPair; readonly proofKey: string },
): Promise<Staging> {
  await rm(folder, { recursive: true, force: true });
  const inside = (name: string) => join(folder, name);
  await folders(folder, '', 0o755);
  await folders(folder, 'etc/ssh', 0o755);
  await folders(folder, 'root/.ssh', 0o700);
  const key = inside('etc/ssh/ssh_host_ed25519_key');
  await copyFile(given.hostKey.privateFile, key);
  await chmod(key, 0o600);
  await put(`${key}.pub`, `${given.hostKey.publicKey}\n`, 0o644);
  await put(inside('root/.ssh/authorized_keys'), `${proofLine(given.proofKey)}\n`, 0o600);
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Each folder on the way gets the mode, whatever the umask. */
async function folders(top: string, below: string, mode: number): Promise<void> {
  const path = join(top, below);
  await mkdir(path, { recursive: true });
  for (let each = path; ; each = dirname(each)) {
    await chmod(each, mode);
    if (relative(top, each) === '' || dirname(each) === top) break;
  }
}

async function put(file: string, text: string, mode: number): Promise<void> {
  await writeFile(file, text, { mode });
  await chmod(file, mode);
}
