// Whose NixOS a file system is the root (or the /nix) of. What is read was written by somebody else: no link leads out of it, no name is long.
import { lstat, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a root may lie below the top of a file system: btrfs keeps it in a subvolume. */
const roots = ['', 'root', '@', '@root', 'nixos'] as const;
const mostLinks = 40;

/**
 * @param top folder where the file system can be read
 * @returns the host's name; '' when it holds a NixOS that doesn't say its name; undefined when it holds none
 */
export async function nixosName(top: string): Promise<string | undefined> {
  for (const below of roots) {
    const root = below === '' ? top : await resolveInside(top, below, 'folder');
    if (root === undefined) continue;
    const profile = await profileLink(root, 'nix/var/nix/profiles');
    if (profile === undefined && (await resolveInside(root, 'etc/NIXOS', 'file')) === undefined) continue;
    return (await nameInEtc(root)) ?? nameOfSystem(profile) ?? '';
  }
  // The file system of /nix alone, on its own or as a subvolume.
  for (const below of ['', 'nix/', '@nix/']) {
    const profile = await profileLink(top, `${below}var/nix/profiles`);
    if (profile !== undefined) return nameOfSystem(profile) ?? '';
  }
  return undefined;
}

async function nameInEtc(root: string): Promise<string | undefined> {
  const file = await resolveInside(root, 'etc/hostname', 'file');
  return file === undefined ? undefined : plain(await beginning(file));
}

/** What the system profile leads to, or would lead to: nothing of it needs to be there. */
async function profileLink(root: string, profiles: string): Promise<string | undefined> {
  const folder = await resolveInside(root, profiles, 'folder');
  if (folder === undefined) return undefined;
  const read = (name: string) => readlink(join(folder, name)).catch(() => undefined);
  const link = await read('system');
  return link !== undefined && /^system-\d+-link$/.test(link) ? ((await read(link)) ?? link) : link;
}

/** `/nix/store/HASH-nixos-system-NAME-VERSION` */
function nameOfSystem(path: string | undefined): string | undefined {
  const system = /^\/nix\/store\/[0-9a-z]{32}-nixos-system-([^/]+)$/.exec(path ?? '')?.[1];
  return system === undefined ? undefined : plain(system.replace(/-\d\d\.\d\d.*$/, ''));
}

/**
 * Follows every link on the way, absolute ones from `root`.
 * @returns a path whose every part is no link; undefined when it leads nowhere or to something else
 */
export async function resolveInside(
  root: string,
  path: string,
  wanted: 'file' | 'folder',
): Promise<string | undefined> {
  const left = path.split('/').filter(isName);
  let done: string[] = [];
  for (let links = 0; left.length > 0; ) {
    const word = left.shift()!;
    if (word === '..') {
      done.pop();
      continue;
    }
    const at = join(root, ...done, word);
    const found = await lstat(at).catch(() => undefined);
    if (found === undefined) return undefined;
    if (found.isSymbolicLink()) {
      links += 1;
      const target = await readlink(at).catch(() => undefined);
      if (target === undefined || links > mostLinks) return undefined;
      if (target.startsWith('/')) done = [];
      left.unshift(...target.split('/').filter(isName));
      continue;
    }
    if (left.length === 0 && wanted === 'file') return found.isFile() ? at : undefined;
    if (!found.isDirectory()) return undefined;
    done.push(word);
  }
  return wanted === 'folder' ? join(root, ...done) : undefined;
}

const isName = (word: string): boolean => word !== '' && word !== '.';

async function beginning(file: string): Promise<string> {
  const opened = await open(file).catch(() => undefined);
  if (opened === undefined) return '';
  try {
    const { buffer, bytesRead } = await opened.read(Buffer.alloc(256), 0, 256, 0);
    return buffer.toString('latin1', 0, bytesRead).trim();
  } catch {
    return '';
  } finally {
    await opened.close();
  }
}

/** Only what can be a host's name is passed on. */
function plain(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) ? name : undefined;
}
