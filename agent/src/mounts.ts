// What is mounted below /mnt: the sign that an install is under way, and how far its copy has come.
import { readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';

export interface Mount {
  readonly device: string;
  readonly at: string;
  readonly type: string;
}

/** /proc/mounts: blanks, tabs, backslashes and newlines in names are octal escapes. */
export function readMounts(text: string): Mount[] {
  const plain = (word: string): string =>
    word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return text.split('\n').flatMap((line) => {
    const [device, at, type] = line.split(' ');
    return device && at && type ? [{ device: plain(device), at: plain(at), type }] : [];
  });
}

/** Mounts at or below /mnt of the tree. Empty when the table can't be read. */
export function installMounts(root: string): Mount[] {
  try {
    return readMounts(readFileSync(join(root, 'proc/mounts'), 'utf8')).filter(
      ({ at }) => at === '/mnt' || at.startsWith('/mnt/'),
    );
  } catch {
    return [];
  }
}

type Asking = (path: string) => Promise<{ readonly blocks: number; readonly bfree: number; readonly bsize: number }>;

/** Not answered yet, by path: one that hangs keeps one of libuv's threads, and not one more with each look. */
const unanswered = new Map<string, Promise<number>>();

function usedAt(path: string, ask: Asking): Promise<number> {
  const before = unanswered.get(path);
  if (before !== undefined) return before;
  const answer = ask(path)
    .then(({ blocks, bfree, bsize }) => (blocks - bfree) * bsize)
    .finally(() => unanswered.delete(path));
  unanswered.set(path, answer);
  return answer;
}

/**
 * Bytes in use on the file systems that take the store: /mnt and what is mounted at /mnt/nix and below, each device once.
 * Undefined when nothing is mounted or nothing could be asked in time (a disk that hangs must not hang us).
 */
export async function landedBytes(root: string, timeoutMs = 2000, ask: Asking = statfs): Promise<number | undefined> {
  const devices = new Map<string, string>();
  for (const { device, at, type } of installMounts(root)) {
    if (['proc', 'sysfs', 'devtmpfs', 'efivarfs', 'devpts', 'cgroup2'].includes(type)) continue;
    if (at === '/mnt' || at === '/mnt/nix' || at.startsWith('/mnt/nix/')) devices.set(device, at);
  }
  if (devices.size === 0) return undefined;
  const asked = Promise.all([...devices.values()].map((at) => usedAt(join(root, at), ask))).then(
    (used) => used.reduce((sum, bytes) => sum + bytes, 0),
    () => undefined,
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  return Promise.race([asked, late]).finally(() => clearTimeout(timer));
}

/** Something is mounted for the install, or a program of it runs. */
export function installRunning(root: string): boolean {
  if (installMounts(root).length > 0) return true;
  try {
    return readdirSync(join(root, 'proc')).some((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        // The kernel cuts names to 15 characters.
        const name = readFileSync(join(root, 'proc', pid, 'comm'), 'utf8').trim();
        return /^(nixos-install|disko.*|sgdisk|mkfs\..*|mke2fs|cryptsetup)$/.test(name);
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}
