// A gRPC server with TLS on addresses of ours: for agents, and for relays.
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { PortTaken } from './errors.ts';
import { portHolder } from './port-holder.ts';

export function credentialsOf(tls: { readonly certPem: string; readonly keyPem: string }): ServerCredentials {
  return ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(tls.keyPem), cert_chain: Buffer.from(tls.certPem) },
  ]);
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
