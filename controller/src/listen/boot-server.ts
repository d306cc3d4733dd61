// DHCP and TFTP, seen from the rest of the program. Each runs in a thread of its own, with a copy of the scene or of the loaders, so that neither a storm
// of TLS handshakes nor a long garbage collection here delays an answer that firmware waits a second for, nor a hundred machines that fetch a loader the
// DHCP answer to the next one.
import type { Scene } from '../answer/scene.ts';
import { AddressUsers } from './address-users.ts';
import { type BootThreadData, descriptorsOf, type OpenDoor } from './boot-messages.ts';
import { startBootThread } from './boot-thread.ts';
import type { DhcpCounters } from './dhcp.ts';
import { handedOver, type InheritedUdp } from './inherited.ts';
import type { LinkInterface } from './interfaces.ts';
import type { Seen } from './seen.ts';
import type { TftpCounters } from './tftp.ts';
import { TftpSeen } from './tftp-seen.ts';
import {
  closeDescriptor,
  grantedReceiveBuffer,
  openUdpDescriptor,
  openUdpPair,
  prepareInherited,
  receiveBufferBytes,
  type UdpPlace,
} from './udp.ts';

export interface BootServerOptions {
  readonly scene: Scene;
  /** Contents of the loaders by the names under which `scene.loaders` advertises them. */
  readonly loaderFiles: ReadonlyMap<string, Uint8Array>;
  readonly interfaces: readonly Pick<LinkInterface, 'name' | 'address' | 'mtu'>[];
  /** More addresses of ours by which machines beyond relays reach us, each with an interface of the above that they come in by. */
  readonly alsoAt?: readonly { readonly name: string; readonly address: string }[];
  readonly onSeen: (seen: Seen) => void;
  /** A thread ended by itself; what it answered isn't answered any more. */
  readonly onFailure: (error: Error) => void;
  /** Told once, in words for the operator, of what will work less well here than it could. */
  readonly onNotice?: (text: string) => void;
  /** DHCP (67) and PXE (4011) are left out when `dhcp` is false; TFTP stays. */
  readonly dhcp?: boolean;
  /** Sockets that another opened for us; what is not among them is opened here. */
  readonly inherited?: readonly InheritedUdp[];
  /** File of the threads; a bundle has it elsewhere. */
  readonly threadFile?: URL;
}

export interface BootCounters {
  readonly dhcp: DhcpCounters;
  readonly tftp: TftpCounters;
  /** Observations that found no room on their way here. */
  readonly seenDropped: number;
}

export interface BootServer {
  /**
   * Resolves when the threads answer by the new scene: no packet is answered by the old one afterwards.
   * @param loaderFiles absent: as before. Transfers that have begun go on with what they began with
   */
  setScene(scene: Scene, loaderFiles?: ReadonlyMap<string, Uint8Array>): Promise<void>;
  counters(): Promise<BootCounters>;
  close(): Promise<void>;
}

/** The scene of the thread that serves files to whoever asks. */
const nobody: Scene = { interfaces: {}, machineOfMac: {}, machines: {}, loaders: {}, httpPort: 0 };

function openDoors(options: BootServerOptions): OpenDoor[] {
  const doors: OpenDoor[] = [];
  try {
    for (const { name, address } of options.interfaces)
      for (const port of options.dhcp === false ? [69] : [67, 4011, 69])
        doors.push({ interface: name, address, port, ...openDoor({ interface: name, address, port }, options) });
    // The wildcard of their interface hears broadcasts; nothing is broadcast to these.
    for (const { name, address } of options.alsoAt ?? [])
      for (const port of options.dhcp === false ? [69] : [67, 4011, 69]) {
        const place = { interface: name, address, port };
        doors.push({ ...place, own: openUdpDescriptor(place, port !== 69) });
      }
  } catch (error) {
    closeDoors(doors);
    throw error;
  }
  return doors;
}

function openDoor(place: UdpPlace, { inherited = [] }: BootServerOptions): Pick<OpenDoor, 'any' | 'own'> {
  const { interface: name, address, port } = place;
  const given = handedOver(inherited, { name, address }, port);
  if (given === undefined) return port === 69 ? { own: openUdpDescriptor(place) } : openUdpPair(place);
  const { any, own } = given;
  for (const fd of own === undefined ? [any] : [any, own]) prepareInherited(fd);
  // Of one socket the kernel chooses the source address: the interface's first, which is ours unless the operator has said another.
  if (own === undefined) return { own: any };
  if (port !== 69) return { any, own };
  closeDescriptor(any); // nobody broadcasts to TFTP
  return { own };
}

function closeDoors(doors: readonly OpenDoor[]): void {
  for (const fd of doors.flatMap(descriptorsOf)) closeDescriptor(fd);
}

/** What to say when the kernel granted less room for packets that wait than was wanted; undefined when it granted all. Sizes in bytes. */
export function shortBuffer(granted: readonly number[], wanted = receiveBufferBytes): string | undefined {
  const least = Math.min(...granted);
  if (granted.length === 0 || least >= wanted) return undefined;
  const mib = (bytes: number) => `${Number((bytes / 1048576).toFixed(2))} MiB`;
  return `the kernel keeps ${mib(least)} of waiting DHCP packets, not the ${mib(wanted)} asked for: when very many machines ask at once some may have to ask twice; to change that: sysctl -w net.core.rmem_max=${wanted}`;
}

/**
 * Opens UDP 67, 4011 and 69 on each interface and answers from then on.
 * @throws PortTaken, NoSuchInterface, NotRoot: then nothing is left open
 */
export async function startBootServer(options: BootServerOptions): Promise<BootServer> {
  const doors = openDoors(options);
  const dhcpDescriptors = doors.filter(({ port }) => port !== 69).flatMap(descriptorsOf);
  const short = shortBuffer(dhcpDescriptors.map(grantedReceiveBuffer));
  if (short !== undefined) options.onNotice?.(short);
  const mtus = Object.fromEntries(options.interfaces.map((link) => [link.name, link.mtu]));
  let { scene } = options;
  let seenDropped = 0;
  let closing = false;
  let failed = false;
  const users = new AddressUsers();
  const onFailure = (error: Error): void => {
    if (failed || closing) return;
    failed = true;
    options.onFailure(error);
  };
  const start = (
    data: Pick<BootThreadData, 'scene' | 'loaderFiles' | 'doors'>,
    tell: (seen: readonly Seen[]) => void,
  ) =>
    startBootThread({
      data: { ...data, mtus },
      file: options.threadFile,
      onFailure,
      onSeen({ seen, uses, dropped }) {
        seenDropped += dropped;
        for (const use of uses) users.saw(use.interface, use.address, use.mac);
        tell(seen);
      },
    });

  const dhcpDoors = doors.filter(({ port }) => port !== 69);
  const dhcp =
    dhcpDoors.length === 0
      ? undefined
      : start({ scene, loaderFiles: new Map(), doors: dhcpDoors }, (seen) => {
          for (const one of seen) options.onSeen(one);
        });

  const tftpSeen = new TftpSeen({
    macOfAddress: (name, address) => users.of(name, address),
    machineOfMac: (mac) => scene.machineOfMac[mac],
    hearDhcp: async () => dhcp?.ask({ kind: 'tell' }),
    onSeen: options.onSeen,
    onDropped: (count) => {
      seenDropped += count;
    },
  });
  const { loaderFiles } = options;
  const tftp = start({ scene: nobody, loaderFiles, doors: doors.filter(({ port }) => port === 69) }, (seen) =>
    tftpSeen.tell(seen),
  );
  const threads = dhcp === undefined ? [tftp] : [dhcp, tftp];

  try {
    await Promise.all(threads.map(({ ready }) => ready));
  } catch (error) {
    closing = true;
    await Promise.all(threads.map((thread) => thread.end()));
    throw error;
  }

  return {
    async setScene(next, files) {
      scene = next;
      await Promise.all([
        dhcp?.ask({ kind: 'scene', scene }),
        files && tftp.ask({ kind: 'scene', scene: nobody, loaderFiles: files }),
      ]);
    },
    async counters() {
      const [first, last] = await Promise.all([dhcp ?? tftp, tftp].map((thread) => thread.ask({ kind: 'counters' })));
      if (first?.kind !== 'counters' || last?.kind !== 'counters')
        throw new Error('boot thread: another answer than counters');
      return { dhcp: first.dhcp, tftp: last.tftp, seenDropped };
    },
    async close() {
      if (closing) return;
      closing = true;
      try {
        await tftp.ask({ kind: 'close' });
        await tftpSeen.told();
        await dhcp?.ask({ kind: 'close' });
      } catch {
        // They end below in any case.
      }
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}
