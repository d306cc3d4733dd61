// Letting go of the disks after a failed attempt, so that disko can start clean. Nothing here writes to a disk.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './child.ts';
import type { Clock, Log } from './host.ts';
import { installMounts } from './mounts.ts';
import { endLogins } from './processes.ts';

/** dm devices that are LUKS or plain crypt, from `dmsetup ls --target crypt`. */
export function cryptNames(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(\S+)\s+\(\d+[:,]\s*\d+\)/.exec(line);
    return match ? [match[1]!] : [];
  });
}

/** Swap on disks, from /proc/swaps; swap in compressed memory is the image's own. */
export function swapDevices(text: string): string[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => line.split(/\s+/)[0] || [])
    .filter((device) => !device.startsWith('/dev/zram'));
}

/** @returns sentences about what could not be let go of; empty when all is free */
export async function resetDisks(root: string, clock: Clock, log: Log): Promise<string[]> {
  const problems: string[] = [];
  const ended = await endLogins(root, clock);
  log.info(`reset disks: ended ${ended} processes of ssh logins`);
  const step = async (argv: readonly string[]): Promise<string | undefined> => {
    const { code, why, stdout, stderr } = await run(argv, { deadlineMs: 20_000 });
    if (why === 'ENOENT') return undefined;
    if (code !== 0)
      problems.push(`${argv.join(' ')}: ${why ?? `status ${code}`} ${stderr.trim().slice(0, 300)}`.trim());
    else log.info(`reset disks: ${argv.join(' ')}`);
    return stdout;
  };
  const has = (path: string): boolean => existsSync(join(root, path));
  const text = (path: string): string => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return '';
    }
  };
  // Users of a layer before the layer itself; only where the kernel has such a layer, since tools fail without it.
  for (const device of swapDevices(text('proc/swaps'))) await step(['swapoff', device]);
  if (installMounts(root).length > 0) await step(['umount', '-R', '/mnt']);
  if (has('sys/module/zfs')) await step(['zpool', 'export', '-a', '-f']);
  if (has('sys/block/dm-0') || has('sys/block/dm-1')) {
    await step(['vgchange', '-an']);
    for (const name of cryptNames((await step(['dmsetup', 'ls', '--target', 'crypt'])) ?? ''))
      await step(['cryptsetup', 'close', name]);
  }
  if (/^md\S* : (active|inactive)/m.test(text('proc/mdstat'))) await step(['mdadm', '--stop', '--scan']);
  await step(['udevadm', 'settle', '--timeout=10']);
  if (installMounts(root).length > 0) {
    // Somebody still has a file open: take the tree away and let the kernel finish it.
    await step(['umount', '-R', '-l', '/mnt']);
    if (installMounts(root).length > 0) problems.push('/mnt is still mounted');
  }
  return problems;
}
