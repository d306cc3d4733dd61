// The port at which agents reach their controller: each connection is handed to the link as it is. TLS is between the agent and the controller; the
// relay has no key to it.
import { createServer, type Server, type Socket } from 'node:net';
import type { FromMachine } from '@nixie/proto/relay';
import { listenOn } from '../listen/tcp-listen.ts';
import type { MacAt } from './neighbours.ts';
import type { OwnLink } from './plan.ts';

export interface AgentPortOptions {
  readonly links: readonly OwnLink[];
  /** 0 takes any free one, the same on all addresses; for tests. */
  readonly port: number;
  readonly macAt: MacAt;
  /** Takes the connection over. */
  readonly carry: (socket: Socket, from: FromMachine) => void;
  /** Connections at a time: in all, and of one address. An agent has one or two. */
  readonly most?: number;
  readonly mostOfOne?: number;
  /** Nothing went in either direction for so long: the machine was switched off. */
  readonly idleMs?: number;
}

export interface AgentPort {
  readonly port: number;
  readonly connections: number;
  readonly refused: number;
  close(): Promise<void>;
}

/** @throws PortTaken */
export async function openAgentPort(options: AgentPortOptions): Promise<AgentPort> {
  const { links, macAt, carry, most = 2048, mostOfOne = 16, idleMs = 120_000 } = options;
  const open = new Set<Socket>();
  const byAddress = new Map<string, number>();
  let refused = 0;

  const take = (socket: Socket, { name }: OwnLink): void => {
    socket.on('error', () => {}); // it goes away, and the link sees that
    const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const ofOne = byAddress.get(address) ?? 0;
    if (address === '' || open.size >= most || ofOne >= mostOfOne) {
      refused++;
      socket.resetAndDestroy();
      return;
    }
    open.add(socket);
    byAddress.set(address, ofOne + 1);
    socket.once('close', () => {
      open.delete(socket);
      const left = (byAddress.get(address) ?? 1) - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
    socket.setNoDelay(true);
    socket.setTimeout(idleMs, () => socket.resetAndDestroy());
    carry(socket, {
      address,
      port: socket.remotePort ?? 0,
      mac: macAt(address, { interface: name }) ?? '',
      interface: name,
    });
  };

  const servers: Server[] = [];
  const close = async () => {
    for (const socket of open) socket.destroy();
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  };
  let { port } = options;
  try {
    for (const link of links) {
      // Each side says for itself when it has nothing more to say.
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => take(socket, link));
      await listenOn(server, link.address, port);
      servers.push(server);
      port = (server.address() as { port: number }).port;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    port,
    get connections() {
      return open.size;
    },
    get refused() {
      return refused;
    },
    close,
  };
}
