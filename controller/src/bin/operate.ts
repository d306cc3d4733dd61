// The operator's commands: retry, cancel, status. They speak to the controller that runs, over the socket in its state folder.
import * as grpc from '@grpc/grpc-js';
import { type ListResponse, OperatorServiceClient, type WatchResponse } from '@nixie/proto/operator';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import { notYours, type OperatorRequest, type StatusRequest } from '../cli/operator-request.ts';
import { relayJson, relayLines } from '../cli/relay-lines.ts';
import { statusEvents, statusJson, statusTable, unknownJson, unknownLines } from '../cli/status.ts';
import { clean } from '../cli/text.ts';
import type { View } from '../cli/view.ts';
import type { RunEvent } from '../machine/event.ts';

export interface OperateWorld {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
  /** For people: the view that a run has. */
  readonly view: (hosts: readonly string[]) => View;
}

const answerMs = 10_000;

export function retry(request: OperatorRequest, world: OperateWorld): Promise<ExitCode> {
  return each(request, world, 'begins anew', (client, host, done) => client.retry({ host }, ...soon(), done));
}

export function cancel(request: OperatorRequest, world: OperateWorld): Promise<ExitCode> {
  return each(request, world, 'is cancelled', (client, host, done) => client.cancel({ host }, ...soon(), done));
}

export async function status(request: StatusRequest, world: OperateWorld): Promise<ExitCode> {
  return await withClient(request.socket, world, async (client) => {
    if (request.watch) return await watch(client, request, world);
    const { machines, unknown, relays } = await list(client);
    const lines = request.json
      ? [...machines.map(statusJson), ...relays.map(relayJson), ...unknown.map(unknownJson)]
      : [...statusTable(machines, world.now()), ...relayLines(relays, world.now()), ...unknownLines(unknown)];
    world.out(lines.map((line) => `${line}\n`).join(''));
    return exitCodes.done;
  });
}

/** For shells that complete; none when nobody answers. */
export async function names({ socket }: Pick<OperatorRequest, 'socket'>): Promise<readonly string[]> {
  let found: readonly string[] = [];
  await withClient(socket, { err: () => {} }, async (client) => {
    found = (await list(client)).machines.map(({ host }) => host);
    return exitCodes.done;
  });
  return found;
}

function soon(): [grpc.Metadata, { deadline: number }] {
  return [new grpc.Metadata(), { deadline: Date.now() + answerMs }];
}

type Done = (error: grpc.ServiceError | null) => void;

/** All hosts, also when one is refused; the worst that happened is the status. */
async function each(
  { socket, hosts }: OperatorRequest,
  world: OperateWorld,
  said: string,
  call: (client: OperatorServiceClient, host: string, done: Done) => unknown,
): Promise<ExitCode> {
  return await withClient(socket, world, async (client) => {
    const codes = new Set<ExitCode>();
    for (const host of hosts) {
      const error = await new Promise<grpc.ServiceError | null>((resolve) => call(client, host, resolve));
      if (error === null) world.out(`${host} ${said}\n`);
      else if (error.code === grpc.status.NOT_FOUND) codes.add(exitCodes.usage);
      else if (error.code === grpc.status.FAILED_PRECONDITION) codes.add(exitCodes.failed);
      else throw error;
      if (error !== null) world.err(`nixie: ${clean(error.details)}\n`);
    }
    // What was wrong on the command line is told before what the controller refused.
    if (codes.has(exitCodes.usage)) return exitCodes.usage;
    return codes.has(exitCodes.failed) ? exitCodes.failed : exitCodes.done;
  });
}

function list(client: OperatorServiceClient): Promise<ListResponse> {
  return new Promise((resolve, reject) =>
    client.list({}, ...soon(), (error, answer) => (error === null ? resolve(answer) : reject(error))),
  );
}

/** Until the controller ends; JSON: machines first, then the events of the run; for people the view of the run itself. */
async function watch(client: OperatorServiceClient, { json }: StatusRequest, world: OperateWorld): Promise<ExitCode> {
  const view = json ? undefined : world.view((await list(client)).machines.map(({ host }) => clean(host, 64)));
  const show = (event: RunEvent): void => view?.show(event);
  try {
    return await new Promise((resolve, reject) => {
      const stream = client.watch({});
      stream.on('data', ({ message }: WatchResponse) => {
        if (message?.$case === 'machine') {
          if (json) world.out(`${statusJson(message.value)}\n`);
          else statusEvents(message.value, world.now()).forEach(show);
        } else if (message?.$case === 'eventJson') {
          if (json) world.out(`${clean(message.value, 65_536)}\n`);
          else show(JSON.parse(message.value) as RunEvent);
        }
      });
      stream.on('end', () => resolve(exitCodes.done));
      stream.on('error', reject);
    });
  } finally {
    view?.close({ table: true });
  }
}

async function withClient(
  socket: string,
  { err }: Pick<OperateWorld, 'err'>,
  use: (client: OperatorServiceClient) => Promise<ExitCode>,
): Promise<ExitCode> {
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  const client = new OperatorServiceClient(`unix:${socket}`, grpc.credentials.createInsecure());
  try {
    return await use(client);
  } catch (error) {
    const { code, details, message } = error as grpc.ServiceError;
    if (code === undefined) throw error;
    if (code === grpc.status.UNAVAILABLE) {
      if (/EACCES/.test(details)) err(`nixie: ${notYours(socket)}\n`);
      else err(`nixie: no controller answers at ${socket}; is it running, and is this its --state?\n`);
      return exitCodes.unable;
    }
    err(`nixie: ask the controller at ${socket}: ${clean(details || message)}\n`);
    return code === grpc.status.DEADLINE_EXCEEDED ? exitCodes.unable : exitCodes.failed;
  } finally {
    client.close();
  }
}
