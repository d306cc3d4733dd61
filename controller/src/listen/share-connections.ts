// The last places of a TCP door are for addresses that have few connections, so that one neighbour who opens all he can get keeps out no machine.
import type { Server, Socket } from 'node:net';

/** Bounds the server's connections to `most`; whoever has more than a sixteenth of them gets none of the last eighth. */
export function shareConnections(server: Server, most: number): void {
  const each = new Map<string, number>();
  let all = 0;
  server.maxConnections = most;
  server.on('connection', (socket: Socket) => {
    const from = socket.remoteAddress ?? '';
    const held = (each.get(from) ?? 0) + 1;
    if (held > Math.max(1, most >> 4) && all >= most - (most >> 3)) {
      socket.destroy();
      return;
    }
    all += 1;
    each.set(from, held);
    socket.once('close', () => {
      all -= 1;
      const left = (each.get(from) ?? 1) - 1;
      if (left > 0) each.set(from, left);
      else each.delete(from);
    });
  });
}
