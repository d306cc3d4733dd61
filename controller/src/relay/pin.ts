// A connection to the one controller whose certificate's fingerprint stands in the join token.
//
// Node never asks checkServerIdentity about a self-signed certificate while checking is off. So: look at the certificate without sending a byte
// of the protocol, compare its fingerprint, and from then on take exactly that certificate as the only root, with strict checking.
import type { PeerCertificate } from 'node:tls';
import { connect as tlsConnect } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
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

const fingerprintOf = (certificate: { readonly fingerprint256: string }) =>
  certificate.fingerprint256.replace(/:/g, '').toLowerCase();

/**
 * The controller's certificate, PEM. Nothing but the handshake is sent.
 * @throws OtherController, Error when nobody answers within the time
 */
export async function lookAtCertificate(
  endpoint: Endpoint,
  fingerprint: string,
  { timeoutMs = 10_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<string> {
  const at = `connect to ${endpointText(endpoint)}`;
  return await new Promise((resolve, reject) => {
    const socket = tlsConnect({
      host: endpoint.host,
      port: endpoint.port,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.2',
    });
    const end = (act: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stopped);
      // Destroying may still report a reset.
      socket.on('error', () => {});
      socket.destroy();
      act();
    };
    const stopped = () => end(() => reject(new Error(`${at}: stopped`)));
    const timer = setTimeout(
      () => end(() => reject(new Error(`${at}: no answer within ${timeoutMs / 1000} s`))),
      timeoutMs,
    );
    socket.once('error', (error) => end(() => reject(new Error(`${at}: ${error.message}`, { cause: error }))));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      end(() => {
        if (certificate === undefined) return reject(new Error(`${at}: no certificate was shown`));
        const found = fingerprintOf(certificate);
        if (found !== fingerprint) return reject(new OtherController(endpoint, fingerprint, found));
        resolve(certificate.toString());
      });
    });
    if (signal?.aborted) stopped();
    else signal?.addEventListener('abort', stopped, { once: true });
  });
}

/** Credentials that take this certificate and no other. */
export function pinned(endpoint: Endpoint, fingerprint: string, certPem: string): ChannelCredentials {
  return credentials.createSsl(Buffer.from(certPem), null, null, {
    rejectUnauthorized: true,
    // Replaces the comparison of names: the fingerprint names exactly one certificate.
    checkServerIdentity: (_name: string, certificate: PeerCertificate) => {
      const found = fingerprintOf(certificate);
      return found === fingerprint ? undefined : new OtherController(endpoint, fingerprint, found);
    },
  });
}
