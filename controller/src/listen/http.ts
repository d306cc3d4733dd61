// HTTP on the provisioning addresses only: boot scripts, loaders, and the files of the installer by content address. What can be fetched
// stands in tables; no text of a request reaches a file system.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { chunkPlace, chunksOf } from '@nixie/proto/fleet';
import type { Mac } from '../machine/mac.ts';
import { createFleetDoor } from './fleet-door.ts';
import { type BulkSender, createBulkSender } from './http-bulk.ts';
import { type HeldFile, type HttpFile, partOf, sendBytes, sendFile, sendText } from './http-file.ts';
import type { NixDoor } from './http-nix.ts';
import { routeOf } from './http-route.ts';
import type { Seen } from './seen.ts';
import { shareConnections } from './share-connections.ts';
import { listenOn } from './tcp-listen.ts';

export type { FileHold, HeldFile, HttpFile } from './http-file.ts';

/** By `SHA256/NAME`. */
export type HttpFiles = ReadonlyMap<string, HttpFile | HeldFile>;

/** Who asks for the boot script of a MAC, and at which of our addresses. */
export interface ScriptAsk {
  readonly mac: Mac;
  readonly remoteAddress: string;
  readonly localAddress: string;
}

/** Synchronous: nobody waits in an answer. `refuse` is a sentence for the client, sent with 403. */
export type AnswerScript = (ask: ScriptAsk) => { readonly script: string } | { readonly refuse: string };

export interface FileProgress {
  readonly remoteAddress: string;
  /** Of the machine whose script was last fetched from that address. */
  readonly mac?: Mac;
  readonly file: string;
  /** Bytes of this response handed to the network so far. */
  readonly sentBytes: number;
  readonly totalBytes: number;
  /** True in the last call for this response. */
  readonly ended: boolean;
}

export interface HttpOptions {
  readonly addresses: readonly string[];
  /** 0 takes any free one, the same on all addresses; for tests. */
  readonly port: number;
  readonly script: AnswerScript;
  /** Contents by the name under `/loader/`. */
  readonly loaders: ReadonlyMap<string, Uint8Array>;
  /** Installer files by `SHA256/NAME` under `/f/`; can be set later as well. */
  readonly files?: HttpFiles;
  /** The binary cache below `/nix/`. Absent: there is none. Its requests, thousands for each machine, are not told one by one. */
  readonly nix?: NixDoor;
  /** The MAC behind an address that fetched no boot script here: what boots may take another address than its firmware had. */
  readonly macAt?: (address: string, ours: string) => Mac | undefined;
  readonly onSeen?: (seen: Seen) => void;
  /** At most four times a second for each response. */
  readonly onProgress?: (progress: FileProgress) => void;
  /** Program that copies a file to its standard output without the bytes passing through it; null never uses one. */
  readonly catProgram?: string | null;
  readonly limits?: Partial<HttpLimits>;
}

export interface HttpLimits {
  readonly maxConnections: number;
  readonly maxUrlBytes: number;
  readonly maxHeaderBytes: number;
  readonly headersTimeoutMs: number;
  readonly keepAliveMs: number;
  /** A response of which nothing is taken for this long is ended. */
  readonly stalledMs: number;
}

const usualLimits: HttpLimits = {
  maxConnections: 1024,
  maxUrlBytes: 512,
  maxHeaderBytes: 8192,
  headersTimeoutMs: 10_000,
  keepAliveMs: 15_000,
  stalledMs: 60_000,
};

export interface HttpCounters {
  readonly requests: number;
  readonly refused: number;
  readonly bulkByChild: number;
  readonly bulkByStream: number;
  readonly children: number;
  /** That tell each other what they have of an image. */
  readonly fleet: number;
}

export interface HttpServer {
  readonly port: number;
  setFiles(files: HttpFiles): void;
  setLoaders(loaders: ReadonlyMap<string, Uint8Array>): void;
  counters(): HttpCounters;
  /** Ends all connections and children. */
  close(): Promise<void>;
}

const oldAgentText =
  'This controller speaks to nixie-agent over gRPC; the agent that posts to /install is too old. Boot an installer image that has nixie-agent.\n';
const addressesRemembered = 4096;

/** Opens the servers. @throws PortTaken */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const limits = { ...usualLimits, ...options.limits };
  const count = { requests: 0, refused: 0 };
  const prepared = (all: ReadonlyMap<string, Uint8Array>) =>
    new Map([...all].map(([name, bytes]) => [name, sendBytes.prepare(name, bytes)]));
  let loaders = prepared(options.loaders);
  let files: HttpFiles = options.files ?? new Map();
  const macs = new Map<string, Mac>();
  const bulk: BulkSender = createBulkSender({ program: options.catProgram, stalledMs: limits.stalledMs });

  const see = (
    kind: 'http-script' | 'http-file' | 'http-refused',
    request: IncomingMessage,
    detail: string,
    why?: string,
    mac?: Mac,
  ): void => {
    const address = remoteAddress(request);
    const whose = mac ?? macs.get(address);
    options.onSeen?.({ kind, address, detail, ...(why !== undefined && { why }), ...(whose && { mac: whose }) });
  };
  const refuse = (
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    text: string,
    why: string,
    mac?: Mac,
  ): void => {
    count.refused++;
    see('http-refused', request, printable(request.url ?? ''), why, mac);
    if (status === 405) response.setHeader('Allow', 'GET, HEAD');
    sendText(request, response, status, `${text}\n`);
  };

  /** One odd request must not end the others. */
  const broke = (request: IncomingMessage, response: ServerResponse, error: Error): void => {
    see('http-refused', request, error.message, 'broken');
    if (response.headersSent) response.destroy();
    else sendText(request, response, 500, 'broken here; see the log of nixie\n');
  };

  const remember = (address: string, mac: Mac): void => {
    macs.delete(address);
    macs.set(address, mac);
    if (macs.size > addressesRemembered) macs.delete(macs.keys().next().value!);
  };

  const script = (request: IncomingMessage, response: ServerResponse, mac: Mac): void => {
    const from = remoteAddress(request);
    const answer = options.script({ mac, remoteAddress: from, localAddress: localAddress(request) });
    if ('refuse' in answer) {
      refuse(request, response, 403, answer.refuse, 'script-refused', mac);
      return;
    }
    remember(from, mac);
    fleet.begun(from);
    see('http-script', request, `boot script of ${mac}`, undefined, mac);
    sendText(request, response, 200, answer.script);
  };

  const fleet = createFleetDoor({
    ticks: () => performance.now(),
    random: Math.random,
    broke,
    onHave(address, image, sentBytes) {
      const name = `${image}/image`;
      const totalBytes = files.get(name)?.size;
      const mac = macs.get(address);
      if (totalBytes === undefined) return;
      const ended = sentBytes >= totalBytes;
      options.onProgress?.({ remoteAddress: address, ...(mac && { mac }), file: name, sentBytes, totalBytes, ended });
    },
  });

  const announce = (request: IncomingMessage, response: ServerResponse, image: string, by: 'agent' | 'stage'): void => {
    const from = remoteAddress(request);
    const mac = macs.get(from) ?? options.macAt?.(from, localAddress(request));
    if (mac === undefined) {
      refuse(request, response, 403, 'only for machines that fetched their boot script here', 'no-script');
      return;
    }
    if (!macs.has(from)) remember(from, mac);
    fleet.announce(request, response, from, image, files.get(`${image}/image`)!.size, by);
  };

  const installerFile = (
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    file: HttpFile | HeldFile,
  ): void => {
    const from = remoteAddress(request);
    // Hundreds of pieces, followed by what the machine has of the whole.
    if (name.endsWith('/image') && request.headers.range !== undefined) {
      const image = name.slice(0, -'/image'.length);
      sendFile(request, response, { ...file, name }, bulk, limits.stalledMs, (sentBytes, _total, ended) => {
        if (ended) fleet.sent(from, image, sentBytes, file.size);
      });
      return;
    }
    see('http-file', request, name);
    const mac = macs.get(from);
    sendFile(request, response, { ...file, name }, bulk, limits.stalledMs, (sentBytes, totalBytes, ended) =>
      options.onProgress?.({ remoteAddress: from, ...(mac && { mac }), file: name, sentBytes, totalBytes, ended }),
    );
  };

  const chunk = (request: IncomingMessage, response: ServerResponse, name: string, number: number): void => {
    const file = files.get(name)!;
    if (number >= chunksOf(file.size)) {
      refuse(request, response, 404, 'not found', 'unknown-path');
      return;
    }
    const { at, bytes } = chunkPlace({ bytes: file.size }, number);
    const [from, image] = [remoteAddress(request), name.slice(0, -'/image'.length)];
    const part = { ...partOf(file, at, bytes, bulk), name };
    sendFile(request, response, part, bulk, limits.stalledMs, (sentBytes, _total, ended) => {
      if (ended) fleet.sent(from, image, sentBytes, file.size);
    });
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    count.requests++;
    request.resume(); // no body is looked at but an announcement, which is there from the next tick on
    const method = request.method ?? '';
    const { nix } = options;
    const route = routeOf(method, request.url ?? '', { loaders, files, nix: nix !== undefined }, limits.maxUrlBytes);
    switch (route.kind) {
      case 'old-agent':
        sendText(request, response, 410, oldAgentText);
        break;
      case 'ping':
        sendText(request, response, 200, 'pong');
        break;
      case 'script':
        script(request, response, route.mac);
        break;
      case 'loader':
        see('http-file', request, `/loader/${route.name}`);
        sendBytes(request, response, loaders.get(route.name)!);
        break;
      case 'fleet':
        announce(request, response, route.image, route.by);
        break;
      case 'chunk':
        chunk(request, response, route.name, route.chunk);
        break;
      case 'file':
        installerFile(request, response, route.name, files.get(route.name)!);
        break;
      case 'nix':
        nix?.(request, response, route.ask);
        break;
      case 'refuse':
        refuse(request, response, route.status, route.text, route.why);
    }
  };

  const guarded = (request: IncomingMessage, response: ServerResponse): void => {
    response.on('error', () => {}); // the client went away
    const answer = () => {
      if (response.destroyed) return;
      try {
        handle(request, response);
      } catch (error) {
        broke(request, response, error as Error);
      }
    };
    // Whoever has all bytes of an answer may ask again before that answer has ended here. Until then this one has no connection.
    if (response.socket === null) response.once('socket', () => process.nextTick(answer));
    else answer();
  };

  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    bulk.close();
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  };

  let port = options.port;
  try {
    for (const address of options.addresses) {
      const server = createServer({ maxHeaderSize: limits.maxHeaderBytes, connectionsCheckingInterval: 2000 }, guarded);
      shareConnections(server, limits.maxConnections);
      server.headersTimeout = limits.headersTimeoutMs;
      server.requestTimeout = limits.headersTimeoutMs * 2;
      server.keepAliveTimeout = limits.keepAliveMs;
      server.on('clientError', (_error, socket) => socket.destroy());
      await listenOn(server, address, port);
      servers.push(server);
      port = (server.address() as { port: number }).port;
    }
  } catch (error) {
    await close();
    throw error;
  }

  return {
    port,
    setFiles: (next) => {
      files = next;
      fleet.keepOnly((image) => next.has(`${image}/image`));
    },
    setLoaders: (next) => {
      loaders = prepared(next);
    },
    counters: () => ({ ...count, ...bulk.counters(), fleet: fleet.machines }),
    close,
  };
}

function remoteAddress(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}

function localAddress(request: IncomingMessage): string {
  return (request.socket.localAddress ?? '').replace(/^::ffff:/, '');
}

/** For the trail: no control characters, not long. */
function printable(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?');
}
