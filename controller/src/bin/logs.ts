// `nixie logs`: of the controller that runs, over the socket in its state folder; of its files, where none runs.
import * as grpc from '@grpc/grpc-js';
import { type HostLogLine, type LogsResponse, OperatorServiceClient } from '@nixie/proto/operator';
import type { Paint } from '../cli/colour.ts';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import { logJson, logLine } from '../cli/log-lines.ts';
import type { LogsRequest } from '../cli/logs-request.ts';
import { notYours } from '../cli/operator-request.ts';
import { clean } from '../cli/text.ts';
import type { HostLine, LineFilter, Origin } from '../machine/host-line.ts';
import type { Stage } from '../machine/stage.ts';
import { logFilesOf, runFolders } from '../store/log-folders.ts';
import { linesOfFiles } from '../store/log-reader.ts';

export interface LogsWorld {
  /** Resolves when more can be taken; false: the reader has gone. */
  readonly write: (text: string) => Promise<boolean>;
  readonly err: (text: string) => void;
  readonly paint: Paint;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
}

export async function logs(request: LogsRequest, world: LogsWorld): Promise<ExitCode> {
  const { host, socket, since, stage } = request;
  const filter: LineFilter = {
    ...(since === undefined ? {} : { since: since(world.now()) }),
    ...(stage === undefined ? {} : { stage }),
  };
  const failure = await ofController(request, filter, world);
  if (failure === undefined) return exitCodes.done;
  const { code, details, heard } = failure;
  if (heard && (code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED)) {
    world.err(`nixie: the controller at ${socket} has gone: ${clean(details)}\n`);
    return exitCodes.unable;
  }
  if (code !== grpc.status.UNAVAILABLE && code !== grpc.status.NOT_FOUND) {
    world.err(`nixie: ask the controller at ${socket}: ${clean(details)}\n`);
    return exitCodes.failed;
  }
  if (code === grpc.status.UNAVAILABLE && /EACCES/.test(details)) {
    world.err(`nixie: ${notYours(socket)}\n`);
    return exitCodes.unable;
  }
  const running = code === grpc.status.NOT_FOUND;
  const folders = runFolders(request.logDir);
  const folder = folders.find((each) => logFilesOf(each, host).length > 0);
  if (folder === undefined) {
    const none = `${request.logDir} has no log of ${JSON.stringify(host)}`;
    if (running) world.err(`nixie: ${clean(details)}, and ${none}\n`);
    else world.err(`nixie: no controller answers at ${socket}, and ${none}; is this its --state or --log-dir?\n`);
    return running || folders.length > 0 ? exitCodes.usage : exitCodes.unable;
  }
  const why = running ? `${host} is not of the run that goes on` : 'no controller runs';
  world.err(`nixie: ${why}: lines of ${folder}\n`);
  for await (const lines of linesOfFiles(logFilesOf(folder, host), filter))
    if (!(await print(lines, request, world))) break;
  return exitCodes.done;
}

/** Undefined when all was printed. */
async function ofController(
  request: LogsRequest,
  { since, stage }: LineFilter,
  world: LogsWorld,
): Promise<{ code: grpc.status; details: string; heard: boolean } | undefined> {
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  const client = new OperatorServiceClient(`unix:${request.socket}`, grpc.credentials.createInsecure());
  const stream = client.logs({
    host: request.host,
    follow: request.follow,
    sinceUnixMs: since === undefined ? undefined : BigInt(Math.trunc(since)),
    stage: stage ?? '',
  });
  let heard = false;
  stream.on('metadata', () => {
    heard = true;
  });
  // After a reader has gone nobody else listens.
  stream.on('error', () => {});
  try {
    // Read only as fast as it is written: what is behind waits at the controller, which counts what it throws away.
    for await (const { lines, lost } of stream as AsyncIterable<LogsResponse>) {
      if (lost > 0n) world.err(`nixie: ${lost.toLocaleString('en')} lines dropped: they were read too slowly\n`);
      if (!(await print(lines.map(hostLine), request, world))) break;
    }
    return undefined;
  } catch (error) {
    const { code, details, message } = error as grpc.ServiceError;
    if (code === undefined) throw error;
    return { code, details: details || message, heard };
  } finally {
    stream.cancel();
    client.close();
  }
}

function print(lines: readonly HostLine[], { host, json }: LogsRequest, { paint, write }: LogsWorld): Promise<boolean> {
  return write(lines.map((line) => `${json ? logJson(host, line) : logLine(line, paint)}\n`).join(''));
}

function hostLine({ unixMs, stage, origin, source, text, severity }: HostLogLine): HostLine {
  return {
    at: Number(unixMs),
    stage: stage as Stage,
    origin: origin as Origin,
    source,
    text,
    ...(severity === undefined ? {} : { severity }),
  };
}
