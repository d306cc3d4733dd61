// Children that have a connection as their standard output, so that the bytes of a large response don't pass through Node. The connection belongs
// to the child then: Node's side neither reads nor writes it again, and it is closed afterwards, because the descriptor is shared and its
// non-blocking flag has been changed.
import { type ChildProcess, spawn } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { addGroup, removeGroup, signalGroup } from '../child/groups.ts';
import type { ChildUser } from '../child/identity.ts';
import type { OnBytes } from './http-file.ts';
import { acknowledgedBytes, raiseSendBuffer } from './udp.ts';

export interface SocketCommand {
  /** Program and arguments. It writes exactly `size` bytes, or fails. */
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Absent: as ourselves. */
  readonly as?: ChildUser;
  /** bytes */
  readonly size: number;
}

export interface SocketChildren {
  readonly running: number;
  /** Sends status 200 with these headers, and what the command writes. `false`: not now, and nothing was sent. */
  send(
    response: ServerResponse,
    headers: Readonly<Record<string, string | number>>,
    command: SocketCommand,
    onBytes: OnBytes,
  ): boolean;
  close(): void;
}

const lookEveryMs = 250;
/** Who takes less in the time in which a child counts as stalled has no use for a file of many MB: by `stalledMs` of a minute 35 kbit/s. */
const leastBytes = 256 << 10;
/** With less room a child is woken for every few packets that were taken, which costs half as much processor time again when eight send at once. */
const sendBufferBytes = 4 << 20;

/** Node has no name for it. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: number } };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}

export function socketChildren(limits: {
  readonly most: number;
  /** A child of which next to nothing is taken for so long is ended. */
  readonly stalledMs: number;
  /** Called when there is place for one more. */
  readonly room?: () => void;
}): SocketChildren {
  const children = new Map<ChildProcess, Socket>();
  /** Heads of responses that are on their way; their children follow. */
  const heads = new Set<Socket>();
  let closed = false;

  const kill = (child: ChildProcess): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    signalGroup(child.pid, 'SIGKILL');
  };

  const run = (socket: Socket, { argv, env, as, size }: SocketCommand, onBytes: OnBytes): void => {
    const descriptor = descriptorOf(socket);
    if (descriptor !== undefined && size >= sendBufferBytes) raiseSendBuffer(descriptor, sendBufferBytes);
    const [program, ...words] = as?.setpriv === undefined ? argv : [as.setpriv, '--no-new-privs', '--', ...argv];
    const child = spawn(program, words, {
      stdio: ['ignore', socket, 'ignore'],
      detached: true,
      cwd: '/',
      env: { ...env },
      ...(as === undefined ? {} : { uid: as.uid, gid: as.gid }),
    });
    const { pid } = child;
    if (pid !== undefined) addGroup(pid);
    children.set(child, socket);
    // Closed, it has none, and its number may be another's.
    const acknowledged = () => {
      const fd = descriptorOf(socket);
      return fd === undefined ? undefined : acknowledgedBytes(fd);
    };
    const before = acknowledged() ?? 0;
    let sent = 0;
    let moved = { bytes: 0, atMs: performance.now() };
    const looking = setInterval(() => {
      const nowMs = performance.now();
      const now = (acknowledged() ?? 0) - before;
      if (now > sent) {
        sent = Math.min(now, size);
        onBytes(sent, size, false);
      }
      if (sent - moved.bytes >= leastBytes) moved = { bytes: sent, atMs: nowMs };
      else if (nowMs - moved.atMs > limits.stalledMs) kill(child); // the machine was switched off, or reads next to nothing
    }, lookEveryMs);
    let ended = false;
    const end = (complete: boolean): void => {
      if (ended) return;
      ended = true;
      clearInterval(looking);
      children.delete(child);
      if (pid !== undefined) removeGroup(pid);
      socket.destroy();
      onBytes(complete ? size : sent, size, true);
      limits.room?.();
    };
    child.on('error', () => end(false));
    child.on('exit', (code) => end(code === 0));
  };

  return {
    get running() {
      return children.size + heads.size;
    },
    send(response, headers, command, onBytes) {
      const { socket } = response;
      // What the client has sent after this request would be lost with the connection; none of those who boot does that.
      if (closed || socket === null || children.size + heads.size >= limits.most) return false;
      if (socket.destroyed || socket.writableLength > 0) return false;
      const lines = Object.entries({ ...headers, Date: new Date().toUTCString(), Connection: 'close' });
      const head = `HTTP/1.1 200 OK\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
      response.detachSocket(socket);
      socket.setTimeout(0);
      socket.pause();
      socket.on('error', () => {});
      heads.add(socket);
      socket.write(head, (error) => {
        heads.delete(socket);
        if (error || closed) {
          socket.destroy();
          onBytes(0, command.size, true);
          limits.room?.();
        } else run(socket, command, onBytes);
      });
      return true;
    },
    close() {
      closed = true;
      for (const socket of heads) socket.destroy();
      for (const [child, socket] of children) {
        kill(child);
        socket.destroy();
      }
    },
  };
}
