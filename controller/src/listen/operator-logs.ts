// Lines of one machine for one operator: first those that are kept, then, if he follows, those that come. He reads as fast as he can, and
// nobody waits for him.
import * as grpc from '@grpc/grpc-js';
import type { HostLogLine, LogsRequest, LogsResponse } from '@nixie/proto/operator';
import { type HostLine, type LineFilter, passes } from '../machine/host-line.ts';
import { ends, type Stage, waySteps } from '../machine/stage.ts';

export interface LogDesk {
  known(host: string): boolean;
  /** Lines from now on; the result ends it. */
  follow(host: string, listener: (lines: readonly HostLine[]) => void): () => void;
  /** Lines until now, in batches. */
  until(host: string, filter: LineFilter): AsyncIterable<readonly HostLine[]>;
}

/** One who follows and reads slower than lines come loses the oldest, beyond so many lines and characters waiting. */
const waitingMax = 10_000;
const charsWaitingMax = 8 << 20;
/** Of one message; 4 MiB of bytes are the most that a client takes. */
const linesInMessage = 200;
const charsInMessage = 512 << 10;
const stages: ReadonlySet<string> = new Set([...waySteps, ...ends]);

type Call = grpc.ServerWritableStream<LogsRequest, LogsResponse>;

/** @returns what ends the stream, with what is still waiting; undefined when it has ended or failed already */
export function sendLogs(call: Call, desk: LogDesk): (() => void) | undefined {
  const { host, follow, sinceUnixMs, stage } = call.request;
  if (!desk.known(host)) {
    call.emit('error', { code: grpc.status.NOT_FOUND, details: `there is no host "${host}" in this run` });
    return undefined;
  }
  if (stage !== '' && !stages.has(stage)) {
    call.emit('error', { code: grpc.status.INVALID_ARGUMENT, details: `found the stage "${stage}", which is none` });
    return undefined;
  }
  // Who hears nothing for long knows at least that we are here.
  call.sendMetadata(new grpc.Metadata());
  const filter: LineFilter = {
    ...(sinceUnixMs === undefined ? {} : { since: Number(sinceUnixMs) }),
    ...(stage === '' ? {} : { stage: stage as Stage }),
  };
  let over = false;
  let ending = false;
  let wake = () => {};
  const waiting: HostLine[] = [];
  let chars = 0;
  let lost = 0;
  const unfollow = follow
    ? desk.follow(host, (lines) => {
        for (const line of lines) {
          if (!passes(filter, line)) continue;
          waiting.push(line);
          chars += line.text.length;
        }
        let extra = 0;
        for (; waiting.length - extra > waitingMax || chars > charsWaitingMax; extra++)
          chars -= waiting[extra]!.text.length;
        waiting.splice(0, extra);
        lost += extra;
        wake();
      })
    : () => {};
  const leave = () => {
    over = true;
    unfollow();
    wake();
  };
  for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, leave);
  call.on('drain', () => wake());

  const sleep = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const send = async (lines: readonly HostLine[], lostBefore = 0): Promise<void> => {
    for (let at = 0; at < lines.length && !over; ) {
      const part = beginning(lines, at);
      const message = { lines: part.map(wireLine), lost: BigInt(at > 0 ? 0 : lostBefore) };
      at += part.length;
      if (call.write(message)) continue;
      // Wakes at the drain, at the end, and for nothing whenever a line comes.
      while (!over && call.writableNeedDrain) await sleep();
    }
  };
  const run = async () => {
    for await (const lines of desk.until(host, filter)) {
      await send(lines);
      if (over) return;
    }
    while (follow && !over) {
      if (waiting.length > 0) {
        const before = lost;
        lost = 0;
        const part = waiting.splice(0, beginning(waiting, 0).length);
        for (const { text } of part) chars -= text.length;
        await send(part, before);
      } else if (ending) break;
      else await sleep();
    }
    if (!over) call.end();
  };
  run().catch((error: Error) => {
    if (!over) call.emit('error', { code: grpc.status.INTERNAL, details: error.message });
  });
  return () => {
    ending = true;
    wake();
  };
}

/** As many as one message takes, and at least one. */
function beginning(lines: readonly HostLine[], from: number): readonly HostLine[] {
  let to = from;
  for (let chars = 0; to < lines.length && to - from < linesInMessage; to++) {
    chars += lines[to]!.text.length;
    if (to > from && chars > charsInMessage) break;
  }
  return lines.slice(from, to);
}

function wireLine({ at, severity, ...line }: HostLine): HostLogLine {
  return { unixMs: BigInt(Math.trunc(at)), ...line, severity };
}
