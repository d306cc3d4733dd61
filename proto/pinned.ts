// A gRPC client's connection to the one server whose certificate's fingerprint is known beforehand: from the kernel command line, or from a join token.
//
// Node accepts any self-signed certificate once checking is off, without ever calling checkServerIdentity; and with checking on, the library needs the
// certificate itself, for which a connection of its own would have to look first. So the library's credentials are extended: it opens the TCP
// connection, what is here makes TLS of it, compares the fingerprint, and only then gives it back. Until then nobody holds it who could write to
// it, so no byte of a request leaves but to the right server, whatever reconnects when.
//
// The members with an underscore are the library's own; pinned.test.ts fails when they change, and the version of the library is an exact one.
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, connect as tlsConnect } from 'node:tls';
import { CallCredentials, ChannelCredentials, type Client, connectivityState, status } from '@grpc/grpc-js';

type CreateConnector = ChannelCredentials['_createSecureConnector'];
type Connector = ReturnType<CreateConnector>;

/** Whoever answers has another certificate. */
export class OtherCertificate extends Error {
  override name = 'OtherCertificate';
  /** SHA-256 of the certificate that was shown, as 64 lower-case hex digits; empty when none was. */
  readonly found: string;
  constructor(found: string) {
    super(found === '' ? 'no certificate was shown' : `the certificate's fingerprint is ${found.slice(0, 16)}…`);
    this.found = found;
  }
}

/**
 * The newest session ticket of a server (RFC 8446 2.2), for the next connection to it. It is kept only from a connection whose certificate was checked,
 * with that certificate's fingerprint, and offered only where the same one is wanted: whoever can resume with it has what was agreed upon there, and
 * nothing else names him, since no certificate is shown again. A handshake that fails loses it. It serves again and again, as Node's servers give no new
 * one to who resumes; that passers-by can tell the connections of one machine (RFC 8446 C.4) is no news on its own network.
 */
export class Ticket {
  #kept: { readonly session: Buffer; readonly fingerprint: string } | undefined;

  /** @param fingerprint of the certificate that was shown */
  keep(session: Buffer, fingerprint: string): void {
    this.#kept = { session, fingerprint };
  }

  /** @param fingerprint of the certificate that is wanted */
  take(fingerprint: string): Buffer | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    return kept?.fingerprint === fingerprint ? kept.session : undefined;
  }
}

/** What a connection that was checked is like. */
export interface Reached {
  /** Of this computer, by which the server was reached. */
  readonly localAddress: string;
  /** The handshake was an abbreviated one, by a ticket of an earlier connection. */
  readonly resumed: boolean;
}

/** A TLS handshake that takes longer is given up. */
const handshakeMs = 10_000;

/** Monotonic milliseconds; `performance` would load ten modules of Node that an agent has no other use for. */
const ticks = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

let context: SecureContext | undefined;
/** Roots are not asked for their opinion, and reading the hundred and fifty that Node brings takes longer than the handshake. */
const withoutRoots = (): SecureContext => {
  context ??= createSecureContext({ ca: [], minVersion: 'TLSv1.3' });
  return context;
};

/** Credentials that take one certificate and no other. For one client at a time; the ticket may outlive them. */
export class PinnedCredentials extends ChannelCredentials {
  readonly #fingerprint: string;
  readonly #ticket: Ticket;
  #reached: Reached | undefined;
  #failed: Error | undefined;

  /** @param fingerprint SHA-256 of the certificate's DER form, 64 lower-case hex digits */
  constructor(fingerprint: string, ticket = new Ticket()) {
    super();
    this.#fingerprint = fingerprint;
    this.#ticket = ticket;
  }

  /** The newest connection that was found right. */
  get reached(): Reached | undefined {
    return this.#reached;
  }

  /** Why the newest handshake came to nothing. */
  get failed(): Error | undefined {
    return this.#failed;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...[, , callCredentials]: Parameters<CreateConnector>): Connector {
    const credentials = callCredentials ?? CallCredentials.createEmpty();
    // Another client of the same credentials begins anew.
    this.#reached = this.#failed = undefined;
    const closed = new AbortController();
    return {
      connect: async (socket) => {
        try {
          const { secured, ...reached } = await this.#secure(socket, closed.signal);
          this.#reached = reached;
          this.#failed = undefined;
          return { socket: secured, secure: true };
        } catch (error) {
          this.#failed = error as Error;
          throw error;
        }
      },
      waitForReady: async () => {},
      getCallCredentials: () => credentials,
      destroy: () => closed.abort(),
    };
  }

  /** The only place where a server is judged: each connection comes by here, the resumed ones too. */
  #secure(socket: Socket, closed: AbortSignal): Promise<Reached & { readonly secured: Socket }> {
    return new Promise((resolve, reject) => {
      const session = this.#ticket.take(this.#fingerprint);
      const secured = tlsConnect({
        socket,
        secureContext: withoutRoots(),
        // Only a name for the handshake: an IP address may not stand there (RFC 6066 3), and the certificate is compared, not its name.
        servername: 'nixie',
        ALPNProtocols: ['h2'],
        rejectUnauthorized: false,
        ...(session === undefined ? {} : { session }),
      });
      let right = false;
      const end = (): void => {
        clearTimeout(late);
        closed.removeEventListener('abort', stop);
      };
      const fail = (error: Error): void => {
        end();
        secured.destroy();
        socket.destroy();
        reject(error);
      };
      const stop = (): void => fail(new Error('the client was closed'));
      const late = setTimeout(() => fail(new Error(`no TLS handshake within ${handshakeMs} ms`)), handshakeMs);
      // They stay: destroying may still report a reset, and the library listens to what it is given by itself.
      secured.on('error', (error) => right || fail(error));
      secured.on('close', () => right || fail(new Error('the connection was closed during the TLS handshake')));
      // Tickets of TLS 1.3 come behind the handshake (RFC 8446 4.6.1).
      secured.on('session', (given: Buffer) => right && this.#ticket.keep(given, this.#fingerprint));
      secured.once('secureConnect', () => {
        const resumed = secured.isSessionReused();
        if (session === undefined || !resumed) {
          const found = secured.getPeerX509Certificate()?.fingerprint256.replace(/:/g, '').toLowerCase() ?? '';
          if (found !== this.#fingerprint) return fail(new OtherCertificate(found));
        } else this.#ticket.keep(session, this.#fingerprint);
        right = true;
        end();
        const localAddress = (socket.localAddress ?? '').replace(/^::ffff:/, '');
        resolve({ secured, localAddress, resumed });
      });
      if (closed.aborted) stop();
      else closed.addEventListener('abort', stop, { once: true });
    });
  }
}

/**
 * Connects a client now, and tells why when that comes to nothing; the library alone would try again until its calls' ends. Nothing of a request is
 * sent. Whoever made the client closes it, also when this throws.
 * @param credentials the client's
 * @throws OtherCertificate; Error when nobody answers, within that time or at all, or the signal fires
 */
export async function reachPinned(
  client: Client,
  credentials: PinnedCredentials,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<Reached> {
  const channel = client.getChannel();
  // The library takes a time of day and makes a duration of it at once.
  const endMs = ticks() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const leftMs = endMs - ticks();
    if (leftMs <= 0) throw new Error(`no answer within ${timeoutMs} ms`);
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.SHUTDOWN) throw new Error('the client was closed');
    if (state === connectivityState.TRANSIENT_FAILURE)
      throw credentials.failed ?? new Error(await whyNot(client, leftMs));
    if (state === connectivityState.READY) {
      if (credentials.reached !== undefined) return credentials.reached;
      throw new Error('the library has connected without having the certificate checked');
    }
    await new Promise<void>((resolve) => {
      const change = (): void => {
        signal?.removeEventListener('abort', change);
        resolve();
      };
      signal?.addEventListener('abort', change, { once: true });
      channel.watchConnectivityState(state, Date.now() + leftMs, change);
    });
  }
}

/** The library tells only calls why it can't connect. One to a method that doesn't exist, without a message, is told at once. */
function whyNot(client: Client, leftMs: number): Promise<string> {
  const nothing = (): Buffer => Buffer.alloc(0);
  return new Promise((resolve) => {
    client.makeUnaryRequest('/-/-', nothing, nothing, undefined, { deadline: Date.now() + leftMs }, (error) => {
      const said = error === null ? 'it was there a moment later' : error.details || `${status[error.code]}`;
      resolve(/Last error: (?:Error: )?(.*?)\. Resolution note/.exec(said)?.[1] ?? said);
    });
  });
}
