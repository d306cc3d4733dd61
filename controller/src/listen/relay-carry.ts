// Connections that relays carry: those of machines end at our own agent door, which is told where they come from; those that we asked for end at
// whoever asked.
import { randomUUID } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { Carried, FromMachine } from '@nixie/proto/relay';
import { parseMac } from '../machine/mac.ts';
import { type Place, placeOf } from '../machine/relay.ts';
import { parseAddress, sameNetwork } from '../wire/dhcp4/address.ts';
import { type CarriedStream, type Carrying, carry } from './carry.ts';
import type { RelaySession } from './relay-session.ts';

type Stream = ServerDuplexStream<Carried, Carried>;

/** Of a relay, at a time. */
const mostConnections = 4096;
const firstMessageMs = 10_000;
/** A relay has opened a connection, or said that it can't, within this time. */
const openMs = 15_000;

/** Where each connection to the loopback door comes from, by its port. */
export class Places {
  readonly #byPort = new Map<number, Place>();

  set(port: number, place: Place): void {
    this.#byPort.set(port, place);
  }

  delete(port: number, place: Place): void {
    if (this.#byPort.get(port) === place) this.#byPort.delete(port);
  }

  get size(): number {
    return this.#byPort.size;
  }

  /** @param peer `IP:port` as gRPC says it. Whoever comes by the loopback door and was not carried is at no place of anybody's. */
  of(peer: string): Place {
    const direct = placeOf(peer);
    if (direct.address !== '127.0.0.1') return direct;
    return this.#byPort.get(direct.port ?? 0) ?? { ...direct, relay: '?' };
  }
}

export interface CarryWorld {
  readonly places: Places;
  /** Port of the agent door on 127.0.0.1. */
  agentPort(): number | undefined;
  odd(relay: string, what: string): void;
}

export class RelayCarry {
  readonly #world: CarryWorld;
  readonly #open = new Map<RelaySession, Set<Carrying>>();
  readonly #awaited = new Map<
    string,
    { session: RelaySession; take: (stream: CarriedStream, close: Close) => void; fail: (error: Error) => void }
  >();

  constructor(world: CarryWorld) {
    this.#world = world;
  }

  /** Connections of a relay. */
  count(session: RelaySession): number {
    return this.#open.get(session)?.size ?? 0;
  }

  /** A relay has opened a Carry. */
  accept(session: RelaySession, stream: Stream): void {
    const fail = (code: status, details: string) => {
      clearTimeout(late);
      stream.emit('error', { code, details });
    };
    const late = setTimeout(() => fail(status.DEADLINE_EXCEEDED, 'nothing was said'), firstMessageMs);
    stream.on('error', () => clearTimeout(late));
    stream.on('cancelled', () => clearTimeout(late));
    stream.once('data', ({ message }: Carried) => {
      // What follows waits until there is somebody to take it.
      stream.pause();
      clearTimeout(late);
      const what = message?.$case === 'open' ? message.value.what : undefined;
      if (this.count(session) >= mostConnections) fail(status.RESOURCE_EXHAUSTED, 'too many connections');
      else if (what?.$case === 'machine') this.#toAgents(session, stream, what.value, fail);
      else if (what?.$case === 'id') {
        const awaited = this.#awaited.get(what.value);
        // An id is known to the relay that was asked, and good once.
        if (awaited === undefined || awaited.session !== session) fail(status.NOT_FOUND, 'nobody waits for it');
        else {
          this.#awaited.delete(what.value);
          awaited.take(stream, closeOf(stream));
        }
      } else fail(status.INVALID_ARGUMENT, 'the first message is not open');
    });
  }

  /** The relay couldn't. */
  failed(id: string, why: string): void {
    this.#awaited.get(id)?.fail(new Error(why));
  }

  /**
   * Has a machine of the relay's subnet connected to, and joins the socket with it. The socket must allow half-open connections, and be paused.
   * @throws Error when the relay says why not, or says nothing
   */
  async connect(
    session: RelaySession,
    to: { readonly address: string; readonly port: number },
    accepted: () => Socket,
  ): Promise<Carrying> {
    const id = randomUUID();
    return await new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        clearTimeout(late);
        this.#awaited.delete(id);
        reject(error);
      };
      const late = setTimeout(
        () => fail(new Error(`relay ${session.name} did not connect to ${to.address} within ${openMs / 1000} s`)),
        openMs,
      );
      const take = (stream: CarriedStream, close: Close) => {
        clearTimeout(late);
        resolve(this.#join(session, stream, accepted(), close));
      };
      this.#awaited.set(id, { session, take, fail });
      session.open(id, to.address, to.port);
    });
  }

  /** The link is gone: what it carried comes to its end, and nobody waits for more. */
  drop(session: RelaySession, why: string): void {
    for (const each of this.#open.get(session) ?? []) each.break(why);
    for (const awaited of [...this.#awaited.values()])
      if (awaited.session === session) awaited.fail(new Error(`the link of relay ${session.name} was lost: ${why}`));
  }

  #toAgents(
    session: RelaySession,
    stream: Stream,
    from: FromMachine,
    fail: (code: status, details: string) => void,
  ): void {
    const place = machinePlace(session, from);
    if (place === undefined) {
      this.#world.odd(
        session.name,
        `it passes on a machine at ${JSON.stringify(from.address)}, which is in none of its subnets`,
      );
      fail(status.PERMISSION_DENIED, 'no address of this relay');
      return;
    }
    const port = this.#world.agentPort();
    if (port === undefined) {
      fail(status.UNAVAILABLE, 'no agents are served');
      return;
    }
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.once('error', (error) => fail(status.UNAVAILABLE, error.message));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // Gone meanwhile: nobody would hear of it any more.
      if (stream.cancelled || stream.destroyed) {
        socket.destroy();
        return;
      }
      // Its link was ended, and what it carried with it.
      if (!session.up) {
        socket.destroy();
        fail(status.UNAUTHENTICATED, 'no link has this credential');
        return;
      }
      const { localPort = 0 } = socket;
      // Before a byte of it is heard.
      this.#world.places.set(localPort, place);
      socket.once('close', () => this.#world.places.delete(localPort, place));
      this.#join(session, stream, socket, closeOf(stream));
    });
  }

  #join(session: RelaySession, stream: CarriedStream, socket: Socket, close: Close): Carrying {
    const carrying = carry(stream, socket, close);
    const all = this.#open.get(session) ?? new Set();
    this.#open.set(session, all.add(carrying));
    void carrying.ended.then(() => {
      all.delete(carrying);
      if (all.size === 0) this.#open.delete(session);
    });
    return carrying;
  }
}

type Close = (why: string | undefined) => void;

function closeOf(stream: Stream): Close {
  return (why) => {
    if (why === undefined) stream.end();
    else stream.emit('error', { code: status.ABORTED, details: why });
  };
}

/** Undefined: the relay can't have seen it there. */
function machinePlace(session: RelaySession, { address, port, mac, interface: name }: FromMachine): Place | undefined {
  if (parseAddress(address) === undefined) return undefined;
  if (!session.interfaces.some((each) => sameNetwork(each.address, address, each.prefixLength))) return undefined;
  const known = mac === '' ? undefined : parseMac(mac);
  return {
    relay: session.name,
    address,
    port,
    ...(known !== undefined && { mac: known }),
    ...(name !== '' && { interface: name.slice(0, 16) }),
  };
}
