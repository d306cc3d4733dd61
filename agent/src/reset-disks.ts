// Letting go of the disks after a failed attempt, so that disko can start clean. Nothing here writes to a disk.
import { run } from './child.ts';
import type { Clock, Log } from './host.ts';
import { installMounts } from './mounts.ts';
import { endLogins } from './processes.ts';

/** In this order: users of a layer before the layer itself. Programs that are not there have nothing to let go of. */
const steps: readonly (readonly string[])[] = [
  ['swapoff', '-a'],
  ['umount', '-R', '/mnt'],
  ['zpool', 'export', '-a', '-f'],
  ['vgchange', '-an'],
];

/** dm devices that are LUKS or plain crypt, from `dmsetup ls --target crypt`. */
export function cryptNames(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(\S+)\s+\(\d+[:,]\s*\d+\)/.exec(line);
    return match ? [match[1]!] : [];
  });
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
  for (const argv of steps) {
    if (argv[0] === 'umount' && installMounts(root).length === 0) continue;
    await step(argv);
  }
  // A stack can hold LUKS on md and md on LUKS: crypt first, then md, then crypt that md had kept busy.
  for (const name of cryptNames((await step(['dmsetup', 'ls', '--target', 'crypt'])) ?? ''))
    await step(['cryptsetup', 'close', name]);
  await step(['mdadm', '--stop', '--scan']);
  await step(['udevadm', 'settle', '--timeout=10']);
  if (installMounts(root).length > 0) {
    // Somebody still has a file open: take the tree away and let the kernel finish it.
    await step(['umount', '-R', '-l', '/mnt']);
    if (installMounts(root).length > 0) problems.push('/mnt is still mounted');
  }
  return problems;
}
