// Agents in one process, each a TLS connection with one HTTP/2 stream of the protocol: raw, so that a client costs less than the server. Commands come as
// lines on standard input, each answered by a line: `connect N`, `beat SECONDS`, `again N` (those break off and come back, by their tickets as the agent does),
// `anew N` (the same with whole handshakes), `lines N`, `bare N` and `bare-again N` (TLS alone, whole and resumed).
// Argument: `@FILE` with the JSON of AgentLoad.
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { LogBatch, SessionRequest } from '@nixie/proto/agent';
import { helloText } from '../../controller/src/listen/hello.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { makeCredential } from '../../controller/src/machine/token.ts';
import { agentAddress } from './agent-crowd.ts';
import { credentialSecret, ports } from './serve.ts';

export interface AgentLoad {
  readonly server: string;
  readonly certPem: string;
  /** Of the server, from which its secret for credentials is made. */
  readonly keyPem: string;
  /** Handshakes under way at once. */
  readonly atOnce: number;
}

const load = JSON.parse(readFileSync(process.argv[2]!.slice(1), 'utf8')) as AgentLoad;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
const agentKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
const secret = credentialSecret(load.keyPem);
const secureContext = tls.createSecureContext({ ca: load.certPem });
/** The `i`-th connection's, from an address of its own. */
const connection = (i: number) => ({ ...base, localAddress: agentAddress(i) });
const base = { host: load.server, secureContext, servername: 'nixie', ALPNProtocols: ['h2'] };

/** gRPC's frame: no compression, four bytes of length. */
function frame(message: SessionRequest): Buffer {
  const bytes = SessionRequest.encode(message).finish();
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
const beat = frame({
  message: { $case: 'heartbeat', value: { sequence: 1n, uptimeMs: 1n, memoryAvailableBytes: 1n } as never },
});
const logLine = {
  unixMs: 1_795_212_947_052n,
  source: 'nixos-anywhere.service',
  text: 'copying path, a line about as long as they usually are',
  severity: 6,
};
const batchOf = (lines: number): Buffer =>
  frame({ message: { $case: 'log', value: LogBatch.fromPartial({ first: 0n, lines: Array(lines).fill(logLine) }) } });

class Agent {
  readonly #credential: string;
  readonly #bootId: string;
  session: http2.ClientHttp2Session | undefined;
  stream: http2.ClientHttp2Stream | undefined;
  lost = false;
  #ticket: Buffer | undefined;
  readonly #i: number;
  onAck = (): void => {};
  constructor(i: number) {
    this.#i = i;
    this.#bootId = `boot${i}`;
    const mac =
      `52:54:00:${[i >> 16, i >> 8, i].map((part) => (part & 255).toString(16).padStart(2, '0')).join(':')}` as Mac;
    this.#credential = makeCredential(secret, { host: `m${i}`, mac, bootId: this.#bootId, agentKey });
  }

  /** Resolves when the session is up: its first heartbeat was acknowledged; true when TLS was resumed. */
  connect(byTicket = false): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const unixMs = BigInt(Date.now());
      const signature = sign('sha256', helloText(this.#credential, this.#bootId, unixMs), key);
      const hello = { bootId: this.#bootId, unixMs, address: agentAddress(this.#i), signature };
      const resuming = byTicket && this.#ticket !== undefined ? { session: this.#ticket } : {};
      const socket = tls.connect({ ...connection(this.#i), port: ports.agents, ...resuming });
      socket.on('session', (ticket: Buffer) => {
        this.#ticket = ticket;
      });
      socket.once('error', reject);
      const session = http2.connect(`https://${load.server}`, { createConnection: () => socket });
      const fail = (error?: Error): void => {
        this.lost = true;
        reject(error ?? new Error('the stream was closed'));
      };
      session.on('error', fail);
      const stream = session.request({
        ':method': 'POST',
        ':path': '/nixie.v1.AgentService/Session',
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${this.#credential}`,
      });
      stream.on('error', fail);
      stream.on('close', () => fail());
      stream.on('data', () => {
        resolve(socket.isSessionReused());
        this.onAck();
      });
      stream.write(frame({ message: { $case: 'hello', value: hello as never } }));
      stream.write(beat);
      [this.session, this.stream, this.lost] = [session, stream, false];
    });
  }

  break(): void {
    this.stream?.removeAllListeners('close').on('error', () => {});
    this.session?.removeAllListeners('error').on('error', () => {});
    this.session?.destroy();
  }
}

const agents: Agent[] = [];
async function eachAtOnce(count: number, one: (i: number) => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: load.atOnce }, worker));
  return (performance.now() - beganMs) / 1000;
}

const commands: Record<string, (count: number) => Promise<object>> = {
  async connect(count) {
    while (agents.length < count) agents.push(new Agent(agents.length));
    return { seconds: await eachAtOnce(count, (i) => agents[i]!.connect()) };
  },
  /** All beat every five seconds, evenly spread, for so long. */
  async beat(seconds) {
    const everyMs = 5000;
    const beganMs = performance.now();
    const tookMs: number[] = [];
    let sent = 0;
    while ((performance.now() - beganMs) / 1000 < seconds) {
      const due = Math.floor(((performance.now() - beganMs) / everyMs) * agents.length);
      for (; sent < due; sent++) {
        const agent = agents[sent % agents.length]!;
        const sentMs = performance.now();
        agent.onAck = () => void tookMs.push(performance.now() - sentMs);
        agent.stream?.write(beat);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    tookMs.sort((a, b) => a - b);
    const lost = agents.filter((agent) => agent.lost).length;
    return { sent, acknowledged: tookMs.length, lost, p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] };
  },
  again: (count) => comeBack(count, true),
  anew: (count) => comeBack(count, false),
  /** Batches of 50 lines, as much as is taken, from ten agents. */
  async lines(count) {
    const batch = batchOf(50);
    const beganMs = performance.now();
    const each = Math.ceil(count / 50 / 10);
    await Promise.all(
      agents.slice(0, 10).map(
        (agent) =>
          new Promise<void>((resolve) => {
            const { stream } = agent;
            let left = each;
            const more = (): void => {
              while (left > 0) {
                left -= 1;
                if (!stream!.write(batch)) {
                  stream!.once('drain', more);
                  return;
                }
              }
              // What was written last is acknowledged after all that came before it.
              agent.onAck = resolve;
              stream!.write(beat);
            };
            more();
          }),
      ),
    );
    return { seconds: (performance.now() - beganMs) / 1000, lines: each * 50 * 10 };
  },
  bare: (count) => handshakes(count, false),
  'bare-again': (count) => handshakes(count, true),
};

async function comeBack(count: number, byTicket: boolean): Promise<object> {
  for (const agent of agents.slice(0, count)) agent.break();
  await new Promise((resolve) => setTimeout(resolve, 300));
  let resumed = 0;
  const seconds = await eachAtOnce(count, async (i) => {
    if (await agents[i]!.connect(byTicket)) resumed += 1;
  });
  return { seconds, resumed };
}

let bareTicket: Buffer | undefined;
/** Handshakes with the server that does nothing else, a byte there and back. */
async function handshakes(count: number, byTicket: boolean): Promise<object> {
  const session = byTicket ? bareTicket : undefined;
  let resumed = 0;
  const seconds = await eachAtOnce(
    count,
    (i) =>
      new Promise<void>((resolve, reject) => {
        const resuming = session === undefined ? {} : { session };
        const socket = tls.connect({ ...connection(i), port: ports.tls, ...resuming }, () => socket.write('x'));
        socket.on('session', (ticket: Buffer) => {
          bareTicket = ticket;
        });
        socket.once('data', () => {
          if (socket.isSessionReused()) resumed += 1;
          socket.destroy();
          resolve();
        });
        socket.on('error', reject);
      }),
  );
  return { seconds, resumed };
}

console.log('ready');
for await (const line of createInterface(process.stdin)) {
  const [word, count] = line.split(' ') as [string, string];
  console.log(JSON.stringify(await commands[word]!(Number(count))));
}
