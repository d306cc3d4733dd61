// The TFTP door (UDP 69) of one interface and the sockets of its transfers. What may be read is a fixed table of names in memory; text of a
// request never reaches a file system.
import type dgram from 'node:dgram';
import { decodeTftp, encodeTftp, type TftpOption, tftpError } from '../wire/tftp/packet.ts';
import {
  type DataPackets,
  packFile,
  ReadTransfer,
  type TransferStep,
  type TransferTiming,
} from '../wire/tftp/transfer.ts';
import { BlockSizes } from './block-sizes.ts';
import type { Seen } from './seen.ts';

export interface TftpCounters {
  readonly started: number;
  readonly sent: number;
  readonly probed: number;
  readonly stopped: number;
  readonly refused: number;
  /** Requests that repeat one which is being served. */
  readonly repeated: number;
  readonly malformed: number;
  readonly active: number;
}

/** The socket of one transfer. */
export interface TransferSocket {
  readonly socket: dgram.Socket;
  /** Sends once it is connected; false: nobody is there. Absent: as the socket does. */
  readonly send?: (bytes: Uint8Array) => boolean;
}

export interface TftpParts {
  /** Bound to port 69; belongs to the door from now on. */
  readonly listener: dgram.Socket;
  readonly interface: string;
  /** bytes */
  readonly mtu: number;
  /** By name; may come to hold others later. */
  readonly files: { get(name: string): Uint8Array | undefined };
  /** A new socket on any port of the same address of the same interface. */
  readonly openSocket: () => Promise<TransferSocket>;
  readonly nowMs: () => number;
  readonly onSeen: (seen: Seen) => void;
  readonly maxTransfers?: number;
  readonly timing?: TransferTiming;
}

export interface TftpDoor {
  counters(): TftpCounters;
  close(): Promise<void>;
}

/** Blocks in flight: 64 of 1468 bytes are 94 kB, less than a socket's usual send buffer. */
const maxWindowSize = 64;
const packedBytesKept = 64 << 20;
/** Firmware has one transfer at a time, and a few that it has left. Who has no more keeps them when there is no room for others. */
const fairTransfers = 8;
/** Sent five times, a block is worth telling: after seven seconds, or one where the round trip is known, of thirty until the transfer is given up. */
const resentWorthTelling = 4;

/** `\` is `/` and the leading `/` may be missing: firmware writes names as it likes. */
export function tableName(asked: string): string {
  return asked.replaceAll('\\', '/').replace(/^\/+/, '');
}

/** Keeps files laid out as packets, for the many machines that ask for the same file with the same block size. */
export class PackedFiles {
  readonly #kept = new Map<
    string,
    { readonly file: Uint8Array; readonly bytes: number; readonly packets: DataPackets }
  >();
  #total = 0;

  get(name: string, file: Uint8Array, blockSize: number): DataPackets {
    const key = `${blockSize} ${name}`;
    const found = this.#kept.get(key);
    if (found?.file === file) return found.packets;
    // Another file has got the name since.
    if (found && this.#kept.delete(key)) this.#total -= found.bytes;
    const entry = {
      file,
      bytes: file.length + Math.ceil(file.length / blockSize) * 4,
      packets: packFile(file, blockSize),
    };
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#total + entry.bytes <= packedBytesKept) break;
      this.#kept.delete(oldest);
      this.#total -= bytes;
    }
    this.#kept.set(key, entry);
    this.#total += entry.bytes;
    return entry.packets;
  }
}

export function serveTftp(parts: TftpParts): TftpDoor {
  const { maxTransfers = 1000, nowMs } = parts;
  const count = { started: 0, sent: 0, probed: 0, stopped: 0, refused: 0, repeated: 0, malformed: 0 };
  /** By the client's address and port. */
  const sessions = new Map<string, { readonly address: string; stop(why: 'closed' | 'gave-way'): void }>();
  /** How many each address has. */
  const held = new Map<string, number>();
  const packed = new PackedFiles();
  const blockSizes = new BlockSizes();
  let closed = false;

  const refuse = (to: dgram.RemoteInfo, code: number, message: string, why: string, name: string): void => {
    count.refused++;
    parts.onSeen({
      kind: 'tftp-refused',
      interface: parts.interface,
      address: to.address,
      why,
      detail: name.slice(0, 100),
    });
    parts.listener.send(encodeTftp({ op: 'error', code, message }), to.port, to.address, () => {}); // lost or not, the client asks again
  };

  const forget = (key: string, address: string): void => {
    sessions.delete(key);
    const left = (held.get(address) ?? 1) - 1;
    if (left > 0) held.set(address, left);
    else held.delete(address);
  };

  /** For an address that has few transfers the oldest of the one that has most is given up: nobody is to keep out all others. */
  const makeRoom = (address: string): boolean => {
    if ((held.get(address) ?? 0) >= fairTransfers) return false;
    const [most, number] = [...held].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (number <= fairTransfers) return false;
    for (const session of sessions.values()) {
      if (session.address !== most) continue;
      session.stop('gave-way');
      break;
    }
    return sessions.size < maxTransfers;
  };

  const begin = async (client: dgram.RemoteInfo, name: string, file: Uint8Array, options: readonly TftpOption[]) => {
    const key = `${client.address}:${client.port}`;
    let stopped: 'closed' | 'gave-way' | undefined;
    const session = {
      address: client.address,
      stop: (why: 'closed' | 'gave-way') => {
        stopped = why;
      },
    };
    sessions.set(key, session);
    held.set(client.address, (held.get(client.address) ?? 0) + 1);
    count.started++;
    const seen = { interface: parts.interface, address: client.address };
    parts.onSeen({ kind: 'tftp-started', ...seen, detail: name });

    const startedMs = nowMs();
    let opened: TransferSocket;
    try {
      opened = await parts.openSocket();
    } catch (error) {
      forget(key, client.address);
      count.stopped++;
      parts.onSeen({ kind: 'tftp-stopped', ...seen, why: 'no-socket', detail: `${name}: ${(error as Error).message}` });
      return;
    }
    const { socket } = opened;
    const bySocket = (bytes: Uint8Array): boolean => {
      socket.send(bytes, () => {}); // a datagram that is lost here is lost like any other
      return true;
    };
    const { send = bySocket } = opened;
    let timer: NodeJS.Timeout | undefined;
    const transfer = new ReadTransfer(
      { options, fileSize: file.length },
      (blockSize) => packed.get(name, file, blockSize),
      { maxBlockSize: Math.min(parts.mtu - 32, blockSizes.most(client.address, startedMs) ?? Infinity), maxWindowSize },
      parts.timing,
    );
    const reached = () => ({
      done: transfer.acknowledged,
      total: transfer.blocks,
      blockSize: transfer.terms.blockSize,
      // Of a file that has arrived what was lost on the way; else how often the block was repeated that is waited for.
      again: transfer.acknowledged === transfer.blocks ? transfer.resent : transfer.stuck,
    });

    const finish = (kind: 'tftp-sent' | 'tftp-probed' | 'tftp-stopped', why: string, detail?: string): void => {
      if (sessions.get(key) !== session) return;
      forget(key, client.address);
      clearTimeout(timer);
      socket.close();
      if (kind === 'tftp-sent') count.sent++;
      else if (kind === 'tftp-probed') count.probed++;
      else count.stopped++;
      const text =
        kind === 'tftp-sent'
          ? `${name}: ${file.length} bytes in ${Math.round(nowMs() - startedMs)} ms, ${transfer.resent} blocks again`
          : [name, detail].filter(Boolean).join(': ');
      parts.onSeen({ kind, ...seen, why, detail: text, ...reached() });
    };
    let told = false;
    const onTimer = (): void => {
      const step = transfer.timeout(nowMs());
      const worthTelling = !step.end && !told && transfer.stuck >= resentWorthTelling;
      told ||= worthTelling;
      // The options came through and no block does. Whoever asks again meanwhile gets smaller ones.
      if (worthTelling && transfer.acknowledged === 0)
        blockSizes.failed(client.address, transfer.terms.blockSize, nowMs());
      if (worthTelling) parts.onSeen({ kind: 'tftp-resending', ...seen, detail: name, ...reached() });
      act(step);
    };
    session.stop = (why) => finish('tftp-stopped', why);
    const act = (step: TransferStep): void => {
      if (!step.send.every(send)) unreachable('nobody listens there any more');
      else if (step.end === 'sent') finish('tftp-sent', step.end);
      else if (step.end === 'size-probe') finish('tftp-probed', step.end, step.detail);
      else if (step.end) finish('tftp-stopped', step.end, step.detail);
      else if (step.wakeAtMs !== undefined) {
        clearTimeout(timer);
        timer = setTimeout(onTimer, Math.max(1, step.wakeAtMs - nowMs()));
      }
    };

    // Port unreachable: the client is gone. If only its last ACK is missing, it has its file.
    const unreachable = (message: string): void => {
      if (transfer.allSent) finish('tftp-sent', 'sent');
      else finish('tftp-stopped', 'unreachable', message);
    };
    socket.on('error', (error) => unreachable(error.message));
    socket.on('message', (bytes) => act(transfer.receive(bytes, nowMs())));
    if (stopped !== undefined || closed) {
      finish('tftp-stopped', stopped ?? 'closed');
      return;
    }
    // Connected, the kernel drops what comes from anywhere else (RFC 1350 section 4 asks to check the source).
    socket.connect(client.port, client.address, (error?: Error) => {
      if (error !== undefined) unreachable(error.message);
      else if (sessions.get(key) === session) act(transfer.start(nowMs()));
    });
  };

  parts.listener.on('message', (bytes, client) => {
    let request: ReturnType<typeof decodeTftp>;
    // RFC 768: no port to answer to. Neither a send nor a connect takes it.
    if (client.port === 0) {
      count.malformed++;
      return;
    }
    try {
      request = decodeTftp(bytes);
    } catch {
      count.malformed++;
      return;
    }
    if (request.op === 'write') {
      refuse(client, tftpError.accessViolation, 'nothing can be written here', 'write', request.name);
      return;
    }
    if (request.op !== 'read') {
      count.malformed++;
      return;
    }
    if (sessions.has(`${client.address}:${client.port}`)) {
      count.repeated++; // the transfer repeats its first packet by itself
      return;
    }
    const name = tableName(request.name);
    const file = parts.files.get(name);
    if (!file) refuse(client, tftpError.notFound, 'no such file', 'unknown-name', request.name);
    else if (sessions.size >= maxTransfers && !makeRoom(client.address))
      refuse(client, tftpError.notDefined, 'too many transfers', 'busy', name);
    else void begin(client, name, file, request.options);
  });
  parts.listener.on('error', () => {}); // an ICMP error for a refusal that nobody waited for

  return {
    counters: () => ({ ...count, active: sessions.size }),
    async close() {
      closed = true;
      for (const session of [...sessions.values()]) session.stop('closed');
      await new Promise<void>((resolve) => parts.listener.close(() => resolve()));
    },
  };
}
