// The door for ssh to machines behind relays: a Unix socket. Who connects says RELAY ADDRESS PORT on a line, hears `ok` or why not, and is then joined
// with the machine. Who may open it is said by file permissions.
import { chmodSync, chownSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { isRelayName } from '../machine/relay.ts';
import { parseAddress } from '../wire/dhcp4/address.ts';

export interface SshDoorOptions {
  readonly path: string;
  /** Whose ssh it is for. Absent: ours. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /**
   * Reaches a machine behind a relay.
   * @param accepted called once it is reached: the socket to join it with, paused
   * @throws Error that says why not
   */
  connect(relay: string, address: string, port: number, accepted: () => Socket): Promise<unknown>;
  readonly lineMs?: number;
}

/** At a time; an install has a handful. */
const mostConnections = 1024;
const longestLine = 256;

export interface SshWanted {
  readonly relay: string;
  readonly address: string;
  readonly port: number;
}

/** `rack7 10.0.0.9 22`; undefined for anything else. */
export function readSshLine(line: string): SshWanted | undefined {
  const [relay = '', address = '', port = '', ...more] = line.split(' ');
  if (more.length > 0 || !isRelayName(relay) || parseAddress(address) === undefined) return undefined;
  const number = /^[1-9][0-9]{0,4}$/.test(port) ? Number(port) : 0;
  return number >= 1 && number <= 65_535 ? { relay, address, port: number } : undefined;
}

/** @throws Error naming the path */
export async function startSshDoor(options: SshDoorOptions): Promise<{ close(): Promise<void> }> {
  const { path, owner, lineMs = 5000 } = options;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    if (open.size >= mostConnections) {
      socket.end('error: too many connections at once\n');
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    serve(socket, options, lineMs);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`listen for ssh at ${path}: ${error.message}`, { cause: error })));
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const each of open) each.destroy();
      await closed;
    },
  };
}

function serve(socket: Socket, { connect }: SshDoorOptions, lineMs: number): void {
  let head = Buffer.alloc(0);
  const refuse = (why: string) => {
    clearTimeout(late);
    socket.off('data', read);
    socket.resume();
    socket.end(`error: ${why.replace(/\s+/g, ' ').slice(0, 1000)}\n`);
  };
  const late = setTimeout(() => refuse('no line was said'), lineMs);
  socket.once('close', () => clearTimeout(late));
  const read = (bytes: Buffer) => {
    head = Buffer.concat([head, bytes]);
    const at = head.indexOf(10);
    if (at < 0) {
      if (head.length > longestLine) refuse('the first line is too long');
      return;
    }
    clearTimeout(late);
    socket.off('data', read);
    socket.pause();
    const wanted = readSshLine(head.subarray(0, at).toString('latin1'));
    if (wanted === undefined) {
      refuse('expected RELAY ADDRESS PORT');
      return;
    }
    if (at + 1 < head.length) socket.unshift(head.subarray(at + 1));
    connect(wanted.relay, wanted.address, wanted.port, () => {
      socket.write('ok\n');
      return socket;
    }).catch((error: Error) => refuse(error.message));
  };
  socket.on('data', read);
}
