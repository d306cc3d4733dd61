// Hands the chunks that are here to other machines: `GET /c/SHA256`, by the manifest's hashes and nothing else. Few at a time, so that each goes
// quickly; whoever comes on top is told to ask somebody else.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { chunkPlace } from '@nixie/proto/fleet';
import type { Clock } from '../host.ts';
import type { ImageFile } from './image-file.ts';

export interface PeerServerOptions {
  readonly image: ImageFile;
  /** Absent: all. */
  readonly address?: string | undefined;
  /** Any other when it is taken. */
  readonly port: number;
  readonly clock: Clock;
  /** Absent: as fast as it goes. */
  readonly uploadBytesPerSecond?: number | undefined;
  readonly limits?: Partial<PeerLimits>;
}

export interface PeerLimits {
  readonly uploads: number;
  readonly connections: number;
  /** A reader that takes nothing for so long, or hasn't all after so long, is let go, milliseconds: others wait for its place. */
  readonly stalledMs: number;
  readonly uploadMs: number;
}

const usual: PeerLimits = { uploads: 4, connections: 64, stalledMs: 10_000, uploadMs: 60_000 };

export interface PeerServer {
  readonly port: number;
  counters(): { readonly sentBytes: number; readonly busy: number; readonly refused: number };
  close(): Promise<void>;
}

const pieceBytes = 64 * 1024;

export async function servePeers(options: PeerServerOptions): Promise<PeerServer> {
  const { image, clock, uploadBytesPerSecond } = options;
  const limits = { ...usual, ...options.limits };
  const count = { sentBytes: 0, busy: 0, refused: 0 };
  const chunkBytes = chunkPlace(image.manifest, 0).bytes;
  /** Equal chunks, like empty ones, have one hash. */
  const byHash = new Map<string, number[]>();
  for (const [chunk, hash] of image.manifest.chunks.entries()) {
    const same = byHash.get(hash);
    if (same === undefined) byHash.set(hash, [chunk]);
    else same.push(chunk);
  }
  const buffers: Buffer[] = [];
  let uploads = 0;
  /** When the bytes sent so far are paid for, on the monotonic clock. */
  let paidUntil = 0;

  const pace = async (bytes: number): Promise<void> => {
    if (uploadBytesPerSecond === undefined) return;
    const now = clock.ticks();
    paidUntil = Math.max(paidUntil, now) + (bytes * 1000) / uploadBytesPerSecond;
    if (paidUntil > now) await clock.sleep(paidUntil - now);
  };

  const written = (response: ServerResponse, piece: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      response.once('close', reject);
      response.write(piece, (error) => {
        response.off('close', reject);
        if (error) reject(error);
        else resolve();
      });
    });

  const refuse = (response: ServerResponse, status: number): void => {
    const have = image.have.text();
    response.writeHead(status, { 'Content-Length': 0, 'Nixie-Have': have }).end();
  };

  const send = async (response: ServerResponse, chunk: number): Promise<void> => {
    uploads += 1;
    const buffer = buffers.pop() ?? Buffer.allocUnsafe(chunkBytes);
    const late = setTimeout(() => response.destroy(), limits.uploadMs);
    try {
      const bytes = await image.read(chunk, buffer);
      response.writeHead(200, {
        'Content-Type': 'application/octet-stream',
        'Content-Length': bytes.length,
        'Nixie-Have': image.have.text(),
      });
      // The memory is used again, so each piece has to have left.
      const step = uploadBytesPerSecond === undefined ? bytes.length : pieceBytes;
      for (let at = 0; at < bytes.length; at += step) {
        const piece = bytes.subarray(at, at + step);
        await pace(piece.length);
        await written(response, piece);
        count.sentBytes += piece.length;
      }
      response.end();
    } catch {
      // It went away, or our file did: a cut response is no chunk.
      response.destroy();
    } finally {
      clearTimeout(late);
      uploads -= 1;
      buffers.push(buffer);
    }
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    request.resume();
    response.on('error', () => {});
    const chunk = byHash
      .get(/^\/c\/([0-9a-f]{64})$/.exec(request.url ?? '')?.[1] ?? '')
      ?.find((each) => image.have.has(each));
    if (request.method !== 'GET' || chunk === undefined) {
      count.refused += 1;
      refuse(response, 404);
    } else if (uploads >= limits.uploads) {
      count.busy += 1;
      refuse(response, 503);
    } else {
      response.setTimeout(limits.stalledMs, () => response.destroy());
      void send(response, chunk);
    }
  };

  const server = createServer({ maxHeaderSize: 4096, connectionsCheckingInterval: 2000 }, handle);
  server.maxConnections = limits.connections;
  server.headersTimeout = 5000;
  server.requestTimeout = 10_000;
  server.keepAliveTimeout = 15_000;
  server.on('clientError', (_error, socket) => socket.destroy());
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, ...(options.address === undefined ? {} : { host: options.address }) }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  await listen(options.port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    return listen(0);
  });
  server.on('error', () => {});
  return {
    port: (server.address() as { port: number }).port,
    counters: () => ({ ...count }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
