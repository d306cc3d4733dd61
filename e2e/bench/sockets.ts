// Sockets of the load generators, by the C library: a system call for each datagram and nothing more, so that it is the server that a benchmark waits
// for. They block, each in a process of its own.
import { createRequire } from 'node:module';

/** What is used of koffi, which belongs to the controller. */
interface Koffi {
  load(path: null): { func(prototype: string): (...given: never[]) => number };
  errno(): number;
}
const koffi = createRequire(new URL('../../controller/package.json', import.meta.url))('koffi') as Koffi;
const libc = koffi.load(null);

type Fd = number;
const c = {
  socket: libc.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => Fd,
  bind: libc.func('int bind(int, const void *, uint32_t)') as (fd: Fd, to: Uint8Array, length: number) => number,
  connect: libc.func('int connect(int, const void *, uint32_t)') as (fd: Fd, to: Uint8Array, length: number) => number,
  close: libc.func('int close(int)') as (fd: Fd) => number,
  setsockopt: libc.func('int setsockopt(int, int, int, const void *, uint32_t)') as (
    fd: Fd,
    level: number,
    name: number,
    value: Uint8Array,
    length: number,
  ) => number,
  sendto: libc.func('int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)') as (
    fd: Fd,
    bytes: Uint8Array,
    length: number,
    flags: number,
    to: Uint8Array | null,
    toLength: number,
  ) => number,
  recvfrom: libc.func('int64_t recvfrom(int, void *, size_t, int, void *, void *)') as (
    fd: Fd,
    into: Uint8Array | null,
    length: number,
    flags: number,
    from: Uint8Array | null,
    fromLength: Uint8Array | null,
  ) => number,
  epollCreate: libc.func('int epoll_create1(int)') as (flags: number) => Fd,
  epollControl: libc.func('int epoll_ctl(int, int, int, const void *)') as (
    poll: Fd,
    operation: number,
    fd: Fd,
    event: Uint8Array,
  ) => number,
  epollWait: libc.func('int epoll_wait(int, void *, int, int)') as (
    poll: Fd,
    events: Uint8Array,
    most: number,
    timeoutMs: number,
  ) => number,
  ioctl: libc.func('int ioctl(int, unsigned long, void *)') as (fd: Fd, request: number, value: Uint8Array) => number,
  read: libc.func('int64_t read(int, void *, size_t)') as (fd: Fd, into: Uint8Array, length: number) => number,
  write: libc.func('int64_t write(int, const void *, size_t)') as (fd: Fd, bytes: Uint8Array, length: number) => number,
};

// Linux, asm-generic.
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BROADCAST = 6;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EPOLLIN = 1;

function checked(what: string, result: number): number {
  if (result < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
  return result;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** struct sockaddr_in. */
export function socketAddress({ address, port }: Endpoint): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
}

const option = (fd: Fd, name: number, value: number): void => {
  const bytes = Uint8Array.of(value, value >> 8, value >> 16, value >> 24);
  checked(`setsockopt ${name}`, c.setsockopt(fd, SOL_SOCKET, name, bytes, 4));
};

/** `device`: hears and sends broadcasts there only. */
export function udpSocket(at: Endpoint, device?: string): Fd {
  const fd = checked('socket', c.socket(AF_INET, SOCK_DGRAM, 0));
  option(fd, SO_RCVBUF, 4 << 20);
  if (device !== undefined) {
    const name = new TextEncoder().encode(`${device}\0`);
    checked('bind to device', c.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length));
    option(fd, SO_BROADCAST, 1);
    option(fd, SO_REUSEADDR, 1);
  }
  checked('bind', c.bind(fd, socketAddress(at), 16));
  return fd;
}

export function tcpConnect(to: Endpoint): Fd {
  const fd = checked('socket', c.socket(AF_INET, SOCK_STREAM, 0));
  option(fd, SO_RCVBUF, 4 << 20);
  checked('connect', c.connect(fd, socketAddress(to), 16));
  return fd;
}

/** Only this peer from now on. */
export const setPeer = (fd: Fd, to: Uint8Array): void => void checked('connect', c.connect(fd, to, 16));
export const closeSocket = (fd: Fd): void => void c.close(fd);
/** Lost or not: who waits for an answer asks again. */
export const send = (fd: Fd, bytes: Uint8Array, to: Uint8Array | null = null): void =>
  void c.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, to, to === null ? 0 : 16);

const fromLength = new Uint8Array(4);
/** Bytes of the datagram; below 0: there is none. `from` becomes its sender. */
export function receive(fd: Fd, into: Uint8Array, from: Uint8Array | null = null): number {
  if (from !== null) fromLength[0] = 16;
  return c.recvfrom(fd, into, into.length, MSG_DONTWAIT, from, from === null ? null : fromLength);
}

/** Takes up to so many bytes of a connection and throws them away in the kernel: 0 at its end, below 0 when there are none yet. */
export const discard = (fd: Fd, most: number): number =>
  c.recvfrom(fd, null, most, MSG_TRUNC | MSG_DONTWAIT, null, null);

export class Poll {
  readonly #fd = checked('epoll_create1', c.epollCreate(0));
  // struct epoll_event is packed on x86-64 only.
  readonly #stride = process.arch === 'x64' ? 12 : 16;
  readonly #most = 256;
  readonly #events = new Uint8Array(this.#stride * this.#most);
  readonly #view = new DataView(this.#events.buffer);

  add(fd: Fd): void {
    const event = new Uint8Array(this.#stride);
    const view = new DataView(event.buffer);
    view.setUint32(0, EPOLLIN, true);
    view.setInt32(this.#stride - 8, fd, true);
    checked('epoll_ctl', c.epollControl(this.#fd, 1, fd, event));
  }

  /** Closed descriptors leave by themselves. */
  wait(timeoutMs: number, readable: (fd: Fd) => void): void {
    const ready = c.epollWait(this.#fd, this.#events, this.#most, timeoutMs);
    for (let i = 0; i < ready; i++) readable(this.#view.getInt32(i * this.#stride + this.#stride - 8, true));
  }
}

const TUNSETIFF = 0x400454ca;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;

/** Makes a network device of an opened /dev/net/tun: whole Ethernet frames are read from it and written to it. */
export function makeTap(fd: Fd, name: string): void {
  const request = new Uint8Array(40); // struct ifreq
  request.set(new TextEncoder().encode(name));
  request[16] = IFF_TAP;
  request[17] = IFF_NO_PI >> 8;
  checked('TUNSETIFF', c.ioctl(fd, TUNSETIFF, request));
}
export const readFrame = (fd: Fd, into: Uint8Array): number => c.read(fd, into, into.length);
export const writeFrame = (fd: Fd, bytes: Uint8Array): void => void c.write(fd, bytes, bytes.length);
