// DHCP and TFTP, seen from the rest of the program. They run in a thread of their own with a copy of the scene and of the loaders, so that
// neither a storm of TLS handshakes nor a long garbage collection here delays an answer that firmware waits a second for.
import { Worker } from 'node:worker_threads';
import type { Scene } from '../answer/scene.ts';
import { type BootThreadData, descriptorsOf, type FromThread, type OpenDoor, type ToThread } from './boot-messages.ts';
import type { DhcpCounters } from './dhcp.ts';
import { handedOver, type InheritedUdp } from './inherited.ts';
import type { LinkInterface } from './interfaces.ts';
import type { Seen } from './seen.ts';
import type { TftpCounters } from './tftp.ts';
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
  /** The thread ended by itself; nothing is answered any more. */
  readonly onFailure: (error: Error) => void;
  /** Told once, in words for the operator, of what will work less well here than it could. */
  readonly onNotice?: (text: string) => void;
  /** DHCP (67) and PXE (4011) are left out when `dhcp` is false; TFTP stays. */
  readonly dhcp?: boolean;
  /** Sockets that another opened for us; what is not among them is opened here. */
  readonly inherited?: readonly InheritedUdp[];
  /** File of the thread; a bundle has it elsewhere. */
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
   * Resolves when the thread answers by the new scene: no packet is answered by the old one afterwards.
   * @param loaderFiles absent: as before. Transfers that have begun go on with what they began with
   */
  setScene(scene: Scene, loaderFiles?: ReadonlyMap<string, Uint8Array>): Promise<void>;
  counters(): Promise<BootCounters>;
  close(): Promise<void>;
}

const answerWithinMs = 10_000;

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
  const data: BootThreadData = {
    scene: options.scene,
    loaderFiles: options.loaderFiles,
    mtus: Object.fromEntries(options.interfaces.map((link) => [link.name, link.mtu])),
    doors,
  };
  const worker = new Worker(options.threadFile ?? new URL('./boot-worker.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });

  let seenDropped = 0;
  let closing = false;
  let nextId = 1;
  let failure: Error | undefined;
  const waiting = new Map<number, { resolve: (value: FromThread) => void; reject: (error: Error) => void }>();

  /** Sends a message and waits for the answer to it. Id 0 is the thread's word that it is ready. */
  const ask = (message: ToThread | undefined, id: number): Promise<FromThread> =>
    new Promise((resolve, reject) => {
      if (failure) {
        reject(failure);
        return;
      }
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new Error(`boot thread: no answer within ${answerWithinMs} ms`));
      }, answerWithinMs);
      waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      if (message) worker.postMessage(message);
    });

  let ready = false;
  const fail = (error: Error): void => {
    if (failure) return;
    failure = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    if (ready && !closing) options.onFailure(error);
  };
  worker.on('error', (error) => fail(new Error('boot thread failed', { cause: error })));
  worker.on('exit', (code) => fail(new Error(`boot thread ended with ${code}`)));
  worker.on('message', (message: FromThread) => {
    if (message.kind === 'seen') {
      seenDropped += message.dropped;
      for (const seen of message.seen) options.onSeen(seen);
      return;
    }
    waiting.get(message.id)?.resolve(message);
    waiting.delete(message.id);
  });

  try {
    await ask(undefined, 0);
    ready = true;
  } catch (error) {
    closing = true;
    await worker.terminate();
    throw error;
  }

  return {
    async setScene(scene, loaderFiles) {
      const id = nextId++;
      await ask({ kind: 'scene', id, scene, ...(loaderFiles && { loaderFiles }) }, id);
    },
    async counters() {
      const id = nextId++;
      const answer = await ask({ kind: 'counters', id }, id);
      if (answer.kind !== 'counters') throw new Error('boot thread: another answer than counters');
      return { dhcp: answer.dhcp, tftp: answer.tftp, seenDropped };
    },
    async close() {
      if (closing) return;
      closing = true;
      const id = nextId++;
      try {
        if (!failure) await ask({ kind: 'close', id }, id);
      } catch {
        // It ends below in any case.
      }
      await worker.terminate();
    },
  };
}
