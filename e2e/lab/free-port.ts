// Ports for programs that can't choose one themselves, or must have the same one again.
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** The first port that the kernel gives to connections, and to whoever asks for any (ip(7), ip_local_port_range). */
function firstOfKernel(): number {
  return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
}

const lowest = 10_000;

/**
 * Free on 127.0.0.1. The kernel gives it to nobody who doesn't name it: it is free still when it is bound, and when it is bound again.
 * @throws Error when none of many is free
 */
export async function freePort(): Promise<number> {
  const end = firstOfKernel();
  for (let tries = 0; tries < 100; tries++) {
    // Where the kernel has nearly all ports for itself there is no better one than any.
    const wish = end > lowest + 1000 ? randomInt(lowest, end) : 0;
    const port = await new Promise<number | undefined>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(undefined));
      server.listen(wish, '127.0.0.1', () => {
        const { port } = server.address() as { port: number };
        server.close(() => resolve(port));
      });
    });
    if (port !== undefined) return port;
  }
  throw new Error('find a free port of 127.0.0.1: a hundred are taken');
}
