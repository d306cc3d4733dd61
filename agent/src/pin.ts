// A connection to the one controller whose certificate was named on the kernel command line.
//
// Node accepts any self-signed certificate once checking is off, without ever calling checkServerIdentity. So: look at the certificate
// first without sending anything, compare its fingerprint, then take exactly that certificate as the only root for the real
// connection, with strict checking, and compare again there.
import { type PeerCertificate, connect as tlsConnect } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
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

export interface Pinned {
  readonly endpoint: string;
  readonly credentials: ChannelCredentials;
  /** The address of this machine that reached the controller. */
  readonly localAddress: string;
}

/** SHA-256 of the DER form, lower-case hex without colons. */
function fingerprintOf(certificate: { fingerprint256: string }): string {
  return certificate.fingerprint256.replace(/:/g, '').toLowerCase();
}

/**
 * Connects, looks at the certificate and disconnects; no application byte is sent.
 * @param endpoint `IP:port`
 * @throws PinError for another certificate, Error when nobody answers within the time
 */
export async function pin(endpoint: string, fingerprint: string, timeoutMs = 10_000): Promise<Pinned> {
  const to = readEndpoint(endpoint);
  if (!to) throw new Error(`read controller address: ${endpoint} is not IP:port`);
  const { pem, found, localAddress } = await new Promise<{ pem: string; found: string; localAddress: string }>(
    (resolve, reject) => {
      const socket = tlsConnect({
        host: to.host,
        port: to.port,
        rejectUnauthorized: false,
        // None is asked for its opinion, and reading the hundred and fifty that Node brings takes longer than the handshake.
        ca: [],
        ALPNProtocols: ['h2'],
        minVersion: 'TLSv1.2',
      });
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Error(`connect to ${endpoint}: no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(new Error(`connect to ${endpoint}: ${error.message}`, { cause: error }));
      });
      socket.once('secureConnect', () => {
        clearTimeout(timer);
        const certificate = socket.getPeerX509Certificate();
        const local = socket.localAddress;
        // The error listener stays: destroying may still report a reset.
        socket.on('error', () => {});
        socket.destroy();
        if (!certificate || !local) reject(new Error(`connect to ${endpoint}: no certificate was shown`));
        else
          resolve({
            pem: certificate.toString(),
            found: fingerprintOf(certificate),
            localAddress: local.replace(/^::ffff:/, ''),
          });
      });
    },
  );
  if (found !== fingerprint) throw new PinError(endpoint, fingerprint, found);
  return {
    endpoint,
    localAddress,
    credentials: credentials.createSsl(Buffer.from(pem), null, null, {
      rejectUnauthorized: true,
      // Replaces the comparison of names: the fingerprint names exactly one certificate.
      checkServerIdentity: (_name: string, certificate: PeerCertificate) => {
        const again = fingerprintOf(certificate);
        return again === fingerprint ? undefined : new PinError(endpoint, fingerprint, again);
      },
    }),
  };
}
