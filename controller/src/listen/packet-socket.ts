// A packet socket (packet(7)): what DHCP servers say to others comes to no UDP socket of ours, and firmware's questions have no address to come
// from. Node has no such socket, so the C library is called. It is asked, it never waits.
import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import { NoSuchInterface, NotRoot } from './errors.ts';

export interface PacketSocket {
  /** Frames that have come since the last call, at most `most`. */
  receive(most: number): Uint8Array[];
  /** An IPv4 packet as an Ethernet broadcast. @throws Error when the network refuses it */
  broadcast(packet: Uint8Array): void;
  close(): void;
}

// Linux, asm-generic: the same numbers on x86-64 and arm64.
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const ETH_P_IP = 0x0800;
const { EPERM, EACCES, EAFNOSUPPORT, EAGAIN } = koffi.os.errno as Record<string, number>;
const frameMax = 2048;

/** Whole UDP datagrams to port 68, in the kernel's filter machine (socket(7), SO_ATTACH_FILTER): code, jump if true, jump if false, operand. */
const toDhcpClients: readonly (readonly [number, number, number, number])[] = [
  [0x28, 0, 0, 12], // type of the frame
  [0x15, 0, 8, ETH_P_IP],
  [0x30, 0, 0, 23], // protocol
  [0x15, 0, 6, 17],
  [0x28, 0, 0, 20], // offset of the fragment
  [0x45, 4, 0, 0x1fff],
  [0xb1, 0, 0, 14], // length of the IPv4 header
  [0x48, 0, 0, 16], // destination port behind it
  [0x15, 0, 1, 68],
  [0x06, 0, 0, frameMax],
  [0x06, 0, 0, 0],
];

function loadLibc() {
  const libc = koffi.load(null);
  koffi.struct('sock_fprog', { len: 'uint16_t', filter: 'void *' });
  return {
    socket: libc.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => number,
    attach: libc.func('int setsockopt(int, int, int, const sock_fprog *, uint32_t)') as (
      fd: number,
      level: number,
      name: number,
      program: { len: number; filter: Uint8Array },
      length: number,
    ) => number,
    bind: libc.func('int bind(int, const void *, uint32_t)') as (fd: number, to: Uint8Array, length: number) => number,
    recv: libc.func('long recv(int, _Out_ void *, size_t, int)') as (
      fd: number,
      into: Uint8Array,
      length: number,
      flags: number,
    ) => number,
    sendto: libc.func('long sendto(int, const void *, size_t, int, const void *, uint32_t)') as (
      fd: number,
      bytes: Uint8Array,
      length: number,
      flags: number,
      to: Uint8Array,
      toLength: number,
    ) => number,
    close: libc.func('int close(int)') as (fd: number) => number,
  };
}

let loaded: ReturnType<typeof loadLibc> | undefined;
function libc(): ReturnType<typeof loadLibc> {
  loaded ??= loadLibc();
  return loaded;
}

/** struct sockaddr_ll: family and index in host order (little-endian, as both our platforms are), protocol in network order. */
function linkAddress(index: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_IP);
  view.setInt32(4, index, true);
  return bytes;
}

/**
 * Hears what is said to DHCP clients on an interface, to whomever the wire brings it.
 * @throws NotRoot without CAP_NET_RAW, NoSuchInterface
 */
export function openPacketSocket(name: string): PacketSocket {
  const index = interfaceFact(name, 'ifindex');
  const mac = interfaceFact(name, 'address')
    .split(':')
    .map((octet) => Number.parseInt(octet, 16));
  const c = libc();
  // With protocol 0 it hears nothing yet: neither other interfaces nor what the filter is there for.
  const fd = c.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw explain(`open packet socket on ${name}`, koffi.errno());
  const program = new Uint8Array(toDhcpClients.length * 8);
  const view = new DataView(program.buffer);
  toDhcpClients.forEach(([code, yes, no, operand], at) => {
    view.setUint16(at * 8, code, true);
    view.setUint8(at * 8 + 2, yes);
    view.setUint8(at * 8 + 3, no);
    view.setUint32(at * 8 + 4, operand, true);
  });
  const steps: readonly (readonly [string, () => number])[] = [
    [
      'filter packets of',
      () => c.attach(fd, SOL_SOCKET, SO_ATTACH_FILTER, { len: toDhcpClients.length, filter: program }, 16),
    ],
    ['bind packet socket to', () => c.bind(fd, linkAddress(Number(index)), 20)],
  ];
  for (const [verb, step] of steps) {
    if (step() === 0) continue;
    const errno = koffi.errno();
    c.close(fd);
    throw explain(`${verb} ${name}`, errno);
  }
  const buffer = new Uint8Array(frameMax);
  return {
    receive(most) {
      const frames: Uint8Array[] = [];
      while (frames.length < most) {
        const length = Number(c.recv(fd, buffer, buffer.length, 0));
        // Nothing waits, or the interface went down: both end by themselves.
        if (length <= 0) break;
        frames.push(buffer.slice(0, length));
      }
      return frames;
    },
    broadcast(packet) {
      const frame = new Uint8Array(14 + packet.length).fill(0xff, 0, 6);
      frame.set(mac, 6);
      frame.set([ETH_P_IP >> 8, ETH_P_IP & 0xff], 12);
      frame.set(packet, 14);
      if (c.sendto(fd, frame, frame.length, 0, linkAddress(Number(index)), 20) < 0) {
        const errno = koffi.errno();
        if (errno !== EAGAIN) throw explain(`send on ${name}`, errno);
      }
    },
    close: () => void c.close(fd),
  };
}

function interfaceFact(name: string, fact: 'ifindex' | 'address'): string {
  try {
    return readFileSync(`/sys/class/net/${name}/${fact}`, 'utf8').trim();
  } catch {
    throw new NoSuchInterface(name, `there is no interface ${name}`);
  }
}

function explain(action: string, errno: number): Error {
  // EAFNOSUPPORT: the service's own restrictions (RestrictAddressFamilies).
  if (errno === EPERM || errno === EACCES || errno === EAFNOSUPPORT) return new NotRoot(action);
  return new Error(`${action}: errno ${errno}`);
}
