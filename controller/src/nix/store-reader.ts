// The store as files on this machine's disk.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readlink, realpath, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { StoreReader } from './installer.ts';

/** For a store at /nix or wherever the paths point. */
export function storeReader(): StoreReader {
  return {
    realPath: (path) => realpath(path),
    async linkTarget(path) {
      try {
        return await readlink(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
        throw error;
      }
    },
    async stat(path) {
      const found = await stat(path);
      return { bytes: found.size, isFile: found.isFile() };
    },
    async head(path, length) {
      const file = await open(path, 'r');
      try {
        const buffer = new Uint8Array(length);
        let filled = 0;
        while (filled < length) {
          const { bytesRead } = await file.read(buffer, filled, length - filled, filled);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return buffer.subarray(0, filled);
      } finally {
        await file.close();
      }
    },
    async sha256(path) {
      const hash = createHash('sha256');
      await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
      return hash.digest('hex');
    },
    async chunkHashes(path, chunkBytes) {
      const whole = createHash('sha256');
      const chunks: string[] = [];
      let chunk = createHash('sha256');
      let length = 0;
      for await (const read of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
        const bytes = read as Buffer;
        whole.update(bytes);
        for (let at = 0; at < bytes.length; ) {
          const piece = bytes.subarray(at, at + chunkBytes - length);
          chunk.update(piece);
          at += piece.length;
          length += piece.length;
          if (length < chunkBytes) continue;
          chunks.push(chunk.digest('hex'));
          chunk = createHash('sha256');
          length = 0;
        }
      }
      if (length > 0) chunks.push(chunk.digest('hex'));
      return { sha256: whole.digest('hex'), chunks };
    },
  };
}
