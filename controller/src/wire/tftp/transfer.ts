// One read transfer as a state machine: events and the time in, datagrams and the next time-out out. It has no socket and no clock.
//
// Loss is repaired by time-out only. A duplicate ACK is never answered (RFC 1123 4.2.3.1, the Sorcerer's Apprentice), which also holds for
// windows (RFC 7440). The time-out follows the round trip as in RFC 6298, because a fixed one costs seconds for each lost block.
import { agreeOn, type TransferLimits, type TransferTerms } from './options.ts';
import { decodeTftp, encodeTftp, type TftpOption } from './packet.ts';

export type TransferEnd =
  | 'sent' // the last block was acknowledged
  | 'size-probe' // refused right after the OACK: firmware that only wanted the size does this
  | 'aborted' // the client sent an ERROR
  | 'gave-up' // no progress for too long
  | 'malformed'; // the client sent what is no TFTP

export interface TransferStep {
  readonly send: readonly Uint8Array[];
  /** When to call `timeout`, on the clock of the given times; absent when the transfer has ended. */
  readonly wakeAtMs?: number;
  readonly end?: TransferEnd;
  readonly detail?: string;
}

/** Packets of a file at one block size: all of the same length but the last, which may be empty of data. */
export interface DataPackets {
  /** At least 1. */
  readonly count: number;
  /** DATA packet of a block, numbered from 1 and not wrapped. */
  packet(block: number): Uint8Array;
}

export interface TransferTiming {
  readonly firstTimeoutMs: number;
  readonly floorMs: number;
  readonly ceilingMs: number;
  /** Without any progress for this long, it ends. */
  readonly patienceMs: number;
}

export const usualTiming: TransferTiming = { firstTimeoutMs: 1000, floorMs: 50, ceilingMs: 4000, patienceMs: 30_000 };

/** Lays a file out as DATA packets in one piece of memory, for transfers of the same file to share. */
export function packFile(file: Uint8Array, blockSize: number): DataPackets {
  const count = Math.floor(file.length / blockSize) + 1; // a last block shorter than the others ends the transfer, RFC 1350 section 6
  const stride = blockSize + 4;
  const bytes = new Uint8Array(file.length + 4 * count);
  for (let index = 0; index < count; index++) {
    const at = index * stride;
    bytes[at + 1] = 3;
    bytes[at + 2] = ((index + 1) >> 8) & 0xff; // wraps to 0 after 65535
    bytes[at + 3] = (index + 1) & 0xff;
    bytes.set(file.subarray(index * blockSize, (index + 1) * blockSize), at + 4);
  }
  return { count, packet: (block) => bytes.subarray((block - 1) * stride, Math.min(block * stride, bytes.length)) };
}

const nothing: readonly Uint8Array[] = [];

export class ReadTransfer {
  readonly terms: TransferTerms;
  readonly #packets: DataPackets;
  readonly #timing: TransferTiming;
  readonly #oack: Uint8Array | undefined;
  /** Highest block acknowledged; -1 while the OACK is not. */
  #acked: number;
  /** Highest block sent since the last progress or time-out. */
  #sent: number;
  #timeoutMs: number;
  #smoothedMs: number | undefined;
  #variationMs = 0;
  /** When the block that is timed left, if it left only once (Karn). */
  #timedAtMs: number | undefined;
  #timedBlock = 0;
  #progressAtMs = 0;
  #wakeAtMs = 0;
  #resent = 0;
  /** Time-outs since the last progress. */
  #stuck = 0;
  #ended = false;

  /** `pack` is asked for the packets once, with the block size that was agreed on. */
  constructor(
    request: { readonly options: readonly TftpOption[]; readonly fileSize: number },
    pack: (blockSize: number) => DataPackets,
    limits: TransferLimits,
    timing: TransferTiming = usualTiming,
  ) {
    this.terms = agreeOn(request.options, request.fileSize, limits);
    this.#packets = pack(this.terms.blockSize);
    this.#timing = timing;
    this.#timeoutMs = timing.firstTimeoutMs;
    this.#oack = this.terms.granted.length > 0 ? encodeTftp({ op: 'oack', options: this.terms.granted }) : undefined;
    this.#acked = this.#oack ? -1 : 0;
    this.#sent = this.#acked;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Datagrams sent again so far. */
  get resent(): number {
    return this.#resent;
  }

  /** Blocks that the client has acknowledged, of `blocks`; -1 while it has not even agreed to the options. */
  get acknowledged(): number {
    return this.#acked;
  }

  get blocks(): number {
    return this.#packets.count;
  }

  /** Time-outs since the last progress. */
  get stuck(): number {
    return this.#stuck;
  }

  /** True when everything was sent and only the last ACK is missing; a client that is gone by now has its file. */
  get allSent(): boolean {
    return this.#sent === this.#packets.count;
  }

  start(nowMs: number): TransferStep {
    this.#progressAtMs = nowMs;
    return this.#sendWindow(nowMs, true);
  }

  /** A datagram from the client. Never throws. */
  receive(bytes: Uint8Array, nowMs: number): TransferStep {
    if (this.#ended) return { send: nothing };
    let packet: ReturnType<typeof decodeTftp>;
    try {
      packet = decodeTftp(bytes);
    } catch (error) {
      return this.#end('malformed', (error as Error).message);
    }
    if (packet.op === 'error') {
      const probe = this.#acked < 0;
      return this.#end(probe ? 'size-probe' : 'aborted', `error ${packet.code} ${packet.message}`.trim());
    }
    if (packet.op !== 'ack') return this.#waiting(); // a repeated request on the wrong port, or noise
    const acked = this.#unwrap(packet.block);
    if (acked === undefined) return this.#waiting();
    this.#measure(acked, nowMs);
    this.#acked = acked;
    this.#stuck = 0;
    this.#progressAtMs = nowMs;
    if (acked === this.#packets.count) return this.#end('sent');
    return this.#sendWindow(nowMs, true);
  }

  /** To be called at `wakeAtMs`; does nothing when called early. */
  timeout(nowMs: number): TransferStep {
    if (this.#ended) return { send: nothing };
    if (nowMs < this.#wakeAtMs) return this.#waiting();
    if (nowMs - this.#progressAtMs >= this.#timing.patienceMs) {
      return this.#end('gave-up', `no answer to ${this.#acked < 0 ? 'the options' : `block ${this.#acked + 1}`}`);
    }
    this.#stuck++;
    this.#timeoutMs = Math.min(this.#timeoutMs * 2, this.#timing.ceilingMs); // RFC 6298 5.5
    return this.#sendWindow(nowMs, false);
  }

  /** The full number of an acknowledged block, if that is news; duplicates and numbers never sent are not. */
  #unwrap(wire: number): number | undefined {
    if (this.#acked < 0) return wire === 0 ? 0 : undefined; // the OACK is acknowledged as block 0, RFC 2347
    const ahead = (wire - this.#acked) & 0xffff;
    return ahead > 0 && this.#acked + ahead <= this.#sent ? this.#acked + ahead : undefined;
  }

  #measure(acked: number, nowMs: number): void {
    if (this.#timedAtMs !== undefined && acked >= this.#timedBlock) {
      const tripMs = nowMs - this.#timedAtMs;
      if (this.#smoothedMs === undefined) {
        this.#smoothedMs = tripMs;
        this.#variationMs = tripMs / 2;
      } else {
        this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.#smoothedMs - tripMs);
        this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * tripMs;
      }
    }
    if (this.#smoothedMs !== undefined) {
      const wanted = this.#smoothedMs + 4 * this.#variationMs;
      this.#timeoutMs = Math.max(this.#timing.floorMs, Math.min(wanted, this.#timing.ceilingMs));
    } else {
      this.#timeoutMs = this.#timing.firstTimeoutMs; // progress ends the doubling even when nothing could be measured
    }
  }

  /** Sends from the first block that is not acknowledged. `fresh` is false for what a time-out repeats. */
  #sendWindow(nowMs: number, fresh: boolean): TransferStep {
    const send: Uint8Array[] = [];
    const before = this.#sent;
    if (this.#acked < 0) {
      send.push(this.#oack!);
    } else {
      const last = Math.min(this.#acked + this.terms.windowSize, this.#packets.count);
      for (let block = this.#acked + 1; block <= last; block++) send.push(this.#packets.packet(block));
      this.#sent = last;
    }
    const again = !fresh || before > Math.max(this.#acked, 0);
    if (again) this.#resent += fresh ? before - this.#acked : send.length;
    this.#timedAtMs = again ? undefined : nowMs;
    this.#timedBlock = Math.max(this.#sent, 0);
    this.#wakeAtMs = nowMs + this.#timeoutMs;
    return { send, wakeAtMs: this.#wakeAtMs };
  }

  #waiting(): TransferStep {
    return { send: nothing, wakeAtMs: this.#wakeAtMs };
  }

  #end(end: TransferEnd, detail?: string): TransferStep {
    this.#ended = true;
    return detail === undefined ? { send: nothing, end } : { send: nothing, end, detail };
  }
}
