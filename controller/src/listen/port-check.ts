// Whether the ports that nixie needs can be had: each is opened as a run opens it, and closed at once.
import { createServer } from 'node:net';
import { NotRoot, PortTaken } from './errors.ts';
import { portHolder } from './port-holder.ts';
import { closeDescriptor, openUdpDescriptor, openUdpPair } from './udp.ts';

export interface PortState {
  readonly protocol: 'udp' | 'tcp';
  readonly port: number;
  readonly state: 'free' | 'taken' | 'untried';
  /** Who holds it, or why it could not be tried. */
  readonly detail?: string;
}

export const udpPorts = [67, 69, 4011] as const;
export const tcpPorts = [7480, 7481] as const;

/** @param address of the interface */
export async function checkPorts(name: string, address: string): Promise<PortState[]> {
  const states: PortState[] = [];
  for (const port of udpPorts) states.push(await one('udp', port, () => tryUdp(name, address, port)));
  for (const port of tcpPorts) states.push(await one('tcp', port, () => tryTcp(address, port)));
  return states;
}

async function one(protocol: 'udp' | 'tcp', port: number, attempt: () => Promise<void> | void): Promise<PortState> {
  try {
    await attempt();
    return { protocol, port, state: 'free' };
  } catch (error) {
    if (error instanceof PortTaken) {
      const { holder } = error;
      const who = holder === undefined ? {} : { detail: `${holder.process} (process ${holder.pid})` };
      return { protocol, port, state: 'taken', ...who };
    }
    const detail = error instanceof NotRoot ? 'not permitted' : (error as Error).message;
    return { protocol, port, state: 'untried', detail };
  }
}

function tryUdp(name: string, address: string, port: number): void {
  if (port === 69) {
    closeDescriptor(openUdpDescriptor({ interface: name, address, port }));
    return;
  }
  const { any, own } = openUdpPair({ interface: name, address, port });
  closeDescriptor(own);
  closeDescriptor(any);
}

function tryTcp(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new PortTaken({ port, protocol: 'tcp', address }, portHolder(port, 'tcp'))
          : error,
      );
    });
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
