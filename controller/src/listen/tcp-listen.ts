// One TCP port on one address of ours, taken or said why not.
import type { Server } from 'node:net';
import { PortTaken } from './errors.ts';
import { portHolder } from './port-holder.ts';

/** Resolves when it listens; what goes wrong with single connections afterwards ends nothing. @throws PortTaken, Error naming port and address */
export function listenOn(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') reject(new Error(`open tcp port ${port} on ${address}`, { cause: error }));
      else reject(new PortTaken({ port, protocol: 'tcp', address }, portHolder(port, 'tcp')));
    });
    server.listen({ host: address, port, exclusive: true }, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      resolve();
    });
  });
}
