// TCP connections over the uplink: those of machines to the controller, and those that the controller wants to machines of this subnet.
import { connect, type Socket } from 'node:net';
import type { Carried, CarryOpen, FromMachine, OpenConnection } from '@nixie/proto/relay';
import { type CarriedStream, type Carrying, carry } from '../listen/carry.ts';
import { sameNetwork } from '../wire/dhcp4/address.ts';

/** The end of a Carry that opened it. */
export interface OutgoingCarry extends CarriedStream {
  end(): unknown;
  cancel(): void;
}

export interface SubnetOfRelay {
  /** IPv4 of the relay there. */
  readonly address: string;
  readonly prefixLength: number;
}

/** Connections at a time; further ones are refused. */
const mostConnections = 4096;
/** A machine takes a connection within this time or is not there. */
const connectMs = 10_000;

export interface ConnectionsWorld {
  /** Undefined: the link is down. */
  open(): OutgoingCarry | undefined;
  interfaces(): readonly SubnetOfRelay[];
  failed(id: string, why: string): void;
  /** For tests. */
  readonly connect?: (to: { host: string; port: number }) => Socket;
}

export class Connections {
  readonly #world: ConnectionsWorld;
  readonly #open = new Set<Carrying>();

  constructor(world: ConnectionsWorld) {
    this.#world = world;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Of a machine that has connected; the socket must allow half-open connections. Without a link it is reset. */
  carryMachine(socket: Socket, from: FromMachine): void {
    // Nothing may be lost between here and the stream.
    socket.pause();
    this.#carry(socket, { what: { $case: 'machine', value: from } });
  }

  /** The controller wants to speak with a machine. */
  connect({ id, address, port }: OpenConnection): void {
    const why = unreachable(address, port, this.#world.interfaces());
    const full = this.#open.size >= mostConnections ? 'the relay carries too many connections' : undefined;
    if (why !== undefined || full !== undefined) {
      this.#world.failed(id, why ?? full!);
      return;
    }
    const { connect: make = (to) => connect({ ...to, allowHalfOpen: true }) } = this.#world;
    const socket = make({ host: address, port });
    const late = setTimeout(() => socket.destroy(new Error(`no answer within ${connectMs / 1000} s`)), connectMs);
    const failed = (error: Error) => {
      clearTimeout(late);
      this.#world.failed(id, `connect to ${address}:${port}: ${error.message}`);
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      clearTimeout(late);
      socket.off('error', failed);
      socket.pause();
      this.#carry(socket, { what: { $case: 'id', value: id } });
    });
  }

  /** The link is gone, and with it all that it carried. */
  breakAll(why: string): void {
    for (const each of this.#open) each.break(why);
  }

  #carry(socket: Socket, open: CarryOpen): void {
    socket.on('error', () => {});
    const stream = this.#open.size < mostConnections ? this.#world.open() : undefined;
    if (stream === undefined) {
      socket.resetAndDestroy();
      return;
    }
    const first: Carried = { message: { $case: 'open', value: open } };
    stream.write(first, () => {});
    const carrying = carry(stream, socket, (why) => (why === undefined ? stream.end() : stream.cancel()));
    this.#open.add(carrying);
    void carrying.ended.then(() => this.#open.delete(carrying));
  }
}

/** Why the relay doesn't connect there: it is there for machines of its own subnets, and not for itself. */
export function unreachable(address: string, port: number, interfaces: readonly SubnetOfRelay[]): string | undefined {
  if (!/^\d{1,3}(?:\.\d{1,3}){3}$/.test(address) || address.split('.').some((octet) => Number(octet) > 255))
    return `connect to ${JSON.stringify(address.slice(0, 64))}: not an IPv4 address`;
  if (!Number.isInteger(port) || port < 1 || port > 65535) return `connect to ${address}: ${port} is no port`;
  const own = interfaces.some((each) => each.address === address);
  const here = interfaces.some((each) => sameNetwork(each.address, address, each.prefixLength));
  if (own || !here)
    return `connect to ${address}: ${own ? 'that is the relay itself' : "it is in none of the relay's subnets"}`;
  return undefined;
}
