// Sends magic packets. A sleeping card hears only what is broadcast on its own segment, so each interface gets its own, from a socket that
// can send nowhere else. To a segment behind a router goes a directed broadcast, which that router must be told to let through (RFC 2644).
import dgram from 'node:dgram';
import { sleep as realSleep } from '../clock.ts';
import type { Mac } from '../machine/mac.ts';
import { macToBytes } from '../machine/mac.ts';
import { encodeMagicPacket } from '../wire/wol/magic.ts';
import { NotRoot } from './errors.ts';
import { broadcastAddress } from './interfaces.ts';
import { adoptUdp, openUdpDescriptor } from './udp.ts';

export interface WakeFrom {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

/** A network behind a router; the route decides by which interface it is reached. */
export interface WakeBeyond {
  /** `10.78.0.255` */
  readonly broadcast: string;
  /** Our address as it is reached from there, when it is one of this computer. Absent: the route decides. */
  readonly from?: string;
}

export interface WakeOptions {
  readonly beyond?: readonly WakeBeyond[];
  /** SecureOn password, 4 or 6 bytes. */
  readonly secureOn?: Uint8Array;
  /** 9 is discard, 7 echo: the two that cards, switches and virtual ones are said to look at. */
  readonly ports?: readonly number[];
  readonly repeats?: number;
  readonly spacingMs?: number;
  /** Addresses that get a copy of their own, for instance the last known one of the machine. */
  readonly unicast?: readonly string[];
  readonly sleep?: (ms: number) => Promise<unknown>;
  readonly signal?: AbortSignal;
}

export interface WakeReport {
  /** Datagrams that the kernel took. */
  readonly sent: number;
  /** One sentence for each destination that failed. */
  readonly failures: readonly string[];
}

/** @throws Error that says what the kernel refused */
export async function openSender(from: WakeFrom): Promise<dgram.Socket> {
  try {
    return await adoptUdp(openUdpDescriptor({ interface: from.name, address: from.address, port: 0 }));
  } catch (error) {
    if (!(error instanceof NotRoot)) throw error;
    // Without the right to bind to a device, an address of the interface does nearly the same.
    return await openRouted(from.address);
  }
}

/** One that the routing table leads. */
async function openRouted(address: string | undefined): Promise<dgram.Socket> {
  const socket = dgram.createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, address, () => {
      socket.off('error', reject);
      socket.setBroadcast(true);
      resolve();
    });
  });
  return socket;
}

/**
 * Wakes a machine from every given interface: subnet broadcast and 255.255.255.255, three times 150 ms apart unless told otherwise; and in each
 * network beyond. One interface that fails stops no other; all failures are in the report.
 */
export async function wake(mac: Mac, interfaces: readonly WakeFrom[], options: WakeOptions = {}): Promise<WakeReport> {
  const { ports = [9, 7], repeats = 3, spacingMs = 150, unicast = [], sleep = realSleep } = options;
  const packet = encodeMagicPacket(macToBytes(mac), options.secureOn);
  const failures = new Set<string>();
  let sent = 0;

  const send = async (
    where: string,
    open: () => Promise<dgram.Socket>,
    targets: ReadonlySet<string>,
  ): Promise<void> => {
    let socket: dgram.Socket;
    try {
      socket = await open();
    } catch (error) {
      failures.add(`wake ${mac} ${where}: ${(error as Error).message}`);
      return;
    }
    const fail = (to: string, error: Error): void => {
      failures.add(`wake ${mac} ${where}: send to ${to}: ${error.message}`);
    };
    socket.on('error', (error) => fail('anybody', error));
    try {
      for (let round = 0; round < repeats && !options.signal?.aborted; round++) {
        if (round > 0) await sleep(spacingMs);
        for (const to of targets) {
          for (const port of ports) {
            await new Promise<void>((resolve) => {
              socket.send(packet, port, to, (error) => {
                if (error) fail(to, error);
                else sent++;
                resolve();
              });
            });
          }
        }
      }
    } finally {
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    }
  };
  const near = interfaces.map((from) => {
    const targets = new Set([broadcastAddress(from.address, from.prefixLength), '255.255.255.255', ...unicast]);
    return send(`from ${from.name}`, () => openSender(from), targets);
  });
  const far = (options.beyond ?? []).map(({ broadcast, from }) =>
    send('beyond a router', () => openRouted(from), new Set([broadcast])),
  );
  await Promise.all([...near, ...far]);
  return { sent, failures: [...failures] };
}
