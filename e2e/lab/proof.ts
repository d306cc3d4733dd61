// A second opinion on an installed machine, without Nixie: log in with the operator's key, trusting only the host keys that Nixie wrote down,
// and ask; then look at the disk image and at the line the machine printed when it booted.
import { type Ran, run } from './child.ts';
import type { Lab } from './lab.ts';
import type { Machine } from './qemu.ts';
import type { Supplies } from './supplies.ts';

export interface Proof {
  readonly address: string;
  readonly hostname: string;
  /** `readlink /run/booted-system` */
  readonly system: string;
  /** Device and type of `/`, as the machine's kernel names them. */
  readonly root: string;
  readonly kernel: string;
  /** Type and size of the disk's partitions. */
  readonly partitions: readonly string[];
  /** What it printed on the serial line at its last boot. */
  readonly serial: string;
}

/** A command on an installed machine as root. Its host key must be in `knownHosts`: by its address, or by `name`. */
export function onMachine(
  lab: Lab,
  supplies: Supplies,
  at: { address: string; knownHosts: string; name?: string },
  command: string,
): Promise<Ran> {
  const options = ['-F', '/dev/null', '-i', supplies.keyFile, '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes'];
  options.push('-o', `UserKnownHostsFile=${at.knownHosts}`, '-o', 'GlobalKnownHostsFile=/dev/null');
  options.push('-o', 'StrictHostKeyChecking=yes', '-o', 'ConnectTimeout=20');
  // Addresses of other sites don't stand in the file.
  if (at.name !== undefined) options.push('-o', `HostKeyAlias=${at.name}`);
  return run(lab.net.inside(lab.near, ['ssh', ...options, `root@${at.address}`, command]), { deadlineMs: 60_000 });
}

export async function prove(
  lab: Lab,
  supplies: Supplies,
  machine: Machine,
  at: { address: string; knownHosts: string },
): Promise<Proof> {
  const questions =
    'uname -n; readlink /run/booted-system; grep " / " /proc/mounts | tail -n 1 | cut -d " " -f 1,3; uname -r';
  const where = lab.site === undefined ? at : { ...at, name: machine.spec.name };
  const told = (await onMachine(lab, supplies, where, questions)).stdout.trim().split('\n');
  const [hostname = '', system = '', root = '', kernel = ''] = told;
  const table = await run(['sfdisk', '--json', machine.disk]);
  const layout = JSON.parse(table.stdout) as {
    partitiontable: { label: string; sectorsize?: number; partitions: { name?: string; size: number }[] };
  };
  const sector = layout.partitiontable.sectorsize ?? 512;
  return {
    address: at.address,
    hostname,
    system,
    root,
    kernel,
    partitions: layout.partitiontable.partitions.map(
      (partition) => `${partition.name ?? '?'} ${Math.round((partition.size * sector) / 1048576)} MiB`,
    ),
    serial: machine.serial.findLast((line) => /NIXIE-STAGE booted/.test(line.text))?.text ?? '',
  };
}
