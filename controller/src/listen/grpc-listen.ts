// A gRPC server with TLS on addresses of ours: for agents, and for relays.
import { hkdfSync } from 'node:crypto';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { PortTaken } from './errors.ts';
import { portHolder } from './port-holder.ts';

export interface DoorTls {
  readonly certPem: string;
  readonly keyPem: string;
}

/**
 * For how long a ticket is worth something, in seconds: longer than the cuts that an install outlives. The most is seven days (RFC 8446 4.6.1).
 */
const ticketSeconds = 3600;

/**
 * Clients that come back show a ticket and spare both sides the certificate and its signature (RFC 8446 2.2). What tickets are sealed with is made from
 * the certificate's own key: all listening sockets know the tickets of each other, a controller that starts again knows those of before, and who
 * could open one could show the certificate as well. With TLS 1.3 each connection has fresh keys all the same (psk_dhe_ke, RFC 8446 4.2.9); tickets of
 * TLS 1.2 would give away recorded connections with the key, so it isn't spoken.
 */
class DoorCredentials extends ServerCredentials {
  constructor({ certPem, keyPem }: DoorTls) {
    const door = {
      minVersion: 'TLSv1.3',
      // 48 bytes, as Node wants them.
      ticketKeys: Buffer.from(hkdfSync('sha256', keyPem, '', 'nixie tls tickets', 48)),
      sessionTimeout: ticketSeconds,
      // Node's own is made from the arguments of the program, which may be others the next time.
      sessionIdContext: 'nixie',
    } as const;
    super({ ...door, requestCert: false }, { ...door, cert: certPem, key: keyPem });
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

export function credentialsOf(tls: DoorTls): ServerCredentials {
  return new DoorCredentials(tls);
}

/** @returns the port, which the system chose when 0 was asked for */
export function bindGrpc(server: Server, to: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) =>
    server.bindAsync(to, credentials, (error, port) => (error ? reject(error) : resolve(port))),
  );
}

/**
 * Opens one port on all addresses. When one can't be had none stays open.
 * @param whom for messages: `agents`
 * @throws PortTaken, Error naming the address
 */
export async function listenGrpc(
  server: Server,
  credentials: ServerCredentials,
  { addresses, port: wanted, whom }: { addresses: readonly string[]; port: number; whom: string },
): Promise<{ readonly bound: readonly string[]; readonly port: number }> {
  const bound: string[] = [];
  let port = wanted;
  for (const address of addresses) {
    const to = (at: number): string => (address.includes(':') ? `[${address}]:${at}` : `${address}:${at}`);
    try {
      port = await bindGrpc(server, to(port), credentials);
      bound.push(to(port));
    } catch (error) {
      server.forceShutdown();
      if (/EADDRINUSE/.test((error as Error).message))
        throw new PortTaken({ port, protocol: 'tcp', address }, portHolder(port, 'tcp'));
      throw new Error(`listen for ${whom} on ${to(port)}: ${(error as Error).message}`, { cause: error });
    }
  }
  return { bound, port };
}

/** Lets calls that are being ended come to it, for so many milliseconds at most. */
export function closeGrpc(server: Server, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, milliseconds);
    server.tryShutdown(() => {
      clearTimeout(late);
      resolve();
    });
  });
}
