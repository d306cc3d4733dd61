// The way of ssh to a machine behind a relay: ProxyCommand (ssh_config(5)) starts this small program as whoever runs ssh, and it joins ssh with the
// controller's Unix socket. It is written out for each run, so that it can be read and started wherever nixie itself came from.
import { quote } from './shim.ts';

/** ssh gives the address in place of `%h`, the port in place of `%p`; both go through /bin/sh. */
export function proxyOption(parts: {
  /** node by absolute path. */
  readonly node: string;
  /** The program, and the socket. */
  readonly file: string;
  readonly socket: string;
  readonly relay: string;
}): string {
  const { node, file, socket, relay } = parts;
  // ssh would take a `%` for a word of its own.
  for (const path of [node, file, socket])
    if (!path.startsWith('/') || /[%\n]/.test(path))
      throw new Error(`name way by relay: expected an absolute path without "%", found ${JSON.stringify(path)}`);
  return `ProxyCommand=${[node, file, socket, relay].map(quote).join(' ')} %h %p`;
}

/** The program, for node: SOCKET RELAY ADDRESS PORT. What went wrong is its last line on standard error, and ssh's too. */
export const proxyText = `// Joins ssh with a machine behind a relay. Written anew for each run.
import { connect } from 'node:net';
const [path, ...words] = process.argv.slice(2);
const { stdin, stdout, stderr } = process;
const socket = connect({ path, allowHalfOpen: true });
const end = (why) => {
  if (why !== undefined) {
    process.exitCode = 1;
    stderr.write(why + '\\n');
  }
  stdin.destroy();
  socket.destroy();
};
socket.on('error', (error) => end('relay: ' + error.message));
stdout.on('error', () => end());
stdin.on('error', () => end());
socket.write(words.join(' ') + '\\n');
let head = Buffer.alloc(0);
const first = (bytes) => {
  head = Buffer.concat([head, bytes]);
  const at = head.indexOf(10);
  if (at < 0 && head.length < 2000) return;
  socket.off('data', first);
  const line = head.subarray(0, at < 0 ? head.length : at).toString();
  if (line !== 'ok') return end(line);
  stdout.write(head.subarray(at + 1));
  stdin.pipe(socket);
  socket.pipe(stdout, { end: false });
  socket.on('end', () => end());
};
socket.on('data', first);
socket.on('close', () => end());
`;

/** What a relay says of a machine that it asked in vain: Node's words for the answer of TCP, and its own. All else is about the way. */
const askedInVain =
  /^connect to (?:.*(?:ECONNREFUSED|ECONNRESET|EHOSTUNREACH|EHOSTDOWN|ETIMEDOUT)|.*: no answer within |.*: it is in none of |.*: that is the relay )/;

/**
 * Reads why the program above has ended, from all that came from an ssh's standard error; undefined: it didn't say. `asked`: the relay has tried
 * to connect, and nobody took it.
 */
export function wayFailure(stderr: string): { readonly why: string; readonly asked: boolean } | undefined {
  const why = /^(?:error|relay): (.+)$/m.exec(stderr)?.[1]?.trim();
  return why === undefined ? undefined : { why, asked: askedInVain.test(why) };
}
