// The operator's front door: OperatorService on a Unix socket in the state directory. Who may open the socket is said by file permissions.
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import type { Inventory } from '@nixie/proto/inventory';
import {
  type Machine,
  type OperatorServiceServer,
  OperatorServiceService,
  type RelayState,
  type WatchResponse,
} from '@nixie/proto/operator';
import type { Trail } from '../doctor/trail.ts';
import type { Stranger } from '../machine/stranger.ts';
import { type LogDesk, sendLogs } from './operator-logs.ts';
import { trailMessage } from './trail-message.ts';

/** What the door needs of the house. A refusal is a sentence. */
export interface OperatorDesk {
  machines(): Machine[];
  inventory(
    host: string,
  ): { inventory: Inventory | undefined; facter: Buffer | undefined; facterMissing?: string | undefined } | undefined;
  retry(host: string): { refused: string } | undefined;
  cancel(host: string): { refused: string } | undefined;
  wake(host: string): Promise<number>;
  /** Machines that asked to boot and are in no hosts file. */
  strangers?(): readonly Stranger[];
  /** Absent: there are none. */
  relays?(): readonly RelayState[];
  /** Calls back with each change and each event line; the result ends it. */
  watch(listener: (message: WatchResponse) => void): () => void;
  readonly logs: Pick<LogDesk, 'follow' | 'until'>;
  /** What was seen of a machine. */
  trail(host: string): Trail;
}

/** A watcher that reads slower than events come loses the oldest, beyond so many waiting. */
const waitingMax = 1000;

/** Does a running controller answer there? Within two seconds. */
export function answers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => end(false));
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}

export async function startOperator(socketPath: string, desk: OperatorDesk): Promise<{ close(): Promise<void> }> {
  const server = new grpc.Server();
  const known = (host: string): boolean => desk.machines().some((machine) => machine.host === host);
  const fail = (code: grpc.status, details: string): Partial<grpc.ServiceError> => ({ code, details });
  const watching = new Set<() => void>();
  const unknown = (host: string) => fail(grpc.status.NOT_FOUND, `there is no host "${host}" in this run`);

  const service: OperatorServiceServer = {
    list(_call, callback) {
      const unknown = (desk.strangers?.() ?? []).map(({ firstSeen, lastSeen, ...known }) => ({
        architecture: undefined,
        vendorClass: undefined,
        uuid: undefined,
        interface: undefined,
        relay: undefined,
        ...known,
        firstSeenUnixMs: BigInt(Math.round(firstSeen)),
        lastSeenUnixMs: BigInt(Math.round(lastSeen)),
      }));
      callback(null, { machines: desk.machines(), unknown, relays: [...(desk.relays?.() ?? [])] });
    },
    watch(call) {
      const waiting: WatchResponse[] = [];
      let free = true;
      let lost = 0;
      const send = (message: WatchResponse) => {
        if (free) free = call.write(message);
        else if (waiting.push(message) > waitingMax) {
          waiting.shift();
          lost++;
        }
      };
      call.on('drain', () => {
        free = true;
        for (let next = waiting.shift(); next !== undefined; next = free ? waiting.shift() : undefined)
          free = call.write(next);
        if (free && lost > 0) {
          const text = `${lost} events were lost: this watcher reads too slowly`;
          lost = 0;
          send({ message: { $case: 'eventJson', value: JSON.stringify({ event: 'notice', level: 'warning', text }) } });
        }
      });
      for (const machine of desk.machines()) send({ message: { $case: 'machine', value: machine } });
      const unwatch = desk.watch(send);
      const end = () => {
        unwatch();
        watching.delete(bye);
      };
      // What is still waiting is written before the end of the stream.
      const bye = () => {
        unwatch();
        for (const message of waiting.splice(0)) call.write(message);
        call.end();
      };
      watching.add(bye);
      call.on('cancelled', end);
      call.on('close', end);
      call.on('error', end);
    },
    trail(call, callback) {
      if (!known(call.request.host)) return callback(unknown(call.request.host));
      callback(null, trailMessage(desk.trail(call.request.host)));
    },
    logs(call) {
      const bye = sendLogs(call, {
        known,
        follow: (host, listener) => desk.logs.follow(host, listener),
        until: (host, filter) => desk.logs.until(host, filter),
      });
      if (bye === undefined) return;
      watching.add(bye);
      for (const event of ['cancelled', 'close', 'error', 'finish'] as const)
        call.on(event, () => watching.delete(bye));
    },
    inventory(call, callback) {
      if (!known(call.request.host)) return callback(unknown(call.request.host));
      const { inventory, facter, facterMissing } = desk.inventory(call.request.host) ?? {};
      if (inventory === undefined && facter === undefined)
        return callback(
          fail(grpc.status.FAILED_PRECONDITION, `the agent of ${call.request.host} has not reported yet`),
        );
      callback(null, {
        inventory,
        facterJson: facter,
        facterMissing: facter === undefined ? facterMissing : undefined,
      });
    },
    retry(call, callback) {
      if (!known(call.request.host)) return callback(unknown(call.request.host));
      const answer = desk.retry(call.request.host);
      if (answer !== undefined) return callback(fail(grpc.status.FAILED_PRECONDITION, answer.refused));
      callback(null, {});
    },
    cancel(call, callback) {
      if (!known(call.request.host)) return callback(unknown(call.request.host));
      const answer = desk.cancel(call.request.host);
      if (answer !== undefined) return callback(fail(grpc.status.FAILED_PRECONDITION, answer.refused));
      callback(null, {});
    },
    wake(call, callback) {
      if (!known(call.request.host)) return callback(unknown(call.request.host));
      desk.wake(call.request.host).then(
        (packetsSent) => callback(null, { packetsSent }),
        (error: unknown) =>
          callback(fail(grpc.status.UNAVAILABLE, error instanceof Error ? error.message : String(error))),
      );
    },
  };
  server.addService(OperatorServiceService, service);
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, grpc.ServerCredentials.createInsecure(), (error) =>
      error ? reject(new Error(`listen on ${socketPath}: ${error.message}`)) : resolve(),
    );
  });
  chmodSync(socketPath, 0o600); // the directory around it is 0700, so nobody could come in between
  return {
    async close() {
      for (const bye of [...watching]) bye();
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, 500);
        server.tryShutdown(() => {
          clearTimeout(late);
          resolve();
        });
      });
      server.forceShutdown();
      rmSync(socketPath, { force: true });
    },
  };
}
