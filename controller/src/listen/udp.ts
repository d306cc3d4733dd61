// UDP sockets bound to one network interface. Node can't do that itself: a socket of its own either hears the broadcasts of all interfaces
// without saying of which, or hears none. So the C library is called to make and bind the socket, and Node is handed the descriptor.
import dgram from 'node:dgram';
import koffi from 'koffi';
import { readAddress, writeAddress } from '../wire/dhcp4/address.ts';
import { NoSuchInterface, NotRoot, PortTaken } from './errors.ts';
import { portHolder } from './port-holder.ts';

export interface UdpPlace {
  /** Device name; only its packets are heard and everything sent leaves there, broadcasts too, without a route. */
  readonly interface: string;
  /** Our address, or 0.0.0.0 to hear broadcasts as well. */
  readonly address: string;
  /** 0 for any free one. */
  readonly port: number;
}

export interface UdpSender {
  readonly address: string;
  readonly port: number;
}

// Linux, asm-generic: the same numbers on x86-64 and arm64.
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const SO_BROADCAST = 6;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_DOMAIN = 39;
const SO_MEMINFO = 55;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const { EACCES, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, ENODEV, EPERM } = koffi.os.errno as Record<string, number>;

/** A burst of ten thousand DISCOVERs must not push the one we know out of the kernel's queue: each takes about 800 bytes of this. */
export const receiveBufferBytes = 8 << 20;

function loadLibc() {
  const libc = koffi.load(null); // the C library that Node itself runs on
  return {
    socket: libc.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => number,
    setsockopt: libc.func('int setsockopt(int, int, int, const void *, uint32_t)') as (
      fd: number,
      level: number,
      name: number,
      value: Uint8Array,
      length: number,
    ) => number,
    getsockopt: libc.func('int getsockopt(int, int, int, _Out_ void *, _Inout_ uint32_t *)') as (
      fd: number,
      level: number,
      name: number,
      value: Uint8Array,
      length: [number],
    ) => number,
    getsockname: libc.func('int getsockname(int, _Out_ void *, _Inout_ uint32_t *)') as (
      fd: number,
      into: Uint8Array,
      length: [number],
    ) => number,
    bind: libc.func('int bind(int, const void *, uint32_t)') as (fd: number, to: Uint8Array, length: number) => number,
    send: libc.func('int64_t send(int, const void *, size_t, int)') as (
      fd: number,
      bytes: Uint8Array,
      length: number,
      flags: number,
    ) => number,
    sendto: libc.func('int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)') as (
      fd: number,
      bytes: Uint8Array,
      length: number,
      flags: number,
      to: Uint8Array,
      toLength: number,
    ) => number,
    recvfrom: libc.func('int64_t recvfrom(int, void *, size_t, int, void *, void *)') as (
      fd: number,
      into: Uint8Array,
      length: number,
      flags: number,
      from: Uint8Array,
      fromLength: Uint8Array,
    ) => number,
    closeOnExec: libc.func('int fcntl(int, int, int)') as (fd: number, command: number, flags: number) => number,
    close: libc.func('int close(int)') as (fd: number) => number,
  };
}

let loaded: ReturnType<typeof loadLibc> | undefined;
function libc(): ReturnType<typeof loadLibc> {
  loaded ??= loadLibc();
  return loaded;
}

function setOption(fd: number, name: number, value: number): number {
  return libc().setsockopt(fd, SOL_SOCKET, name, Uint8Array.of(value, value >> 8, value >> 16, value >> 24), 4);
}

/** The words of an option's value; none when the kernel doesn't know it. Little-endian, as both our platforms are. */
function optionWords(fd: number, name: number, words: number, layer = SOL_SOCKET): number[] {
  const value = new Uint8Array(words * 4);
  const length: [number] = [value.length];
  if (libc().getsockopt(fd, layer, name, value, length) !== 0) return [];
  const view = new DataView(value.buffer);
  return Array.from({ length: Math.floor(length[0] / 4) }, (_, index) => view.getUint32(index * 4, true));
}

/**
 * Without CAP_NET_ADMIN the kernel refuses to go beyond net.core.rmem_max, and grants that much: less than systemd, which has the right, may have given
 * a socket that it handed over.
 */
function raiseReceiveBuffer(fd: number): void {
  if (grantedReceiveBuffer(fd) >= receiveBufferBytes) return;
  if (setOption(fd, SO_RCVBUFFORCE, receiveBufferBytes) !== 0) setOption(fd, SO_RCVBUF, receiveBufferBytes);
}

/**
 * Lets so many bytes wait in the kernel for a slow or busy receiver, any socket. Only beyond net.core.wmem_max, with CAP_NET_ADMIN: less than the kernel
 * would choose by itself (tcp_wmem) helps nobody, and setting a size ends its choosing.
 */
export function raiseSendBuffer(fd: number, bytes: number): void {
  setOption(fd, SO_SNDBUFFORCE, bytes);
}

/** Bytes that the kernel really granted of `receiveBufferBytes`; it keeps twice as much for its own book-keeping (socket(7)) and tells of both. */
export function grantedReceiveBuffer(fd: number): number {
  return (optionWords(fd, SO_RCVBUF, 1)[0] ?? 0) / 2;
}

/** Datagrams thrown away since the socket was made because its queue was full; undefined where the kernel doesn't tell. */
export function datagramsLost(fd: number): number | undefined {
  return optionWords(fd, SO_MEMINFO, 9)[8]; // SK_MEMINFO_DROPS
}

/** Bytes that the other end of a TCP connection has acknowledged since it began, of all that was sent; undefined where the kernel doesn't tell. */
export function acknowledgedBytes(fd: number): number | undefined {
  const [low, high] = optionWords(fd, TCP_INFO, 32, IPPROTO_TCP).slice(30); // tcpi_bytes_acked, since Linux 4.1
  return low === undefined || high === undefined ? undefined : high * 2 ** 32 + low;
}

/** struct sockaddr_in: family in host order, port and address in network order. */
function socketAddress(address: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  writeAddress(address, bytes, 4);
  return bytes;
}

/** Where a descriptor that somebody else opened is bound, `interface` empty: to no device. Undefined: it is no UDP socket for IPv4. */
export function descriptorPlace(fd: number): UdpPlace | undefined {
  if (optionWords(fd, SO_DOMAIN, 1)[0] !== AF_INET || optionWords(fd, SO_TYPE, 1)[0] !== SOCK_DGRAM) return undefined;
  const name = new Uint8Array(16); // IFNAMSIZ
  const nameLength: [number] = [name.length];
  if (libc().getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, nameLength) !== 0) return undefined;
  const bytes = new Uint8Array(16);
  if (libc().getsockname(fd, bytes, [bytes.length]) !== 0) return undefined;
  const [, , high = 0, low = 0, ...address] = bytes.subarray(0, 8);
  return {
    // a C string, the end of it included
    interface: new TextDecoder().decode(name.subarray(0, Math.max(0, nameLength[0] - 1))),
    address: address.join('.'),
    port: high * 256 + low,
  };
}

/** Makes a socket that somebody else opened fit to be a door: broadcasts are sent, bursts have room, children don't get it. */
export function prepareInherited(fd: number): void {
  setOption(fd, SO_BROADCAST, 1);
  raiseReceiveBuffer(fd);
  libc().closeOnExec(fd, F_SETFD, FD_CLOEXEC);
}

function explain(place: UdpPlace, verb: string, errno: number): Error {
  const at = `${verb} udp ${place.address}:${place.port} on ${place.interface}`;
  if (errno === EADDRINUSE) {
    return new PortTaken(
      { port: place.port, protocol: 'udp', address: `${place.address} (${place.interface})` },
      portHolder(place.port, 'udp'),
    );
  }
  if (errno === ENODEV) return new NoSuchInterface(place.interface, `${at}: there is no such interface`);
  if (errno === EADDRNOTAVAIL) return new NoSuchInterface(place.interface, `${at}: the interface has no such address`);
  if (errno === EPERM || errno === EACCES) return new NotRoot(at);
  return new Error(`${at}: errno ${errno}`);
}

/**
 * Opens and binds; returns the descriptor, which belongs to the caller (`adoptUdp` or `closeDescriptor`).
 * `shared` lets a second of our own sockets stand on the same port.
 * @throws PortTaken, NoSuchInterface, NotRoot
 */
export function openUdpDescriptor(place: UdpPlace, shared = false): number {
  const c = libc();
  const fd = c.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw explain(place, 'make socket for', koffi.errno());
  const device = new TextEncoder().encode(`${place.interface}\0`);
  if (place.port !== 0) raiseReceiveBuffer(fd); // before anything can arrive
  const steps: readonly (readonly [string, () => number])[] = [
    ['bind to device for', () => c.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length)],
    ['allow broadcasts for', () => setOption(fd, SO_BROADCAST, 1)],
    ['share', () => (shared ? setOption(fd, SO_REUSEADDR, 1) : 0)],
    ['bind', () => c.bind(fd, socketAddress(place.address, place.port), 16)],
  ];
  for (const [verb, step] of steps) {
    if (step() === 0) continue;
    const errno = koffi.errno();
    c.close(fd);
    throw explain(place, verb, errno);
  }
  return fd;
}

/**
 * Two descriptors on one port of one interface: `any` hears broadcasts, `own` hears what is sent to our address and is the one to send by,
 * as only a socket bound to an address is certain to have it as the source when the interface has several.
 * The first is bound without SO_REUSEADDR, so that another server that shares its port is not joined unnoticed.
 */
export function openUdpPair(place: UdpPlace): { any: number; own: number } {
  const any = openUdpDescriptor({ ...place, address: '0.0.0.0' });
  try {
    setOption(any, SO_REUSEADDR, 1);
    return { any, own: openUdpDescriptor(place, true) };
  } catch (error) {
    closeDescriptor(any);
    throw error;
  }
}

export function closeDescriptor(fd: number): void {
  libc().close(fd);
}

/**
 * Sends from a connected socket at once, for a third of what a Node socket takes for it. What the kernel has no room for is lost like any other datagram.
 * @returns false: an ICMP message says that nobody is there
 */
export function sendConnected(fd: number, bytes: Uint8Array): boolean {
  const c = libc();
  return c.send(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || koffi.errno() !== ECONNREFUSED;
}

const senderBytes = 16; // struct sockaddr_in
const sender = new Uint8Array(senderBytes);
const senderLength = new Uint8Array(4);

/**
 * Takes a datagram that waits on a socket already, for a third of what a Node socket takes for it: after that has told of one.
 * @param into receives its octets, so many as fit
 * @returns how many they are, and who sent them; undefined: none waits
 */
export function receiveWaiting(fd: number, into: Uint8Array): { length: number; from: UdpSender } | undefined {
  senderLength[0] = senderBytes; // little-endian, as both our platforms are
  const length = libc().recvfrom(fd, into, into.length, MSG_DONTWAIT, sender, senderLength);
  if (length < 0) return undefined;
  return { length, from: { address: readAddress(sender, 4), port: (sender[2]! << 8) | sender[3]! } };
}

/** Sends to a literal address, as `sendConnected` does. @returns why the kernel refused: the name of the error; undefined: it didn't */
export function sendTo(fd: number, bytes: Uint8Array, to: { address: string; port: number }): string | undefined {
  const c = libc();
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (c.sendto(fd, bytes, bytes.length, flags, socketAddress(to.address, to.port), 16) >= 0) return undefined;
  const errno = koffi.errno();
  const name = Object.entries(koffi.os.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;
  return `send ${name} ${to.address}:${to.port}`;
}

/** Makes a Node socket of a descriptor and takes it over. Destinations must be literal addresses: no name is ever looked up. */
export async function adoptUdp(fd: number): Promise<dgram.Socket> {
  const socket = dgram.createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ fd }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  // Node switches address sharing on when it takes a descriptor over; off again, or a second server could take our port.
  setOption(fd, SO_REUSEADDR, 0);
  return socket;
}
