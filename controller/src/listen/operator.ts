// The operator's front door: OperatorService on a Unix socket in the state directory. Who may open the socket is said by file permissions.
import { chmodSync, rmSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import type { Inventory } from '@nixie/proto/inventory';
import {
  type Machine,
  type OperatorServiceServer,
  OperatorServiceService,
  type WatchResponse,
} from '@nixie/proto/operator';

/** What the door needs of the house. A refusal is a sentence. */
export interface OperatorDesk {
  machines(): Machine[];
  inventory(host: string): Inventory | undefined;
  retry(host: string): { refused: string } | undefined;
  cancel(host: string): { refused: string } | undefined;
  wake(host: string): Promise<number>;
  /** Calls back with each change and each event line; the result ends it. */
  watch(listener: (message: WatchResponse) => void): () => void;
}

/** A watcher that reads slower than events come loses the oldest, beyond so many waiting. */
const waitingMax = 1000;

export async function startOperator(socketPath: string, desk: OperatorDesk): Promise<{ close(): void }> {
  const server = new grpc.Server();
  const known = (host: string): boolean => desk.machines().some((machine) => machine.host === host);
  const fail = (code: grpc.status, details: string): Partial<grpc.ServiceError> => ({ code, details });
  const unknown = (host: string) => fail(grpc.status.NOT_FOUND, `there is no host "${host}" in this run`);

  const service: OperatorServiceServer = {
    list(_call, callback) {
      callback(null, { machines: desk.machines() });
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
      const end = desk.watch(send);
      call.on('cancelled', end);
      call.on('close', end);
      call.on('error', end);
    },
    inventory(call, callback) {
      if (!known(call.request.host)) return callback(unknown(call.request.host));
      const inventory = desk.inventory(call.request.host);
      if (inventory === undefined)
        return callback(
          fail(grpc.status.FAILED_PRECONDITION, `the agent of ${call.request.host} has not reported yet`),
        );
      callback(null, { inventory });
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
    close() {
      server.forceShutdown();
      rmSync(socketPath, { force: true });
    },
  };
}
