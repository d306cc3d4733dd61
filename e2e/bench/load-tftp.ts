// Machines that fetch a file by TFTP all at once, in one process: RFC 1350, 2348, 7440. What they get is compared with what they should get, block by
// block. Prints one line: when each was done. Argument: JSON of TftpLoad.
import { readFileSync } from 'node:fs';
import { closeSocket, type Endpoint, Poll, receive, send, setPeer, socketAddress, udpSocket } from './sockets.ts';

export interface TftpLoad {
  readonly server: Endpoint;
  /** Ours. */
  readonly from: string;
  readonly name: string;
  /** What should come. */
  readonly file: string;
  readonly clients: number;
  readonly blockSize: number;
  /** 1: it is not asked for. */
  readonly window: number;
  /** Of a machine that hears nothing: it repeats what it said last. */
  readonly timeoutMs: number;
  /** Begin anew until so much time has passed; absent: once. */
  readonly forMs?: number;
}

export interface TftpResult {
  /** Seconds since the start at which each was done. */
  readonly finished: readonly number[];
  readonly failures: readonly string[];
  /** Datagrams that machines had to repeat, and blocks that came a second time. */
  readonly repeated: number;
  readonly duplicates: number;
}

const load = JSON.parse(process.argv[2]!) as TftpLoad;
const want = readFileSync(load.file);
const server = socketAddress(load.server);
const blocks = Math.floor(want.length / load.blockSize) + 1;
const patienceMs = 300_000;
const text = (...words: string[]): Buffer => Buffer.from(words.map((word) => `${word}\0`).join(''), 'latin1');
const options = ['blksize', String(load.blockSize), ...(load.window > 1 ? ['windowsize', String(load.window)] : [])];
const asking = (name: string): Buffer => Buffer.concat([Buffer.of(0, 1), text(name, 'octet', ...options)]);
const request = asking(load.name);

const poll = new Poll();
const into = Buffer.alloc(65536);
const from = new Uint8Array(16);
let repeated = 0;
let duplicates = 0;
const finished: number[] = [];
const failures: string[] = [];

class Machine {
  readonly fd = udpSocket({ address: load.from, port: 0 });
  readonly #begunMs = performance.now();
  readonly #ack = Buffer.of(0, 4, 0, 0);
  #last: Buffer = request;
  #lastAtMs = performance.now();
  #connected = false;
  #got = 0;
  #unacknowledged = 0;
  /** A gap was told of already. */
  #told = false;

  start(): void {
    poll.add(this.fd);
    send(this.fd, request, server);
  }

  /** True when it is over. */
  readable(): boolean {
    // In lock-step only one can be there.
    for (let most = load.window; most > 0; most--) {
      const length = receive(this.fd, into, this.#connected ? null : from);
      if (length < 4) return false;
      if (!this.#connected) {
        setPeer(this.fd, from);
        this.#connected = true;
      }
      if (this.#datagram(length)) return true;
    }
    return false;
  }

  #datagram(length: number): boolean {
    const code = into[1];
    if (code === 5) return this.#fail(`error ${into[3]} ${into.toString('latin1', 4, length - 1)}`);
    if (code === 6) {
      if (this.#got > 0) return false;
      const said = into.toString('latin1', 2, length).split('\0');
      const size = Number(said[said.findIndex((word) => word.toLowerCase() === 'blksize') + 1]);
      if (size !== load.blockSize) return this.#fail(`block size ${size} was granted, not ${load.blockSize}`);
      this.#acknowledge();
      return false;
    }
    if (code !== 3) return this.#fail(`opcode ${code}`);
    const ahead = (into.readUInt16BE(2) - this.#got) & 0xffff;
    if (ahead !== 1) {
      if (ahead > 0x8000 || ahead === 0) duplicates += 1;
      // RFC 7440 section 4: what is missing is asked for at once, and once. In lock-step a block that came again is acknowledged again.
      if (load.window === 1 || !this.#told) {
        this.#told = true;
        this.#acknowledge();
      }
      return false;
    }
    const at = this.#got * load.blockSize;
    const rest = want.length - at;
    if (length - 4 !== Math.min(rest, load.blockSize))
      return this.#fail(`block ${this.#got + 1} has ${length - 4} bytes`);
    if (want.compare(into, 4, length, at, at + length - 4) !== 0) return this.#fail(`block ${this.#got + 1} is wrong`);
    this.#got += 1;
    this.#told = false;
    this.#unacknowledged += 1;
    if (this.#got === blocks) {
      this.#acknowledge();
      finished.push((performance.now() - this.#begunMs) / 1000);
      return true;
    }
    if (this.#unacknowledged >= load.window) this.#acknowledge();
    return false;
  }

  #acknowledge(): void {
    this.#ack.writeUInt16BE(this.#got & 0xffff, 2);
    this.#last = this.#ack;
    this.#lastAtMs = performance.now();
    this.#unacknowledged = 0;
    send(this.fd, this.#ack);
  }

  #fail(why: string): true {
    failures.push(why);
    return true;
  }

  /** True when it gives up. */
  look(nowMs: number): boolean {
    if (nowMs - this.#begunMs > patienceMs) return this.#fail(`not done after ${patienceMs} ms, at block ${this.#got}`);
    if (nowMs - this.#lastAtMs < load.timeoutMs) return false;
    this.#lastAtMs = nowMs;
    repeated += 1;
    this.#unacknowledged = 0;
    if (this.#connected) send(this.fd, this.#last);
    else send(this.fd, this.#last, server);
    return false;
  }
}

/** The server answers. */
function ready(): void {
  const fd = udpSocket({ address: load.from, port: 0 });
  const probe = new Poll();
  probe.add(fd);
  let heard = false;
  for (let tries = 0; !heard && tries < 500; tries++) {
    send(fd, asking('nothing-of-that-name'), server);
    probe.wait(20, () => {
      heard = receive(fd, into) > 0;
    });
  }
  closeSocket(fd);
  if (!heard) throw new Error('the TFTP server does not answer');
}

ready();
if (process.argv[3] === 'wait') {
  console.log('ready');
  await new Promise((resolve) => process.stdin.once('data', resolve));
}
const beganMs = performance.now();
let left = new Map<number, Machine>();
const begin = (): void => {
  const machine = new Machine();
  left.set(machine.fd, machine);
  machine.start();
};
const over = (machine: Machine): void => {
  left.delete(machine.fd);
  closeSocket(machine.fd);
  if (load.forMs !== undefined && performance.now() - beganMs < load.forMs) begin();
};
for (let i = 0; i < load.clients; i++) begin();
let lookedMs = beganMs;
while (left.size > 0) {
  poll.wait(50, (fd) => {
    const machine = left.get(fd);
    if (machine?.readable()) over(machine);
  });
  const nowMs = performance.now();
  if (nowMs - lookedMs < 50) continue;
  lookedMs = nowMs;
  for (const machine of [...left.values()]) if (machine.look(nowMs)) over(machine);
}
left = new Map();
const result = { finished, failures, repeated, duplicates } satisfies TftpResult;
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
