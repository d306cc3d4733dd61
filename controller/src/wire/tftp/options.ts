// What of a request's options is granted. Clamped rather than refused: a client that hears nothing of an option goes on without it.
import type { TftpOption } from './packet.ts';

export interface TransferTerms {
  /** bytes of data in a full block */
  readonly blockSize: number;
  /** blocks sent before an ACK is awaited */
  readonly windowSize: number;
  /** What the OACK says; empty when none is to be sent. */
  readonly granted: readonly TftpOption[];
}

export interface TransferLimits {
  /** bytes; MTU - 32, so that no block is cut into fragments: they get lost in tunnels */
  readonly maxBlockSize: number;
  /** blocks */
  readonly maxWindowSize: number;
}

export const defaultBlockSize = 512; // RFC 1350

function number(text: string): number | undefined {
  return /^[0-9]{1,10}$/.test(text) ? Number(text) : undefined;
}

/** Values that make no sense are left out of the answer, as RFC 2347 asks for options that are not acknowledged. */
export function agreeOn(options: readonly TftpOption[], fileSize: number, limits: TransferLimits): TransferTerms {
  let blockSize = defaultBlockSize;
  let windowSize = 1;
  const granted: TftpOption[] = [];
  const seen = new Set<string>();
  for (const [name, text] of options) {
    if (seen.has(name)) continue;
    seen.add(name);
    const value = number(text);
    if (value === undefined) continue;
    if (name === 'blksize' && value >= 8) {
      blockSize = Math.min(value, limits.maxBlockSize, 65464); // RFC 2348
      granted.push([name, String(blockSize)]);
    } else if (name === 'windowsize' && value >= 1) {
      windowSize = Math.min(value, limits.maxWindowSize, 65535); // RFC 7440
      granted.push([name, String(windowSize)]);
    } else if (name === 'tsize') {
      granted.push([name, String(fileSize)]); // RFC 2349
    }
    // `timeout` is not granted: ours follows the measured round trip.
  }
  return { blockSize, windowSize, granted };
}
