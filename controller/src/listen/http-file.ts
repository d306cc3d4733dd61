// Responses with known content: validators and ranges of RFC 9110, from memory or from a file.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import type { BulkSender } from './http-bulk.ts';

/** A file that does not change as long as it is in the table. */
export interface HttpFile {
  readonly path: string;
  /** bytes */
  readonly size: number;
  /** 64 hexadecimal digits; the validator of the response. */
  readonly sha256: string;
}

/** A file that may be on its way here still, or be taken away when nobody reads it. */
export interface HeldFile {
  /** bytes */
  readonly size: number;
  readonly sha256: string;
  /** Asked once for each response with a body, and released at its end. */
  hold(): FileHold;
}

/** What is in memory and small. */
export function heldBytes(bytes: Uint8Array, sha256: string): HeldFile {
  const read = async function* (first: number, last: number): AsyncIterable<Uint8Array> {
    yield bytes.subarray(first, last + 1);
  };
  return { size: bytes.length, sha256, hold: () => ({ read, release() {} }) };
}

export interface FileHold {
  /** Where it lies, whole. Absent: it is coming. */
  readonly path?: string;
  /** Bytes from `first` to `last` inclusive, as they come. It throws when they don't, or are wrong: the response is cut off then. */
  read(first: number, last: number): AsyncIterable<Uint8Array>;
  /** Ends what is still read. */
  release(): void;
}

/** Bytes sent of how many, and whether that was the last word. */
export type OnBytes = (sentBytes: number, totalBytes: number, ended: boolean) => void;

export interface PreparedBytes {
  readonly bytes: Uint8Array;
  readonly type: string;
  readonly sha256: string;
}

/** Files above this leave by a child. */
const bulkBytes = 4 << 20;
const progressEveryMs = 250;

/** UEFI HTTP Boot goes by the type before the name (UEFI specification 24.7.3). */
export function contentType(name: string): string {
  if (name.endsWith('.efi')) return 'application/efi';
  if (name.endsWith('.iso')) return 'application/vnd.efi-iso';
  if (name.endsWith('.img')) return 'application/vnd.efi-img';
  if (name.endsWith('.ipxe') || name.endsWith('.txt')) return 'text/plain; charset=utf-8';
  return 'application/octet-stream';
}

export function sendText(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': bytes.length,
    'Cache-Control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

export interface ByteRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/**
 * One byte range of RFC 9110 14.1.2, cut to the size. 'none' when there is no range to heed: another unit, several ranges, or no sense.
 * 'unsatisfiable' asks for status 416.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'none' | 'unsatisfiable' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return 'none';
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? 'unsatisfiable' : { first: size - length, last: size - 1 };
  }
  const first = Number(match[1]);
  const last = match[2] === '' ? size - 1 : Number(match[2]);
  if (match[2] !== '' && last < first) return 'none';
  return first >= size ? 'unsatisfiable' : { first, last: Math.min(last, size - 1) };
}

/** Does a list of validators (If-None-Match, RFC 9110 13.1.2) name this one? */
export function matchesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((item) => {
    const one = item.trim();
    return one === '*' || one === tag || one === `W/${tag}`;
  });
}

type Body = {
  readonly status: 200 | 206;
  readonly range: ByteRange;
  readonly headers: Record<string, string | number>;
};

/** Decides on status and headers; undefined when it has answered already (304, 416, HEAD). */
function begin(
  request: IncomingMessage,
  response: ServerResponse,
  size: number,
  type: string,
  sha256: string,
): Body | undefined {
  const tag = `"${sha256}"`;
  const common = { ETag: tag, 'Accept-Ranges': 'bytes', 'Cache-Control': 'no-cache' };
  if (matchesTag(request.headers['if-none-match'], tag)) {
    response.writeHead(304, common).end();
    return undefined;
  }
  const ifRange = request.headers['if-range'];
  const asked = ifRange === undefined || ifRange === tag ? parseRange(request.headers.range, size) : 'none';
  if (asked === 'unsatisfiable') {
    response.writeHead(416, { ...common, 'Content-Range': `bytes */${size}`, 'Content-Length': 0 }).end();
    return undefined;
  }
  const partial = asked !== 'none' && request.method === 'GET'; // a range has no meaning for HEAD, RFC 9110 14.2
  const range = partial ? asked : { first: 0, last: size - 1 };
  const headers: Record<string, string | number> = {
    ...common,
    'Content-Type': type,
    'Content-Length': range.last - range.first + 1,
    ...(partial && { 'Content-Range': `bytes ${range.first}-${range.last}/${size}` }),
  };
  const status = partial ? 206 : 200;
  if (request.method === 'HEAD') {
    response.writeHead(status, headers).end();
    return undefined;
  }
  return { status, range, headers };
}

export function sendBytes(request: IncomingMessage, response: ServerResponse, content: PreparedBytes): void {
  const body = begin(request, response, content.bytes.length, content.type, content.sha256);
  if (!body) return;
  response.writeHead(body.status, body.headers);
  response.end(content.bytes.subarray(body.range.first, body.range.last + 1));
}

sendBytes.prepare = (name: string, bytes: Uint8Array): PreparedBytes => ({
  bytes,
  type: contentType(name),
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/** Sends a file; large ones as a whole by a child if there is one to be had. */
export function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: (HttpFile | HeldFile) & { readonly name: string },
  bulk: BulkSender,
  stalledMs: number,
  onBytes: OnBytes,
): void {
  const body = begin(request, response, file.size, contentType(file.name), file.sha256);
  if (!body) return;
  const { first, last } = body.range;
  const total = last - first + 1;
  if (total === 0) {
    response.writeHead(body.status, body.headers).end();
    return;
  }
  const hold = 'hold' in file ? file.hold() : holdPath(file.path, bulk);
  const told: OnBytes = (sent, of, ended) => {
    if (ended) hold.release();
    onBytes(sent, of, ended);
  };
  const whole = body.status === 200 && file.size > bulkBytes && hold.path !== undefined;
  const { size, sha256 } = file;
  if (whole && bulk.send(request, response, body.headers, { path: hold.path, size, sha256 }, told)) return;
  sendPieces(response, body, hold, stalledMs, told);
}

/** Bytes of a file as a file of its own. @param at its first byte */
export function partOf(file: HttpFile | HeldFile, at: number, bytes: number, bulk: BulkSender): HeldFile {
  return {
    size: bytes,
    sha256: `${file.sha256}-${at}`,
    hold() {
      const whole = 'hold' in file ? file.hold() : holdPath(file.path, bulk);
      return { read: (first, last) => whole.read(at + first, at + last), release: () => whole.release() };
    },
  };
}

function holdPath(path: string, bulk: BulkSender): FileHold & { readonly path: string } {
  return { path, read: (first, last) => bulk.read(path, first, last), release() {} };
}

function sendPieces(response: ServerResponse, body: Body, hold: FileHold, stalledMs: number, onBytes: OnBytes): void {
  const { first, last } = body.range;
  const total = last - first + 1;
  let sent = 0;
  let toldMs = 0;
  response.writeHead(body.status, body.headers);
  // Who waits for a file that is coming is to know that somebody is there.
  response.flushHeaders();
  response.setTimeout(stalledMs, () => response.destroy());
  const counted = async function* (pieces: AsyncIterable<Uint8Array>) {
    for await (const piece of pieces) {
      sent += piece.length;
      const nowMs = performance.now();
      if (nowMs - toldMs >= progressEveryMs) {
        toldMs = nowMs;
        onBytes(sent, total, false);
      }
      yield piece;
    }
    // Fewer bytes than were promised are not to look like an end.
    if (sent < total) throw new Error(`${total - sent} bytes are missing`);
  };
  const { socket } = response;
  // Pieces that nobody waits for any more may never come.
  response.once('close', () => hold.release());
  pipeline(hold.read(first, last), counted, response, (error) => {
    // A close without a reset could be taken for the end by clients that count nothing.
    if (error) socket?.resetAndDestroy();
    onBytes(sent, total, true);
  });
}
