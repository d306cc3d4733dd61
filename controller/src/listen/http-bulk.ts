// Sends whole files by a child process that has the connection as its standard output. `busybox cat` moves the bytes with sendfile(2),
// at a quarter of the processor time of a stream in Node. The connection belongs to the child then: Node's side neither reads nor writes
// it again, and it is closed afterwards, because the descriptor is shared and its non-blocking flag has been changed.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpFile, OnBytes } from './http-file.ts';

export interface BulkCounters {
  readonly bulkByChild: number;
  /** Large files that went through Node: no program, or too many children. */
  readonly bulkByStream: number;
  readonly children: number;
}

export interface BulkSender {
  /** False when it can't take the file now; nothing has been sent then. */
  send(
    request: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string | number>>,
    file: HttpFile,
    onBytes: OnBytes,
  ): boolean;
  counters(): BulkCounters;
  close(): void;
}

const maxChildren = 32;
const lookEveryMs = 250;

/** True if the program runs and copies a file. */
function works(program: string): boolean {
  const tried = spawnSync(program, ['cat', '/dev/null'], { stdio: 'ignore', timeout: 5000 });
  return tried.status === 0;
}

/** Bytes a process has written so far; sendfile counts. Undefined when it is gone. */
function bytesWritten(pid: number): number | undefined {
  try {
    const match = /^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'));
    return match ? Number(match[1]) : undefined;
  } catch {
    return undefined;
  }
}

export function createBulkSender(parts: {
  readonly program?: string | null | undefined;
  readonly stalledMs: number;
}): BulkSender {
  const program = parts.program === undefined ? 'busybox' : parts.program;
  const usable = program !== null && works(program);
  const children = new Map<ChildProcess, Socket>();
  let bulkByChild = 0;
  let bulkByStream = 0;
  let closed = false;

  const kill = (child: ChildProcess): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  };

  const run = (socket: Socket, file: HttpFile, onBytes: OnBytes): void => {
    const child = spawn(program!, ['cat', file.path], {
      stdio: ['ignore', socket, 'ignore'],
      detached: true,
      env: {},
    });
    children.set(child, socket);
    let sent = 0;
    let movedAtMs = performance.now();
    const looking = setInterval(() => {
      const nowMs = performance.now();
      const now = child.pid === undefined ? undefined : bytesWritten(child.pid);
      if (now !== undefined && now > sent) {
        sent = Math.min(now, file.size);
        movedAtMs = nowMs;
        onBytes(sent, file.size, false);
      } else if (nowMs - movedAtMs > parts.stalledMs) {
        kill(child); // the machine was switched off, or reads nothing
      }
    }, lookEveryMs);
    let ended = false;
    const end = (complete: boolean): void => {
      if (ended) return;
      ended = true;
      clearInterval(looking);
      children.delete(child);
      socket.destroy();
      onBytes(complete ? file.size : sent, file.size, true);
    };
    child.on('error', () => end(false));
    child.on('exit', (code) => end(code === 0));
  };

  return {
    send(request, response, headers, file, onBytes) {
      const socket = request.socket;
      // What the client has sent after this request would be lost with the connection; nobody who boots does that.
      if (!usable || closed || children.size >= maxChildren || socket.destroyed || socket.writableLength > 0) {
        bulkByStream++;
        return false;
      }
      bulkByChild++;
      const lines = Object.entries({ ...headers, Date: new Date().toUTCString(), Connection: 'close' });
      const head = `HTTP/1.1 200 OK\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
      response.detachSocket(socket);
      socket.setTimeout(0);
      socket.pause();
      socket.on('error', () => {});
      socket.write(head, (error) => {
        if (error || closed) {
          socket.destroy();
          onBytes(0, file.size, true);
        } else {
          run(socket, file, onBytes);
        }
      });
      return true;
    },
    counters: () => ({ bulkByChild, bulkByStream, children: children.size }),
    close() {
      closed = true;
      for (const [child, socket] of children) {
        kill(child);
        socket.destroy();
      }
    },
  };
}
