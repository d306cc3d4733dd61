// What the kernel has complained of since its start: the reasons for much that is absent elsewhere.
import { closeSync, constants, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { KernelError } from '@nixie/proto/inventory';
import { withoutSecrets } from '../cmdline.ts';
import { type KernelRecord, longestRecord, readKernelRecord, readOne } from '../kmsg.ts';
import type { Tree } from './tree.ts';

const mostBytes = 64 << 10;
const mostText = 1024;
/** RFC 5424 6.2.1 */
const error = 3;
/** Between turns of others. */
const atOnce = 500;
/** A kernel that talks on and on is cut off. */
const mostRecords = 1_000_000;

/**
 * The last that fit into 64 KiB.
 * @throws what the system says, where there is no such file, or it may not be read
 */
export async function readKernelErrors(file: string): Promise<KernelRecord[]> {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return await lastErrors((into) => readOne(fd, into));
  } finally {
    closeSync(fd);
  }
}

/** @param readInto length of the next record; 0 when there is none; undefined when some were overwritten unread */
export async function lastErrors(readInto: (into: Buffer) => number | undefined): Promise<KernelRecord[]> {
  const bytes = Buffer.alloc(longestRecord);
  const found: KernelRecord[] = [];
  let size = 0;
  for (let count = 1; count <= mostRecords; count += 1) {
    const length = readInto(bytes);
    if (length === 0) break;
    if (count % atOnce === 0) await setImmediate();
    const record = length === undefined ? undefined : readKernelRecord(bytes.toString('utf8', 0, length));
    if (record === undefined || record.severity > error) continue;
    found.push(record);
    size += Math.min(mostText, record.text.length);
    while (size > mostBytes) size -= Math.min(mostText, found.shift()!.text.length);
  }
  return found;
}

/** Control bytes and what is too long are cut; the text of a driver may be anything. */
export function kernelError({ monotonicMs, severity, text }: Omit<KernelRecord, 'sequence'>): KernelError {
  const plain = withoutSecrets(text)
    .replace(/[\x00-\x1f\x7f-\x9f\ufffd]+/g, ' ')
    .trim()
    .slice(0, mostText)
    .toWellFormed();
  return { uptimeMs: BigInt(Math.max(0, Math.round(monotonicMs))), severity, text: plain };
}

export async function collectKernelErrors(tree: Tree): Promise<KernelError[]> {
  try {
    return (await tree.source.kernelErrors()).map(kernelError);
  } catch (failure) {
    tree.note('/dev/kmsg', failure, true);
    return [];
  }
}
