// Looks for a NixOS in a file system without writing to its disk: through a loop device that can't write, mounted read-only and without
// replay of its journal, in a mount namespace that ends with the child.
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killGroup, start } from '../child.ts';
import { withDeadline } from './deadline.ts';
import { nixosName } from './nixos-name.ts';

/** mount(8): `loop` with `ro` sets the loop device read-only; it lets go of the disk by itself when it is unmounted. */
const options: Readonly<Record<string, string>> = {
  ext2: 'loop,ro',
  ext3: 'loop,ro,noload',
  ext4: 'loop,ro,noload',
  xfs: 'loop,ro,norecovery,nouuid',
  btrfs: 'loop,ro,rescue=nologreplay,subvolid=5',
  vfat: 'loop,ro',
};

export const systemDeadlineMs = 5000;

/** File systems that a system can be looked for in. */
export function mayHoldSystem(fs: string | undefined): fs is string {
  return fs !== undefined && Object.hasOwn(options, fs);
}

// Ends with its group; the trap only unmounts a little earlier than the end of the namespace would.
const script = `trap 'umount "$4"; exit 0' TERM
[ -e /dev/loop-control ] || modprobe -q loop
mount -n -t "$1" -o "$2" "$3" "$4" || exit 1
echo mounted
sleep 15 &
wait`;

/**
 * Never throws, never takes much longer than its deadline.
 * @param device block device or image
 * @returns see `nixosName`; undefined also when it could not be mounted or looked at in time
 */
export async function nixosOn(device: string, fs: string, deadlineMs = systemDeadlineMs): Promise<string | undefined> {
  const given = options[fs];
  if (given === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'nixie-look-')).catch(() => undefined);
  if (folder === undefined) return undefined;
  const argv = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '/bin/sh',
    '-c',
    script,
    'sh',
    fs,
    given,
    device,
    folder,
  ];
  const child = start(argv);
  const over = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const mounted = new Promise<boolean>((resolve) => {
    child.stdout?.once('data', () => resolve(true));
    void over.then(() => resolve(false));
  });
  child.stderr?.resume();
  let name: string | undefined;
  try {
    await withDeadline(
      mounted.then(async (there) => {
        if (there) name = await nixosName(`/proc/${child.pid}/root${folder}`);
      }),
      deadlineMs,
    );
  } catch {
    // What can't be looked at says nothing.
  }
  const found = name;
  killGroup(child, 'SIGTERM');
  if (await withDeadline(over, 1000)) {
    killGroup(child, 'SIGKILL');
    await withDeadline(over, 1000);
  }
  await rmdir(folder).catch(() => {});
  return found;
}
