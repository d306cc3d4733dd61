// The front door for relays: gRPC over TLS at a port of its own. It knows which relays are linked, lets in one of each name, and decides nothing
// about machines.
import { Server, type ServerDuplexStream, type ServerWritableStream, status } from '@grpc/grpc-js';
import {
  type Carried,
  type FetchRequest,
  type FetchResponse,
  type FromRelay,
  type RelayHello,
  RelayServiceService,
  type ToRelay,
} from '@nixie/proto/relay';
import { closeGrpc, credentialsOf, listenGrpc } from './grpc-listen.ts';
import { type CarryWorld, RelayCarry } from './relay-carry.ts';
import { type FetchSource, sendFetched } from './relay-fetch.ts';
import { RelaySession, type RelayWord } from './relay-session.ts';

export interface RelayDoorDesk {
  /** Is this the relay that the token was made for? A reason is for the operator; the relay hears less. */
  admit(name: string, secret: Uint8Array, key: Uint8Array): 'ok' | { readonly why: string };
  /** The token that it joined with is good no more. */
  isRevoked(session: RelaySession): boolean;
  up(session: RelaySession): void;
  down(session: RelaySession, why: string): void;
  word(session: RelaySession, word: RelayWord): void;
  /** A relay was not taken in. */
  refused(name: string, peer: string, why: string): void;
  /** Something that can't be right. */
  odd(about: string, what: string): void;
}

export interface RelayDoorOptions {
  readonly addresses: readonly string[];
  /** 0 takes a free one, for tests. */
  readonly port: number;
  readonly tls: { readonly certPem: string; readonly keyPem: string; readonly fingerprint: string };
  readonly version: string;
  readonly desk: RelayDoorDesk;
  readonly places: CarryWorld['places'];
  readonly agentPort: CarryWorld['agentPort'];
  readonly fetch: FetchSource;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
  readonly helloMs?: number;
  /** A link that doesn't answer within this time gives way to a newer one. */
  readonly aliveMs?: number;
  /** How often revoked tokens are looked for. */
  readonly lookMs?: number;
}

export interface RelayDoor {
  /** `IP:port` */
  readonly bound: readonly string[];
  readonly port: number;
  readonly carry: RelayCarry;
  link(name: string): RelaySession | undefined;
  close(): Promise<void>;
}

const statusMs = 5000;
/** Links that have not said who they are. */
const mostGreeting = 64;
/** Of one address: a stranger must not keep the others out. */
const mostGreetingEach = 8;
const unknown = { code: status.UNAUTHENTICATED, details: 'no link has this credential' };

/** Opens the door. @throws PortTaken, Error naming the address that could not be taken */
export async function startRelayDoor(options: RelayDoorOptions): Promise<RelayDoor> {
  const { desk, ticks, helloMs = 10_000, aliveMs = 3000, lookMs = 1000, tls } = options;
  const links = new Map<string, RelaySession>();
  const open = new Set<RelaySession>();
  /** What each is being sent: a relay may keep its connection whatever it is told. */
  const fetching = new Map<RelaySession, Set<ServerWritableStream<FetchRequest, FetchResponse>>>();
  /** Of each name: the number up to which words of that life of the relay have been taken. */
  const taken = new Map<string, { life: string; number: bigint }>();
  /** Names whose older link is being asked whether it lives. */
  const asking = new Set<string>();
  /** Addresses of links that haven't said who they are. */
  const greeting: string[] = [];
  const odd = (about: string, what: string): void => {
    try {
      desk.odd(about, what);
    } catch {
      // a broken listener must not make it worse
    }
  };
  const carry = new RelayCarry({ places: options.places, agentPort: options.agentPort, odd });

  const hello = async (session: RelaySession, { name, secret, key, life }: RelayHello) => {
    const refuse = (code: status, why: string, said: string) => {
      desk.refused(name.slice(0, 64), session.peer, why);
      return { code, details: said };
    };
    const admitted = desk.admit(name, secret, key);
    if (admitted !== 'ok')
      return refuse(
        status.UNAUTHENTICATED,
        admitted.why,
        'this token is not good: make a new one by "nixie relay-token"',
      );
    const older = links.get(name);
    if (older === undefined) return undefined;
    const twice = () =>
      refuse(
        status.ALREADY_EXISTS,
        `it is linked already, from ${older.peer}: two relays use one token`,
        `a relay of this name is linked already, from ${older.peer}`,
      );
    // The very same program has but one link: the older one is broken, and only we don't know yet.
    const same = older.life !== '' && older.life === life;
    if (!same) {
      if (asking.has(name)) return twice();
      asking.add(name);
      const alive = await older.alive(aliveMs).finally(() => asking.delete(name));
      const now = links.get(name);
      // Another one may have linked while the older one was asked, and found that gone.
      if (alive || (now !== undefined && now !== older)) return twice();
    }
    older.end(status.ABORTED, same ? 'the relay has linked anew' : 'a newer link took over, and this one was silent');
    return undefined;
  };

  const link = (stream: ServerDuplexStream<FromRelay, ToRelay>): void => {
    const from = stream.getPeer().replace(/:\d+$/, '');
    const ofOne = greeting.filter((each) => each === from).length;
    if (greeting.length >= mostGreeting || ofOne >= mostGreetingEach) {
      stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'too many links at once' });
      return;
    }
    greeting.push(from);
    let counted = true;
    const greeted = () => {
      if (counted) greeting.splice(greeting.indexOf(from), 1);
      counted = false;
    };
    stream.on('close', greeted);
    stream.on('cancelled', greeted);
    const settings = { fingerprint: tls.fingerprint, version: options.version, helloMs, statusMs, ticks };
    const made = new RelaySession(stream, settings, {
      hello,
      up(session) {
        greeted();
        links.set(session.name, session);
        open.add(session);
        if (taken.get(session.name)?.life !== session.life) taken.set(session.name, { life: session.life, number: 0n });
        desk.up(session);
      },
      down(session, why) {
        open.delete(session);
        for (const stream of fetching.get(session) ?? []) stream.emit('error', unknown);
        carry.drop(session, why);
        if (links.get(session.name) !== session) return;
        links.delete(session.name);
        desk.down(session, why);
      },
      word(session, word, number) {
        const before = taken.get(session.name);
        if (number > 0n && before !== undefined) {
          // Said again, since our word that it was heard was lost.
          if (number <= before.number) return;
          before.number = number;
        }
        desk.word(session, word);
      },
      failed: (id, why) => carry.failed(id, why),
      odd,
    });
    stream.on('error', greeted);
    void made;
  };

  const sessionOf = (stream: {
    readonly metadata: { get(key: string): readonly unknown[] };
  }): RelaySession | undefined => {
    const bearer = /^Bearer (\S+)$/.exec(String(stream.metadata.get('authorization')[0] ?? ''))?.[1];
    for (const each of open) if (each.credential === bearer) return each;
    return undefined;
  };

  const server = new Server({
    'grpc.max_receive_message_length': 4 << 20,
    'grpc.max_send_message_length': 16 << 20,
    'grpc.max_concurrent_streams': 4096,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.enable_channelz': 0,
  });
  server.addService(RelayServiceService, {
    link,
    carry(stream: ServerDuplexStream<Carried, Carried>) {
      const session = sessionOf(stream);
      if (session === undefined) stream.emit('error', unknown);
      else carry.accept(session, stream);
    },
    fetch(stream: ServerWritableStream<FetchRequest, FetchResponse>) {
      const session = sessionOf(stream);
      if (session === undefined) {
        stream.emit('error', unknown);
        return;
      }
      const all = fetching.get(session) ?? new Set();
      fetching.set(session, all.add(stream));
      void sendFetched(stream, session.name, options.fetch).finally(() => {
        all.delete(stream);
        if (all.size === 0) fetching.delete(session);
      });
    },
  });
  const credentials = credentialsOf(tls);
  const { bound, port } = await listenGrpc(server, credentials, { ...options, whom: 'relays' });
  const look = setInterval(() => {
    for (const each of open) if (desk.isRevoked(each)) each.end(status.UNAUTHENTICATED, 'its token was revoked');
  }, lookMs);

  return {
    bound,
    port,
    carry,
    link: (name) => links.get(name),
    async close() {
      clearInterval(look);
      for (const each of [...open]) each.end(status.UNAVAILABLE, 'the controller is closing');
      await closeGrpc(server, 1000);
    },
  };
}
