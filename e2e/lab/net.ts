// The lab's networks: one bridge per subnet in a namespace of its own, which also holds the machines; servers each in their own namespace.
// Nothing of the host's network is touched. Names carry the process that made them, so that what a killed run left is found and removed.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './child.ts';

/** First subnet: servers on .1 and .2, the bridge on .250, leases of the foreign server from .100. */
export const lan = {
  prefix: '10.77.0',
  nixie: '10.77.0.1',
  foreignDhcp: '10.77.0.2',
  bridge: '10.77.0.250',
  router: '10.77.0.254',
  length: 24,
} as const;
/** Second subnet, behind a router. */
export const lan2 = {
  prefix: '10.78.0',
  foreignDhcp: '10.78.0.2',
  router: '10.78.0.254',
  bridge: '10.78.0.250',
  length: 24,
} as const;

export interface Network {
  /** Prefix of every name of this run. */
  readonly id: string;
  /** Names of the namespaces. */
  readonly lan: string;
  readonly srv: string;
  readonly dhcp: string;
  /** Only with a second subnet. */
  readonly lan2?: string;
  readonly rt?: string;
  addTap(tap: string, namespace?: string): Promise<void>;
  /** One more server on the first subnet, with `address` on its eth0; its namespace. */
  addServer(name: string, address: string): Promise<string>;
  removeTap(tap: string, namespace?: string): Promise<void>;
  /** The command line that runs a program inside a namespace; it gets SIGTERM when this process dies, however it dies. */
  inside(namespace: string, argv: readonly string[]): string[];
  /** Deletes the namespaces, and with them links and addresses. Never throws. */
  close(): Promise<void>;
}

const mark = 'nxlab-';

/** A tmpfs on every Linux, for what shall not measure a disk. */
export const memoryFolder = '/dev/shm';

/** Field 22 of /proc/PID/stat: with the pid it names a process for good, as pids are used again quickly. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** `nxlab-PID-STARTTIME-RANDOM`: a new name, for namespaces and folders of this process. */
export function runId(): string {
  return `${mark}${process.pid}-${startTime(process.pid) ?? '0'}-${randomBytes(3).toString('hex')}`;
}

function ownerIsGone(name: string): boolean {
  const owner = /^nxlab-(\d+)-(\d+)-/.exec(name);
  return owner !== null && startTime(Number(owner[1])) !== owner[2];
}

/** Deletes folders and namespaces of runs whose process is gone, and ends what still runs inside them. Returns the namespaces removed. */
export async function removeLeftovers(): Promise<string[]> {
  const listed = await run(['ip', 'netns', 'list'], { accept: true });
  const removed: string[] = [];
  const left = (place: string) =>
    readdirSync(place)
      .filter(ownerIsGone)
      .map((name) => join(place, name));
  for (const folder of [...left(tmpdir()), ...left(memoryFolder)]) {
    for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
      const at = line.split(' ')[1] ?? '';
      if (at.startsWith(`${folder}/`)) await run(['umount', '-l', at], { accept: true });
    }
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // What a program of that run still holds is removed by the next run.
    }
  }
  for (const line of listed.stdout.split('\n')) {
    const name = line.split(' ')[0] ?? '';
    if (!ownerIsGone(name)) continue;
    const inside = await run(['ip', 'netns', 'pids', name], { accept: true });
    for (const pid of inside.stdout.split('\n').filter((text) => text !== '')) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // gone by itself
      }
    }
    await run(['ip', 'netns', 'del', name], { accept: true });
    removed.push(name);
  }
  return removed;
}

async function batch(namespace: string, lines: readonly string[]): Promise<void> {
  await run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

function inside(namespace: string, argv: readonly string[]): string[] {
  return ['setpriv', '--pdeathsig', 'TERM', 'ip', 'netns', 'exec', namespace, ...argv];
}

async function writeProc(namespace: string, path: string, value: string): Promise<void> {
  await run(inside(namespace, ['sh', '-c', `echo ${value} > ${path}`]));
}

async function bridge(namespace: string, address: string): Promise<void> {
  // No spanning tree and no forward delay: a port forwards at once. No multicast snooping: router advertisements reach every port.
  await batch(namespace, [
    'link set lo up',
    'link add name br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
    `addr add ${address} dev br0`,
    'link set br0 up',
  ]);
  // Lets LLDP through, which bridges otherwise keep for themselves.
  await writeProc(namespace, '/sys/class/net/br0/bridge/group_fwd_mask', '0x4000');
}

async function plug(
  bridgeNs: string,
  otherNs: string,
  name: string,
  inner: string,
  addresses: string[],
): Promise<void> {
  await batch(bridgeNs, [
    `link add name v-${name} type veth peer name ${inner} netns ${otherNs}`,
    `link set v-${name} master br0 up`,
  ]);
  await batch(otherNs, [
    'link set lo up',
    ...addresses.map((a) => `addr add ${a} dev ${inner}`),
    `link set ${inner} up`,
  ]);
}

export interface NetworkOptions {
  /** A second subnet 10.78.0.0/24 behind a router; run a relay there to serve it. */
  readonly second?: boolean;
  /** The router passes on what is sent to the subnet's broadcast address. */
  readonly directedBroadcast?: boolean;
  /** The "router" forwards nothing, and nobody has a route to the other subnet. */
  readonly apart?: boolean;
  /** The DHCP server is in the second subnet. */
  readonly dhcpBeyond?: boolean;
}

/** Makes the namespaces and joins them. */
export async function makeNetwork(options: NetworkOptions = {}): Promise<Network> {
  await removeLeftovers();
  const id = runId();
  const names = { lan: `${id}-lan`, srv: `${id}-srv`, dhcp: `${id}-dhcp`, lan2: `${id}-lan2`, rt: `${id}-rt` };
  const made: string[] = [];
  const close = async (): Promise<void> => {
    for (const name of made.splice(0).reverse())
      await run(['ip', 'netns', 'del', name], { accept: true }).catch(() => {});
  };
  try {
    const wanted = [names.lan, names.srv, names.dhcp, ...(options.second === true ? [names.lan2, names.rt] : [])];
    for (const name of wanted) {
      await run(['ip', 'netns', 'add', name]);
      made.push(name);
    }
    await bridge(names.lan, `${lan.bridge}/24 broadcast ${lan.prefix}.255`);
    await plug(names.lan, names.srv, 'srv', 'eth0', [`${lan.nixie}/24 broadcast ${lan.prefix}.255`]);
    if (options.second === true) await bridge(names.lan2, `${lan2.bridge}/24 broadcast ${lan2.prefix}.255`);
    const at = options.dhcpBeyond === true ? lan2 : lan;
    // Router advertisements need an IPv6 address on their interface, and duplicate address detection would delay them.
    await plug(options.dhcpBeyond === true ? names.lan2 : names.lan, names.dhcp, 'dhcp', 'eth0', [
      `${at.foreignDhcp}/24 broadcast ${at.prefix}.255`,
      'fd77::2/64 nodad',
    ]);
    if (options.second === true) {
      await plug(names.lan, names.rt, 'rt', 'lan1', [`${lan.router}/24 broadcast ${lan.prefix}.255`]);
      await plug(names.lan2, names.rt, 'rt', 'lan2', [
        `${lan2.router}/24 broadcast ${lan2.prefix}.255`,
        ...(options.dhcpBeyond === true ? [] : ['fd77::2/64 nodad']),
      ]);
      await writeProc(names.rt, '/proc/sys/net/ipv4/ip_forward', options.apart === true ? '0' : '1');
    }
    if (options.second === true && options.apart !== true) {
      // Directed broadcasts are let through where both are set (RFC 2644 has them dropped unless told otherwise).
      if (options.directedBroadcast === true)
        for (const where of ['all', 'lan1'])
          await writeProc(names.rt, `/proc/sys/net/ipv4/conf/${where}/bc_forwarding`, '1');
      // Without this route replies to the relay's far address are lost.
      await batch(names.srv, [`route add ${lan2.prefix}.0/24 via ${lan.router}`]);
      if (options.dhcpBeyond !== true) await batch(names.dhcp, [`route add ${lan2.prefix}.0/24 via ${lan.router}`]);
    }
  } catch (error) {
    await close();
    throw new Error('make lab network', { cause: error });
  }
  return {
    id,
    lan: names.lan,
    srv: names.srv,
    dhcp: names.dhcp,
    ...(options.second === true ? { lan2: names.lan2, rt: names.rt } : {}),
    async addTap(tap, namespace = names.lan) {
      await batch(namespace, [`tuntap add name ${tap} mode tap`, `link set ${tap} master br0 up`]);
    },
    async addServer(name, address) {
      const namespace = `${id}-${name}`;
      await run(['ip', 'netns', 'add', namespace]);
      made.push(namespace);
      await plug(names.lan, namespace, name, 'eth0', [`${address}/${lan.length} broadcast ${lan.prefix}.255`]);
      return namespace;
    },
    async removeTap(tap, namespace = names.lan) {
      await run(['ip', '-n', namespace, 'link', 'del', tap], { accept: true });
    },
    inside,
    close,
  };
}
