// Clients that fetch one file by HTTP at once and throw it away in the kernel, in one process. Prints one line. Argument: JSON of HttpLoad.
import { closeSocket, discard, type Endpoint, Poll, receive, send, tcpConnect } from './sockets.ts';

export interface HttpLoad {
  readonly server: Endpoint;
  readonly path: string;
  /** bytes */
  readonly size: number;
  readonly clients: number;
}

export interface HttpResult {
  readonly seconds: number;
  /** Seconds after which each had its first byte, and its last. */
  readonly first: readonly number[];
  readonly finished: readonly number[];
}

const load = JSON.parse(process.argv[2]!) as HttpLoad;
const poll = new Poll();
const head = Buffer.alloc(2048);
const request = Buffer.from(`GET ${load.path} HTTP/1.1\r\nHost: bench\r\n\r\n`);
const first: number[] = [];
const finished: number[] = [];
const left = new Map<number, { body: number | undefined }>();
const beganMs = performance.now();
const passed = (): number => (performance.now() - beganMs) / 1000;
for (let i = 0; i < load.clients; i++) {
  const fd = tcpConnect(load.server);
  left.set(fd, { body: undefined });
  poll.add(fd);
  send(fd, request);
}
while (left.size > 0) {
  poll.wait(1000, (fd) => {
    const client = left.get(fd)!;
    if (client.body === undefined) {
      const length = receive(fd, head);
      const text = head.toString('latin1', 0, Math.max(0, length));
      const end = text.indexOf('\r\n\r\n');
      if (!text.startsWith('HTTP/1.1 200 ') || end < 0 || !text.includes(`ontent-Length: ${load.size}\r\n`))
        throw new Error(`an odd answer: ${text.slice(0, 300)}`);
      first.push(passed());
      client.body = length - end - 4;
      return;
    }
    const length = discard(fd, Math.min(4 << 20, load.size - client.body));
    if (length < 0) return;
    client.body += length;
    if (length === 0) throw new Error(`the connection ended after ${client.body} of ${load.size} bytes`);
    if (client.body < load.size) return;
    finished.push(passed());
    left.delete(fd);
    closeSocket(fd);
  });
  if (passed() > 300) throw new Error('not done after 300 s');
}
const result = { seconds: passed(), first, finished } satisfies HttpResult;
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
