// One TCP connection over a stream of messages, both ends: what a socket says goes into messages, and the other way round. Each direction ends by
// itself (RFC 9293 3.6), nobody is sent more than he takes, and one that breaks breaks the other.
import type { Socket } from 'node:net';
import type { Carried } from '@nixie/proto/relay';

/** What is needed of a stream of gRPC, of either side. */
export interface CarriedStream {
  write(message: Carried, done: () => void): unknown;
  on(event: 'data', listener: (message: Carried) => void): unknown;
  on(event: 'end' | 'close' | 'cancelled', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** Bytes in one message at most. */
export const pieceBytes = 64 << 10;
/** The socket is read no further while so many bytes wait for the stream. */
const mostWaiting = 256 << 10;

export interface Carrying {
  /** Both directions have ended, or one broke: then `why`. */
  readonly ended: Promise<{ readonly why?: string; readonly sent: number; readonly received: number }>;
  /** Resets the socket. */
  break(why: string): void;
}

/**
 * Joins them. The socket must allow half-open connections, else its end would close both directions.
 * @param close ends the stream: in order, or as broken. Called once
 */
export function carry(stream: CarriedStream, socket: Socket, close: (why: string | undefined) => void): Carrying {
  const ended = Promise.withResolvers<{ why?: string; sent: number; received: number }>();
  let [sent, received, waiting] = [0, 0, 0];
  let [read, saidAll, heardAll, over] = [false, false, false, false];

  const finish = (why?: string) => {
    if (over) return;
    over = true;
    if (why !== undefined) reset(socket);
    close(why);
    ended.resolve({ sent, received, ...(why === undefined ? {} : { why }) });
  };
  const perhapsFinish = () => {
    // What was written last must have left; the kernel keeps it then.
    if (saidAll && heardAll && waiting === 0 && socket.writableFinished) finish();
  };

  socket.on('data', (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const data = bytes.subarray(at, at + pieceBytes);
      waiting += data.length;
      sent += data.length;
      stream.write({ message: { $case: 'data', value: data } }, () => {
        waiting -= data.length;
        if (waiting <= mostWaiting / 2) socket.resume();
        perhapsFinish();
      });
    }
    if (waiting > mostWaiting) socket.pause();
  });
  socket.on('end', () => {
    read = true;
    if (over) return;
    stream.write({ message: { $case: 'end', value: true } }, () => {
      saidAll = true;
      perhapsFinish();
    });
  });
  socket.on('finish', perhapsFinish);
  socket.on('error', (error) => finish(error.message));
  // Once both have ended what is left to do is to deliver.
  const gone = (inOrder: () => boolean, why: string) => () => {
    if (inOrder() && heardAll) perhapsFinish();
    else finish(why);
  };
  socket.on(
    'close',
    gone(() => read, 'the connection was closed'),
  );

  stream.on('data', ({ message }) => {
    if (over || heardAll) return;
    if (message?.$case === 'end') {
      heardAll = true;
      socket.end();
    } else if (message?.$case === 'data') {
      received += message.value.length;
      if (socket.write(message.value)) return;
      stream.pause();
      socket.once('drain', () => stream.resume());
    }
  });
  stream.on('end', () => {
    // Who ends in order has heard our end.
    if (read && heardAll) [saidAll, waiting] = [true, 0];
    gone(() => read, 'the other side is gone')();
  });
  stream.on(
    'cancelled',
    gone(() => saidAll, 'the other side is gone'),
  );
  stream.on(
    'close',
    gone(() => saidAll, 'the stream was closed'),
  );
  stream.on('error', (error) => finish(error.message));
  if (socket.destroyed) {
    // Its end was told before anybody here listened. Later: whoever asks holds nothing yet that he could end.
    queueMicrotask(() => finish('the connection was closed'));
    return { ended: ended.promise, break: finish };
  }
  socket.setKeepAlive(true, 30_000);
  // Either may have been held back until now.
  socket.resume();
  stream.resume();
  return { ended: ended.promise, break: finish };
}

/** Its peer must not take a break for an end. A Unix socket has no reset: there it is an end like any other. */
function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy();
  }
}
