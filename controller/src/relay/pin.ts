// A connection to the one controller whose certificate's fingerprint stands in the join token.
import type { Client } from '@grpc/grpc-js';
import { OtherCertificate, type PinnedCredentials, type Reached, reachPinned } from '@nixie/proto/pinned';
import { type Endpoint, endpointText } from '../machine/relay.ts';

/** Whoever answers at the controller's address has another certificate. */
export class OtherController extends Error {
  override name = 'OtherController';
  readonly found: string;
  constructor(endpoint: Endpoint, want: string, found: string) {
    super(
      `check certificate of ${endpointText(endpoint)}: its fingerprint is ${found.slice(0, 16)}…, the join token says ${want.slice(0, 16)}…: somebody else answers there, or the controller has lost its state folder and needs to make a new token`,
    );
    this.found = found;
  }
}

const answerMs = 10_000;

/**
 * Connects the client of these credentials. Nothing but the TLS handshake is sent to anybody else.
 * @throws OtherController, Error when nobody answers within the time or the signal fires
 */
export async function reach(
  client: Client,
  credentials: PinnedCredentials,
  endpoint: Endpoint,
  fingerprint: string,
  signal: AbortSignal,
): Promise<Reached> {
  try {
    return await reachPinned(client, credentials, { timeoutMs: answerMs, signal });
  } catch (error) {
    if (error instanceof OtherCertificate) throw new OtherController(endpoint, fingerprint, error.found);
    const why = signal.aborted ? 'stopped' : (error as Error).message;
    throw new Error(`connect to ${endpointText(endpoint)}: ${why}`, { cause: error });
  }
}
