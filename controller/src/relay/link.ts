// The relay's only way to its controller: one outbound TLS connection, over which both say what there is to say. It is made again for ever.
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { Socket } from 'node:net';
import { type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { PinnedCredentials, Ticket } from '@nixie/proto/pinned';
import {
  type BootPlan,
  type FetchRequest,
  type FetchResponse,
  type FromMachine,
  type FromRelay,
  type RelayInterface,
  RelayServiceClient,
  type ToRelay,
  type Welcome,
} from '@nixie/proto/relay';
import { type Endpoint, endpointText, type JoinToken, relayHelloText } from '../machine/relay.ts';
import { Connections, type OutgoingCarry } from './connections.ts';
import { Outbox, type Said } from './outbox.ts';
import { OtherController, reach } from './pin.ts';
import { mostUnderWay, UplinkRate } from './uplink-rate.ts';

export type { Said } from './outbox.ts';

/** Why there is no link. `refused`: the controller was there and doesn't want this relay; `impostor`: somebody else was there. */
export interface LinkDown {
  readonly why: string;
  readonly kind: 'unreachable' | 'lost' | 'refused' | 'impostor' | 'closed';
  /** There was a link until now. */
  readonly wasUp: boolean;
}

export interface LinkEvents {
  onUp(welcome: Welcome): void;
  /** After each link, and after each attempt that failed. */
  onDown(down: LinkDown): void;
  /** The newest plan. Once all is answered by it, say `planTaken` with its version. */
  onPlan(plan: BootPlan): void;
  /** Where any of these MACs answers now, the likeliest first. Rejecting: it could not be looked for, and why. */
  onFind(macs: readonly string[]): Promise<readonly string[]>;
  onWake(mac: string, secureOn: Uint8Array): Promise<{ sent: number; failures: readonly string[] }>;
}

export interface LinkOptions extends LinkEvents {
  readonly endpoint: Endpoint;
  readonly token: JoinToken;
  /** Ed25519, kept in the relay's state folder: the token is bound to it at its first use. */
  readonly key: KeyObject;
  readonly version: string;
  /** Random, new for each start of the relay. */
  readonly life: string;
  /** The cards that look at machines, as they are now. */
  interfaces(): readonly RelayInterface[];
  /** In [0, 1). */
  readonly random: () => number;
  /** Milliseconds before which no attempt follows another, and after which one follows at the latest. */
  readonly pauses?: { readonly least: number; readonly most: number };
}

export class FetchFailed extends Error {
  override name = 'FetchFailed';
  /** `absent`: it is none of this relay's plan. `link`: ask again when the link is there. `other`: the controller's trouble. */
  readonly kind: 'absent' | 'link' | 'other';
  constructor(kind: FetchFailed['kind'], text: string) {
    super(text);
    this.kind = kind;
  }
}

export interface Fetched {
  /** Bytes of the whole, from its beginning. */
  readonly totalBytes: number;
  /** From the offset on. Nothing is read ahead but one window; leaving the loop ends the transfer. Throws FetchFailed. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Link {
  readonly up: boolean;
  /** Observations that found no room and are lost. */
  readonly dropped: number;
  /** TCP connections that are carried now. */
  readonly connections: number;
  /** Observations (`seen`) and scripts wait for a link and arrive once; all else is dropped while there is none. */
  say(message: Said): void;
  /** @throws FetchFailed */
  fetch(what: NonNullable<FetchRequest['what']>, offset: number, signal?: AbortSignal): Promise<Fetched>;
  /** A machine has connected to the relay's agent port; its socket must allow half-open connections. Without a link it is reset. */
  carryMachine(socket: Socket, from: FromMachine): void;
  close(): Promise<void>;
}

/** Both sides take messages of at most so many bytes; a plan of ten thousand machines has a third of it. */
export const mostMessageBytes = 16 << 20;

export const channelOptions = {
  // Retries of the library keep every sent byte of a long stream in memory; we connect again ourselves.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  // A cut of a few seconds is lived through, a longer one is noticed before the other side's TCP gives up.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_send_message_length': mostMessageBytes,
  'grpc.max_receive_message_length': mostMessageBytes,
  'grpc-node.flow_control_window': mostUnderWay,
};

/** A challenge comes within this time, and a welcome. */
const greetingMs = 15_000;

/** Connects now, and again and again until it is closed. */
export function openLink(options: LinkOptions): Link {
  const { endpoint, token, events, pauses = { least: 1000, most: 30_000 } } = { ...options, events: options };
  const outbox = new Outbox();
  const closing = new AbortController();
  let current: { client: RelayServiceClient; credential: Metadata } | undefined;
  const ticket = new Ticket();
  const rate = new UplinkRate(() => performance.now());
  let pump = () => {};

  const connections = new Connections({
    open: () =>
      current === undefined ? undefined : (current.client.carry(current.credential) as unknown as OutgoingCarry),
    interfaces: () => options.interfaces(),
    failed: (id, why) => say({ $case: 'failed', value: { id, why } }),
  });

  const say = (message: Said) => {
    outbox.push(message);
    pump();
  };

  /** One link from its first byte to its last. */
  const once = async (): Promise<LinkDown> => {
    const credentials = new PinnedCredentials(token.fingerprint, ticket);
    const channel = { ...channelOptions, 'grpc-node.flow_control_window': rate.underWay() };
    const client = new RelayServiceClient(endpointText(endpoint), credentials, channel);
    try {
      await reach(client, credentials, endpoint, token.fingerprint, closing.signal);
    } catch (error) {
      client.close();
      const kind = error instanceof OtherController ? 'impostor' : closing.signal.aborted ? 'closed' : 'unreachable';
      return { kind, why: (error as Error).message, wasUp: false };
    }
    try {
      return await live(client);
    } finally {
      current = undefined;
      pump = () => {};
      outbox.down();
      connections.breakAll('the link to the controller is gone');
      client.close();
    }
  };

  const live = (client: RelayServiceClient) =>
    new Promise<LinkDown>((resolve) => {
      const stream = client.link();
      let wasUp = false;
      let over = false;
      const end = (kind: LinkDown['kind'], why: string) => {
        if (over) return;
        over = true;
        clearTimeout(late);
        closing.signal.removeEventListener('abort', close);
        stream.cancel();
        resolve({ kind, why, wasUp });
      };
      const close = () => end('closed', 'the relay is closing');
      closing.signal.addEventListener('abort', close, { once: true });
      if (closing.signal.aborted) return close();
      const late = setTimeout(
        () => end('unreachable', `${endpointText(endpoint)} did not greet within ${greetingMs / 1000} s`),
        greetingMs,
      );
      stream.on('error', (error: ServiceError) => {
        const refused = [status.UNAUTHENTICATED, status.ALREADY_EXISTS, status.PERMISSION_DENIED].includes(error.code);
        end(refused ? 'refused' : wasUp ? 'lost' : 'unreachable', error.details || error.message);
      });
      stream.on('end', () => end(wasUp ? 'lost' : 'unreachable', 'the controller has ended the link'));
      stream.on('data', ({ message }: ToRelay) => {
        if (over) return;
        try {
          if (message?.$case === 'challenge') {
            if (wasUp) return;
            stream.write({ number: 0n, message: { $case: 'hello', value: hello(message.value.nonce) } });
          } else if (message?.$case === 'welcome') {
            if (wasUp) return;
            clearTimeout(late);
            wasUp = true;
            const credential = new Metadata();
            credential.set('authorization', `Bearer ${message.value.credential}`);
            current = { client, credential };
            outbox.up();
            pump = pumpInto(stream, outbox);
            events.onUp(message.value);
            pump();
          } else if (wasUp && message !== undefined) told(message);
        } catch (error) {
          // One message that can't be dealt with costs this link and not the relay.
          end('lost', `a message of the controller: ${(error as Error).message}`);
        }
      });
    });

  const hello = (nonce: Uint8Array) => ({
    name: token.name,
    secret: Buffer.from(token.secret),
    key: createPublicKey(options.key).export({ type: 'spki', format: 'der' }),
    signature: sign(null, relayHelloText(token.name, token.fingerprint, nonce), options.key),
    version: options.version,
    life: options.life,
    interfaces: [...options.interfaces()],
  });

  const told = (message: NonNullable<ToRelay['message']>) => {
    switch (message.$case) {
      case 'plan':
        events.onPlan(message.value);
        break;
      case 'find': {
        const { id, macs } = message.value;
        void events
          .onFind(macs)
          .then(
            (addresses) => ({ addresses: [...addresses], failed: '' }),
            (error: Error) => ({ addresses: [], failed: error.message || 'its search failed' }),
          )
          .then((found) => say({ $case: 'found', value: { id, ...found } }));
        break;
      }
      case 'wake': {
        const { id, mac, secureOn } = message.value;
        void events
          .onWake(mac, secureOn)
          .catch((error: Error) => ({ sent: 0, failures: [error.message] }))
          .then(({ sent, failures }) => say({ $case: 'woken', value: { id, sent, failures: [...failures] } }));
        break;
      }
      case 'open':
        connections.connect(message.value);
        break;
      case 'ping':
        say({ $case: 'pong', value: message.value });
        break;
      case 'heard':
        outbox.heard(message.value);
    }
  };

  const forEver = async () => {
    for (let failed = 0; !closing.signal.aborted; ) {
      const down = await once();
      events.onDown(down);
      failed = down.wasUp ? 0 : failed + 1;
      const ceiling = Math.min(pauses.most, 2 * pauses.least * 2 ** Math.min(failed, 16));
      const pause = pauses.least + (ceiling - pauses.least) * options.random();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        const stop = () => {
          clearTimeout(timer);
          resolve();
        };
        if (closing.signal.aborted) stop();
        else closing.signal.addEventListener('abort', stop, { once: true });
      });
    }
  };
  const ended = forEver();

  return {
    get up() {
      return current !== undefined;
    },
    get dropped() {
      return outbox.dropped;
    },
    get connections() {
      return connections.count;
    },
    say,
    async fetch(what, offset, signal) {
      if (current === undefined) throw new FetchFailed('link', 'fetch: there is no link to the controller');
      const { client, credential } = current;
      const fetched = await fetchOver(client, credential, { what, offset: BigInt(offset) }, signal);
      return { ...fetched, body: counted(fetched.body, () => rate.begins(fetched.totalBytes - offset)) };
    },
    carryMachine: (socket, from) => connections.carryMachine(socket, from),
    async close() {
      closing.abort();
      await ended;
    },
  };
}

/** Writes what waits, no faster than the stream takes it. */
function pumpInto(stream: ClientDuplexStream<FromRelay, ToRelay>, outbox: Outbox): () => void {
  let blocked = false;
  const pump = () => {
    while (!blocked) {
      const next = outbox.take();
      if (next === undefined) return;
      if (stream.write(next)) continue;
      blocked = true;
      stream.once('drain', () => {
        blocked = false;
        pump();
      });
    }
  };
  return pump;
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  begin: () => ReturnType<UplinkRate['begins']>,
): AsyncGenerator<Uint8Array> {
  const counter = begin();
  try {
    for await (const piece of body) {
      counter.came(piece.length);
      yield piece;
    }
  } finally {
    counter.ends();
  }
}

async function fetchOver(
  client: RelayServiceClient,
  credential: Metadata,
  request: FetchRequest,
  signal: AbortSignal | undefined,
): Promise<Fetched> {
  signal?.throwIfAborted();
  const call = client.fetch(request, credential);
  const stop = () => call.cancel();
  signal?.addEventListener('abort', stop, { once: true });
  call.once('close', () => signal?.removeEventListener('abort', stop));
  const pieces = (call as AsyncIterable<FetchResponse>)[Symbol.asyncIterator]();
  const next = async () => {
    try {
      return await pieces.next();
    } catch (error) {
      signal?.throwIfAborted();
      throw fetchFailed(error as ServiceError);
    }
  };
  const first = await next();
  const totalBytes = first.done === true ? undefined : first.value.totalBytes;
  if (first.done === true || totalBytes === undefined) {
    call.cancel();
    throw new FetchFailed('other', 'fetch: the controller did not say how long it is');
  }
  const body = async function* () {
    try {
      if (first.value.data.length > 0) yield first.value.data;
      for (let each = await next(); each.done !== true; each = await next())
        if (each.value.data.length > 0) yield each.value.data;
    } finally {
      call.cancel();
    }
  };
  return { totalBytes: Number(totalBytes), body: body() };
}

function fetchFailed({ code, details, message }: ServiceError): FetchFailed {
  const text = `fetch: ${details || message}`;
  if (code === status.NOT_FOUND || code === status.OUT_OF_RANGE) return new FetchFailed('absent', text);
  const link = [status.UNAVAILABLE, status.CANCELLED, status.UNAUTHENTICATED];
  return new FetchFailed(link.includes(code) ? 'link' : 'other', text);
}
