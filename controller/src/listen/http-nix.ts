// The binary cache over HTTP, below /nix/: what may be asked for, and how a controller sends what lies in its own store. Every name stands in a
// table; nothing of a request reaches a file system.
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ChildUser } from '../child/identity.ts';
import type { PathTable, ServedPath } from '../nix/binary-cache.ts';
import { narOf } from '../nix/nar.ts';
import { sendText } from './http-file.ts';
import { socketChildren } from './socket-child.ts';

/** What stands behind `/nix/`. */
export type NixAsk =
  | { readonly kind: 'info' }
  /** Hash part of a store path. */
  | { readonly kind: 'narinfo' | 'nar'; readonly hash: string };

/** Answers GET and HEAD. */
export type NixDoor = (request: IncomingMessage, response: ServerResponse, ask: NixAsk) => void;

const hash = '([0-9abcdfghijklmnpqrsvwxyz]{32})';
const narInfoPath = new RegExp(`^/nix/${hash}\\.narinfo$`);
const narPath = new RegExp(`^/nix/nar/${hash}\\.nar$`);

/** Undefined: it is none of a cache's paths. */
export function nixAsk(path: string): NixAsk | undefined {
  if (path === '/nix/nix-cache-info') return { kind: 'info' };
  const narInfo = narInfoPath.exec(path)?.[1];
  if (narInfo !== undefined) return { kind: 'narinfo', hash: narInfo };
  const nar = narPath.exec(path)?.[1];
  return nar === undefined ? undefined : { kind: 'nar', hash: nar };
}

/** Descriptions as nix wants them. HEAD asks for the same without a body. */
export function sendNixText(
  request: IncomingMessage,
  response: ServerResponse,
  kind: NixAsk['kind'],
  text: string,
): void {
  const bytes = Buffer.from(text);
  const type = kind === 'info' ? 'text/x-nix-cache-info' : 'text/x-nix-narinfo';
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

export const narHeaders = (bytes: number) => ({ 'Content-Type': 'application/x-nix-nar', 'Content-Length': bytes });

export interface StoreDoorParts {
  readonly table: PathTable;
  /** Environment of nix-store, with the PATH that it is found in. */
  readonly env: Readonly<Record<string, string>>;
  /** Whose rights it gets. Absent: ours. */
  readonly as?: ChildUser;
  readonly program?: string;
  /** A response of which nothing is taken for so long is ended. */
  readonly stalledMs?: number;
  /** NARs sent by children at the same time, in all and to one address or relay, and how long and in what number others wait for that. */
  readonly most?: number;
  readonly mostEach?: number;
  readonly waitMs?: number;
  readonly mostWaiting?: number;
}

export interface NixCounters {
  readonly narInfos: number;
  readonly nars: number;
  readonly narBytes: number;
  readonly refused: number;
  /** Children at work now. */
  readonly sending: number;
}

export interface StoreDoor {
  readonly answer: NixDoor;
  /** Headers of a request that we make of our own door for somebody else: it counts as theirs and not as ours. Nobody else can make them up. */
  behalfOf(name: string): Readonly<Record<string, string>>;
  counters(): NixCounters;
  close(): void;
}

/**
 * The status for a path that can't be had, for whatever reason: nix goes on without this one path. At any other it does without the whole cache
 * for a minute.
 */
export const noSuchPath = 404;

/** NARs up to this size are made in memory. */
export const smallNarBytes = 256 << 10;
/** Such ones at the same time. */
const smallAtOnce = 32;

const behalfHeader = 'x-nixie-behalf-of';

/** Serves the paths of the table out of the store of this machine. */
export function storeDoor(parts: StoreDoorParts): StoreDoor {
  const { table, most = 64, mostEach = 32, waitMs = 30_000, mostWaiting = 1024, stalledMs = 60_000 } = parts;
  const count = { narInfos: 0, nars: 0, narBytes: 0, refused: 0 };
  /** Those who wait, in order: `again` sends it if there is room now. */
  const waiting = new Set<{ again(): void; leave(): void }>();
  /** Children at work by the address of the client, or the relay: one that takes all of them and reads slowly must not keep out the others. */
  const each = new Map<string, number>();
  const ours = `${randomBytes(16).toString('hex')} `;
  const clientOf = ({ headers, socket }: IncomingMessage): string => {
    const named = headers[behalfHeader];
    return typeof named === 'string' && named.startsWith(ours) ? named : (socket.remoteAddress ?? '');
  };
  let small = 0;
  const next = (): void => {
    for (const one of [...waiting]) one.again();
  };
  const children = socketChildren({ most, stalledMs, room: next });

  const refuse = (request: IncomingMessage, response: ServerResponse, text: string): void => {
    count.refused++;
    sendText(request, response, noSuchPath, `${text}\n`);
  };

  const sendSmall = async (
    request: IncomingMessage,
    response: ServerResponse,
    { path, narSize }: ServedPath,
  ): Promise<void> => {
    small++;
    try {
      const bytes = await narOf(path, narSize);
      // Fewer bytes than the table says: the store has lost it meanwhile.
      if (bytes.length !== narSize) throw new Error(`archive ${path}: ${bytes.length} bytes, expected ${narSize}`);
      count.narBytes += bytes.length;
      response.setTimeout(stalledMs, () => response.destroy());
      response.writeHead(200, narHeaders(narSize));
      response.end(bytes);
    } catch {
      if (response.headersSent) response.destroy();
      else refuse(request, response, 'not to be had any more');
    } finally {
      small--;
      next();
    }
  };

  /** False: there is no room now. */
  const begin = (request: IncomingMessage, response: ServerResponse, served: ServedPath): boolean => {
    if (served.narSize <= smallNarBytes) {
      if (small >= smallAtOnce) return false;
      void sendSmall(request, response, served);
      return true;
    }
    const client = clientOf(request);
    const already = each.get(client) ?? 0;
    if (already >= mostEach) return false;
    const command = {
      argv: [parts.program ?? 'nix-store', '--dump', served.path] as const,
      env: parts.env,
      size: served.narSize,
      ...(parts.as === undefined ? {} : { as: parts.as }),
    };
    const begun = children.send(response, narHeaders(served.narSize), command, (sent, _total, ended) => {
      if (!ended) return;
      count.narBytes += sent;
      const left = (each.get(client) ?? 1) - 1;
      if (left > 0) each.set(client, left);
      else each.delete(client);
    });
    if (begun) each.set(client, already + 1);
    return begun;
  };

  const nar = (request: IncomingMessage, response: ServerResponse, served: ServedPath): void => {
    count.nars++;
    if (request.method === 'HEAD') {
      response.writeHead(200, narHeaders(served.narSize)).end();
      return;
    }
    if (begin(request, response, served)) return;
    if (waiting.size >= mostWaiting) {
      refuse(request, response, 'too many wait here already');
      return;
    }
    const leave = (): void => {
      clearTimeout(late);
      waiting.delete(mine);
      response.off('close', leave);
    };
    const mine = {
      again: () => {
        if (begin(request, response, served)) leave();
      },
      leave,
    };
    const late = setTimeout(() => {
      leave();
      refuse(request, response, `no place to be had for ${waitMs / 1000} s`);
    }, waitMs);
    waiting.add(mine);
    response.on('close', leave);
  };

  return {
    answer(request, response, ask) {
      if (ask.kind === 'info') sendNixText(request, response, 'info', table.info());
      else if (ask.kind === 'narinfo') {
        count.narInfos++;
        const text = table.narInfo(ask.hash);
        if (text === undefined) refuse(request, response, 'not in this cache');
        else sendNixText(request, response, 'narinfo', text);
      } else {
        const served = table.served(ask.hash);
        if (served === undefined) refuse(request, response, 'not in this cache');
        else nar(request, response, served);
      }
    },
    behalfOf: (name) => ({ [behalfHeader]: ours + encodeURIComponent(name) }),
    counters: () => ({ ...count, sending: children.running }),
    close() {
      for (const one of [...waiting]) one.leave();
      children.close();
    },
  };
}
