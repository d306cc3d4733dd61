// Shows that nothing was written to a disk: a hash over the parts of a sparse image that hold anything but zeros, with their places.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { run } from './child.ts';

interface Extent {
  readonly start: number;
  readonly length: number;
  readonly data: boolean;
}

const block = 1 << 20;
const zeros = Buffer.alloc(block);

/** Hex SHA-256. Two images with the same content have the same digest, however they are stored. */
export async function diskDigest(image: string): Promise<string> {
  const map = await run(['qemu-img', 'map', '-f', 'raw', '--output=json', image], { deadlineMs: 60_000 });
  const extents = (JSON.parse(map.stdout) as Extent[]).filter((extent) => extent.data);
  const hash = createHash('sha256');
  const file = await open(image, 'r');
  try {
    const buffer = Buffer.alloc(block);
    let next = 0; // whole blocks, each once, as extents may share one
    for (const extent of extents) {
      const from = Math.max(next, Math.floor(extent.start / block) * block);
      for (let at = from; at < extent.start + extent.length; at += block) {
        const { bytesRead } = await file.read(buffer, 0, block, at);
        next = at + block;
        const part = buffer.subarray(0, bytesRead);
        if (part.equals(zeros.subarray(0, bytesRead))) continue;
        hash.update(`${at}:`).update(part);
      }
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
