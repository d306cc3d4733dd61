// What was on the wire, seen by tcpdump on the bridge, and a reader of its own: a check of Nixie's packets must not use Nixie's decoder.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, start } from './child.ts';
import type { Network } from './net.ts';
import { patienceMs } from './patience.ts';

export interface Capture {
  readonly file: string;
  /** Ends it; the file is complete afterwards. */
  stop(): Promise<void>;
}

/** Bulk transfers stay out: only what tells the story of a boot. */
const interesting =
  'arp or icmp or icmp6 or udp port 67 or udp port 68 or udp port 4011 or udp port 69 or udp port 7 or udp port 9 ' +
  'or (tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0)';

export async function startCapture(net: Network, file: string, options: { deadlineMs: number }): Promise<Capture> {
  let child: Child | undefined;
  let words = '';
  const ready = new Promise<void>((resolve, reject) => {
    // On the bridge promiscuous mode shows frames that go from port to port, too.
    const argv = [
      'tcpdump',
      '-i',
      'br0',
      '-n',
      '-U',
      '--immediate-mode',
      '-s',
      '0',
      '-Z',
      'root',
      '-w',
      file,
      interesting,
    ];
    child = start(net.inside(net.lan, argv), {
      deadlineMs: options.deadlineMs,
      onLine: (line) => {
        words = `${words}${line} | `.slice(-1000);
        if (line.includes('listening on')) resolve();
      },
    });
    child.exited.then(() => reject(new Error(`tcpdump ended: ${words}`)), reject);
  });
  ready.catch(() => {});
  await Promise.race([
    ready,
    sleep(patienceMs, undefined, { ref: false }).then(() => {
      throw new Error(`tcpdump did not start: ${words}`);
    }),
  ]);
  return {
    file,
    async stop() {
      await child?.stop(3000);
    },
  };
}

export const dhcpTypes = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE', 'INFORM'] as const;

export interface DhcpPacket {
  /** Seconds, as in the capture. */
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly type: (typeof dhcpTypes)[number] | '?';
  /** chaddr */
  readonly mac: string;
  readonly yiaddr: string;
  readonly siaddr: string;
  readonly file: string;
  /** Option 54. */
  readonly serverId?: string;
  /** Option 60. */
  readonly vendorClass?: string;
  /** Option 77 or 175 is there. */
  readonly ipxe: boolean;
}

const dotted = (data: Buffer, at: number): string => Array.from(data.subarray(at, at + 4)).join('.');

function readDhcp(at: number, ip: Buffer): DhcpPacket | undefined {
  const udp = ip.subarray((ip[0]! & 15) * 4);
  if (udp.length < 8 + 240) return undefined;
  const bootp = udp.subarray(8);
  if (bootp.readUInt32BE(236) !== 0x63825363) return undefined;
  const options = new Map<number, Buffer>();
  for (let i = 240; i < bootp.length && bootp[i] !== 255; ) {
    if (bootp[i] === 0) {
      i += 1;
      continue;
    }
    const length = bootp[i + 1] ?? 0;
    options.set(bootp[i]!, bootp.subarray(i + 2, i + 2 + length));
    i += 2 + length;
  }
  const server = options.get(54);
  const file = bootp.subarray(108, 236);
  return {
    at,
    from: dotted(ip, 12),
    to: dotted(ip, 16),
    fromPort: udp.readUInt16BE(0),
    toPort: udp.readUInt16BE(2),
    type: dhcpTypes[options.get(53)?.[0] ?? 0] || '?',
    mac: bootp
      .subarray(28, 34)
      .toString('hex')
      .replace(/(..)(?!$)/g, '$1:'),
    yiaddr: dotted(bootp, 16),
    siaddr: dotted(bootp, 20),
    file: file.subarray(0, Math.max(0, file.indexOf(0))).toString('latin1'),
    ...(server?.length === 4 ? { serverId: dotted(server, 0) } : {}),
    ...(options.has(60) ? { vendorClass: options.get(60)!.toString('latin1') } : {}),
    ipxe: options.has(77) || options.has(175),
  };
}

/** The DHCP packets (ports 67, 68, 4011) of a pcap file with Ethernet frames, in order. */
export function readDhcpCapture(file: string): DhcpPacket[] {
  const pcap = readFileSync(file);
  if (pcap.length < 24 || pcap.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error(`${file}: no little-endian pcap file`);
  const packets: DhcpPacket[] = [];
  for (let at = 24; at + 16 <= pcap.length; ) {
    const seconds = pcap.readUInt32LE(at) + pcap.readUInt32LE(at + 4) / 1e6;
    const length = pcap.readUInt32LE(at + 8);
    const frame = pcap.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    if (frame.length < 42 || frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 17) continue;
    const ip = frame.subarray(14);
    const udp = ip.subarray((ip[0]! & 15) * 4);
    if (udp.length < 4) continue;
    const ports = [udp.readUInt16BE(0), udp.readUInt16BE(2)];
    if (!ports.some((port) => port === 67 || port === 68 || port === 4011)) continue;
    const packet = readDhcp(seconds, ip);
    if (packet !== undefined) packets.push(packet);
  }
  return packets;
}

/** One line per packet, for people. */
export function printDhcp(packets: readonly DhcpPacket[]): string {
  const first = packets[0]?.at ?? 0;
  return packets
    .map((p) => {
      const extra = [
        p.file && `file=${p.file}`,
        p.serverId && `server=${p.serverId}`,
        p.vendorClass && `class=${p.vendorClass}`,
      ];
      const words = [p.type, p.mac, `yiaddr=${p.yiaddr}`, ...extra, p.ipxe ? 'iPXE' : ''].filter((word) => word);
      return `  ${(p.at - first).toFixed(2).padStart(7)} ${p.from}:${p.fromPort} > ${p.to}:${p.toPort} ${words.join(' ')}`;
    })
    .join('\n');
}
