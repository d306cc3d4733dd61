// Machines that ask DHCP, as many at once as the window says, each after the other, from one socket on port 68. `proxy`: DISCOVER of a PXE firmware
// until its OFFER. `lease`: DISCOVER, OFFER, REQUEST, ACK. Prints one line. Argument: JSON of DhcpLoad, `@FILE` to read it.
import { readFileSync } from 'node:fs';
import { Poll, receive, send, socketAddress, udpSocket } from './sockets.ts';

export interface DhcpLoad {
  readonly kind: 'proxy' | 'lease';
  readonly macs: readonly string[];
  readonly transactions: number;
  readonly window: number;
  /** A machine that hears nothing asks again. */
  readonly timeoutMs: number;
  /** So many transactions a second at most, so that a quiet server is seen as machines see it. */
  readonly perSecond?: number;
}

export interface DhcpResult {
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly repeated: number;
  /** By MAC, of leases. */
  readonly addresses: Readonly<Record<string, string>>;
}

const given = process.argv[2]!;
const load = JSON.parse(given.startsWith('@') ? readFileSync(given.slice(1), 'utf8') : given) as DhcpLoad;
const fd = udpSocket({ address: '0.0.0.0', port: 68 }, 'eth0');
const to = socketAddress({ address: '255.255.255.255', port: 67 });
const poll = new Poll();
poll.add(fd);
const into = Buffer.alloc(2048);

const option = (code: number, value: Uint8Array | number[]): number[] => [code, value.length, ...value];
const text = (value: string): number[] => [...Buffer.from(value, 'latin1')];
// What UEFI x64 says of itself.
const common = [
  ...option(55, [1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97]),
  ...option(57, [5, 192]),
  ...option(93, [0, 7]),
  ...option(94, [1, 3, 16]),
  ...option(60, text('PXEClient:Arch:00007:UNDI:003016')),
];
const macBytes = load.macs.map((mac) => Buffer.from(mac.replaceAll(':', ''), 'hex'));

function message(xid: number, mac: Buffer, type: number, more: number[]): Buffer {
  const bytes = Buffer.alloc(548);
  bytes.set([1, 1, 6, 0]);
  bytes.writeUInt32BE(xid, 4);
  bytes.writeUInt16BE(0x8000, 10); // to be answered by broadcast: it has no address
  mac.copy(bytes, 28);
  const uuid = [0, ...Buffer.alloc(10), ...mac];
  bytes.set([0x63, 0x82, 0x53, 0x63, ...option(53, [type]), ...more, ...common, ...option(97, uuid), 255], 236);
  return bytes;
}

/** The option's value in a reply. */
function optionOf(bytes: Buffer, length: number, wanted: number): Buffer | undefined {
  for (let at = 240; at < length && bytes[at] !== 255; at += bytes[at] === 0 ? 1 : 2 + bytes[at + 1]!)
    if (bytes[at] === wanted) return bytes.subarray(at + 2, at + 2 + bytes[at + 1]!);
  return undefined;
}

interface Open {
  readonly machine: number;
  readonly beganMs: number;
  sentMs: number;
  bytes: Buffer;
  requested: boolean;
}
const open = new Map<number, Open>();
const tookMs: number[] = [];
const addresses: Record<string, string> = {};
let begun = 0;
let repeated = 0;
const beganMs = performance.now();
const mayBegin = (nowMs: number): boolean =>
  load.perSecond === undefined || begun < ((nowMs - beganMs) / 1000) * load.perSecond;

function begin(): void {
  const machine = begun++ % macBytes.length;
  const xid = 0x10000000 + begun;
  const nowMs = performance.now();
  const bytes = message(xid, macBytes[machine]!, 1, []);
  open.set(xid, { machine, beganMs: nowMs, sentMs: nowMs, bytes, requested: false });
  send(fd, bytes, to);
}

function answered(length: number): void {
  if (length < 241 || into[0] !== 2) return;
  const xid = into.readUInt32BE(4);
  const one = open.get(xid);
  if (one === undefined) return;
  const type = optionOf(into, length, 53)?.[0];
  const address = [...into.subarray(16, 20)].join('.');
  if (load.kind === 'lease' && type === 2) {
    if (one.requested) return;
    one.requested = true;
    const server = optionOf(into, length, 54) ?? Buffer.alloc(4);
    one.bytes = message(xid, macBytes[one.machine]!, 3, [...option(50, into.subarray(16, 20)), ...option(54, server)]);
    one.sentMs = performance.now();
    send(fd, one.bytes, to);
    return;
  }
  if (type !== (load.kind === 'lease' ? 5 : 2)) throw new Error(`message type ${type} to machine ${one.machine}`);
  if (load.kind === 'lease') addresses[load.macs[one.machine]!] = address;
  open.delete(xid);
  tookMs.push(performance.now() - one.beganMs);
}

let lookedMs = beganMs;
while (begun < load.transactions || open.size > 0) {
  while (open.size < load.window && begun < load.transactions && mayBegin(performance.now())) begin();
  poll.wait(open.size > 0 ? 20 : 1, () => {
    for (let most = 64; most > 0; most--) {
      const length = receive(fd, into);
      if (length < 0) break;
      answered(length);
    }
  });
  const nowMs = performance.now();
  if (nowMs - beganMs > 300_000) throw new Error(`not done after 300 s: ${open.size} unanswered`);
  if (nowMs - lookedMs < 20) continue;
  lookedMs = nowMs;
  for (const one of open.values()) {
    if (nowMs - one.sentMs < load.timeoutMs) continue;
    repeated += 1;
    one.sentMs = nowMs;
    send(fd, one.bytes, to);
  }
}
const seconds = (performance.now() - beganMs) / 1000;
tookMs.sort((a, b) => a - b);
const at = (share: number): number => tookMs[Math.min(tookMs.length - 1, Math.floor(share * tookMs.length))]!;
const result = { seconds, p50Ms: at(0.5), p99Ms: at(0.99), repeated, addresses } satisfies DhcpResult;
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
