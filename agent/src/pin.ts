// A connection to the one controller whose certificate was named on the kernel command line.
import type { ChannelCredentials, Client } from '@grpc/grpc-js';
import { OtherCertificate, PinnedCredentials, reachPinned, type Ticket } from '@nixie/proto/pinned';
import { readEndpoint } from './cmdline.ts';

export class PinError extends Error {
  override name = 'PinError';
  readonly found: string;
  constructor(endpoint: string, want: string, found: string) {
    super(
      `check certificate of ${endpoint}: fingerprint is ${found.slice(0, 16)}…, the boot script said ${want.slice(0, 16)}…`,
    );
    this.found = found;
  }
}

export interface Pinned<C extends Client> {
  readonly endpoint: string;
  /** Connected; whoever holds this closes it. */
  readonly client: C;
  /** The address of this machine that reached the controller. */
  readonly localAddress: string;
  /** By a ticket of an earlier connection. */
  readonly resumed: boolean;
}

/**
 * Connects a client. Nothing but the TLS handshake is sent to another controller than the one that is named, now or when it connects again.
 * @param endpoint `IP:port`
 * @param make the client of these credentials
 * @throws PinError for another certificate, Error when nobody answers within the time
 */
export async function pin<C extends Client>(
  endpoint: string,
  fingerprint: string,
  make: (endpoint: string, credentials: ChannelCredentials) => C,
  { timeoutMs = 10_000, ticket }: { readonly timeoutMs?: number; readonly ticket?: Ticket } = {},
): Promise<Pinned<C>> {
  if (!readEndpoint(endpoint)) throw new Error(`read controller address: ${endpoint} is not IP:port`);
  const credentials = new PinnedCredentials(fingerprint, ticket);
  const client = make(endpoint, credentials);
  try {
    return { endpoint, client, ...(await reachPinned(client, credentials, { timeoutMs })) };
  } catch (error) {
    client.close();
    if (error instanceof OtherCertificate) throw new PinError(endpoint, fingerprint, error.found);
    throw new Error(`connect to ${endpoint}: ${(error as Error).message}`, { cause: error });
  }
}
