// One machine's way from the magic packet to the end, out of four witnesses: the virtual BMC, the capture of the LAN, what the machine
// printed, and Nixie's journal. Only the last one is Nixie's own word.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DhcpPacket, readDhcpCapture } from './capture.ts';
import type { Lab } from './lab.ts';
import { lan } from './net.ts';
import type { Machine } from './qemu.ts';

export interface Moment {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly witness: 'bmc' | 'wire' | 'serial' | 'nixie';
  readonly text: string;
}

/** What a machine prints when it gets somewhere; the first line of each power-on and each start of a kernel counts. */
const landmarks: readonly (readonly [RegExp, string])[] = [
  [/iPXE (initialising|1\.|2\.)/, 'iPXE runs'],
  [/\.ipxe\.\.\. ok/, 'iPXE has its script'],
  [/\/initrd\.\.\..* ok/, 'iPXE has kernel and initrd'],
  [/EFI stub:|Linux version \d/, 'a kernel starts'],
  [/systemd\[1\]: .*(Detected architecture|Hostname set|running in system mode)|Welcome to /, 'systemd runs'],
  [/NIXIE-STAGE (\S+.*)/, ''],
  [/ login: /, 'the login prompt'],
  [/reboot: Restarting system/, 'restarts'],
  [/reboot: Power down/, 'powers itself off'],
];

function fromSerial(machine: Machine): Moment[] {
  const moments: Moment[] = [];
  let last = '';
  for (const line of machine.serial) {
    const hit = landmarks.find(([pattern]) => pattern.test(line.text));
    if (hit === undefined) continue;
    const text = hit[1] === '' ? (hit[0].exec(line.text)?.[1] ?? '') : hit[1];
    if (text !== last) moments.push({ at: line.at, witness: 'serial', text });
    last = text;
  }
  return moments;
}

function describe(packet: DhcpPacket): string | undefined {
  const who = packet.ipxe ? 'iPXE' : (packet.vendorClass?.split(':')[0] ?? 'a system');
  switch (packet.type) {
    case 'DISCOVER':
      return `${who} asks for an address`;
    case 'OFFER':
      if (packet.yiaddr === '0.0.0.0') return `nixie offers a boot server beside the DHCP server`;
      return `${packet.serverId === lan.nixie ? 'nixie' : 'the DHCP server'} offers ${packet.yiaddr}`;
    case 'ACK':
      if (packet.fromPort === 4011) return `nixie names the boot file ${packet.file}`;
      return packet.yiaddr === '0.0.0.0' ? undefined : `has the address ${packet.yiaddr}`;
    default:
      return undefined;
  }
}

function fromWire(packets: readonly DhcpPacket[], mac: string): Moment[] {
  const moments: Moment[] = [];
  let last = '';
  for (const packet of packets) {
    if (packet.mac !== mac) continue;
    const text = describe(packet);
    if (text !== undefined && text !== last) moments.push({ at: packet.at * 1000, witness: 'wire', text });
    last = text ?? last;
  }
  return moments;
}

interface JournalLine {
  readonly at?: string;
  readonly host?: string;
  readonly stage?: string;
  readonly reason?: string;
  readonly address?: string;
}

/** The journal's lines about one host; [] when there is no journal. */
export function readJournal(stateFolder: string, host: string): JournalLine[] {
  const file = join(stateFolder, 'journal.jsonl');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JournalLine)
    .filter((line) => line.host === host);
}

function fromJournal(stateFolder: string, host: string): Moment[] {
  return readJournal(stateFolder, host)
    .filter((line) => line.at !== undefined && line.stage !== undefined)
    .map((line) => ({
      at: Date.parse(line.at!),
      witness: 'nixie',
      text: [line.stage, line.address && `at ${line.address}`, line.reason && `(${line.reason})`]
        .filter(Boolean)
        .join(' '),
    }));
}

/** In order of time. */
export function timeline(lab: Lab, machine: Machine): Moment[] {
  const woken = lab.bmc.packets
    .filter((packet) => packet.mac === machine.spec.mac && packet.woke)
    .map((packet) => ({
      at: packet.at,
      witness: 'bmc' as const,
      text: `magic packet from ${packet.from} to UDP port ${packet.port}: power on`,
    }));
  const wire = fromWire(readDhcpCapture(lab.capture.file), machine.spec.mac);
  const said = fromJournal(lab.stateFolder, machine.spec.name);
  return [...woken, ...wire, ...fromSerial(machine), ...said].sort((a, b) => a.at - b.at);
}

/** Seconds count from the first power-on. */
export function printTimeline(moments: readonly Moment[]): string {
  const zero = moments.find((moment) => moment.witness === 'bmc')?.at ?? moments[0]?.at ?? 0;
  return moments
    .map(({ at, witness, text }) => `  ${((at - zero) / 1000).toFixed(1).padStart(7)} s  ${witness.padEnd(6)}  ${text}`)
    .join('\n');
}
