// How machines of a fleet hand the large part of their installer to each other: the image's manifest, what a machine tells the tracker in its
// HTTP door, and what it hears. Chunks themselves are plain HTTP: `GET /c/SHA256` from a machine, a range of `/f/SHA256/image` from the door, or, for who
// knows no ranges, `/f/SHA256/image/NUMBER`.
//
// A boot stage that has no agent yet gets the first part of the image by a script (installer-nix/stage/fetch-first). It speaks lines instead of JSON and
// of chunk numbers instead of bitmaps, and it is told what to ask of whom, so that it has nothing to decide.
//
// Nothing here is secret and nothing is signed: the manifest's SHA-256 stands on the kernel command line, each chunk's stands in the manifest, and
// whoever lies about anything else only costs time.

/** What was received is not what it has to be. The message names field and rule. */
export class FleetFormatError extends Error {
  override name = 'FleetFormatError';
}

/** Where machines serve chunks unless that port is taken. */
export const peerPort = 7483;
/** 512 bytes of bitmap at most: an announcement is always small. */
export const maxChunks = 4096;
const leastChunkBytes = 1 << 20;
/** A bitmap of `maxChunks` in base64 (683), and the rest. */
export const maxAnnounceBytes = 4096;
/** `have` of a boot stage that needs all of an image of `maxChunks` (19,370), and the rest. */
export const maxStageBytes = 6 * 4096;
/** Peers in one answer. */
export const maxPeers = 48;
/** Chunks that a machine may be told to take from the door at once. */
export const maxTake = 16;
/** A manifest of `maxChunks` hashes. */
export const maxManifestBytes = 65 * (maxChunks + 8);

/** 1 MiB, and for images above 4 GiB the next power of two that keeps the number of chunks bounded. Bytes. */
export function chunkBytesFor(imageBytes: number): number {
  let bytes = leastChunkBytes;
  while (Math.ceil(imageBytes / bytes) > maxChunks) bytes *= 2;
  return bytes;
}

export function chunksOf(imageBytes: number): number {
  return Math.ceil(imageBytes / chunkBytesFor(imageBytes));
}

export interface ImageManifest {
  /** Of the whole image, 64 lower-case hex digits: its name at the door. */
  readonly sha256: string;
  readonly bytes: number;
  /** SHA-256 of each chunk, 64 lower-case hex digits; all are `chunkBytesFor(bytes)` long but the last. */
  readonly chunks: readonly string[];
}

/** First byte of a chunk and how many it has. */
export function chunkPlace(image: Pick<ImageManifest, 'bytes'>, chunk: number): { at: number; bytes: number } {
  const each = chunkBytesFor(image.bytes);
  const at = chunk * each;
  return { at, bytes: Math.min(each, image.bytes - at) };
}

const firstLine = 'nixie-image 1';
const hash = /^[0-9a-f]{64}$/;

/** Lines: `nixie-image 1`, `bytes N`, `sha256 HEX`, then the hash of each chunk. */
export function writeManifest({ sha256, bytes, chunks }: ImageManifest): string {
  return [firstLine, `bytes ${bytes}`, `sha256 ${sha256}`, ...chunks, ''].join('\n');
}

/** @throws FleetFormatError */
export function readManifest(text: string): ImageManifest {
  const wrong = (field: string, want: string): never => {
    throw new FleetFormatError(`manifest of the image: ${field}: want ${want}`);
  };
  if (text.length > maxManifestBytes) wrong('length', `at most ${maxManifestBytes} bytes`);
  const lines = text.split('\n');
  if (lines[0] !== firstLine) wrong('line 1', firstLine);
  const bytes = Number(/^bytes ([1-9]\d{0,14})$/.exec(lines[1] ?? '')?.[1]);
  if (!Number.isSafeInteger(bytes)) wrong('line 2', 'bytes N');
  const sha256 = /^sha256 ([0-9a-f]{64})$/.exec(lines[2] ?? '')?.[1];
  const chunks = lines.slice(3, -1);
  if (lines.at(-1) !== '') wrong('last line', 'an end of line');
  if (chunks.length !== chunksOf(bytes))
    wrong('chunks', `${chunksOf(bytes)} of ${bytes} bytes, found ${chunks.length}`);
  if (!chunks.every((line) => hash.test(line))) wrong('chunks', '64 hex digits a line');
  return { sha256: sha256 ?? wrong('line 3', 'sha256 HEX'), bytes, chunks };
}

/** Which chunks somebody has: bit 7 of the first byte is chunk 0. */
export class ChunkSet {
  readonly size: number;
  readonly #bits: Uint8Array;
  #count = 0;

  constructor(size: number) {
    this.size = size;
    this.#bits = new Uint8Array(Math.ceil(size / 8));
  }

  static full(size: number): ChunkSet {
    const all = new ChunkSet(size);
    for (let chunk = 0; chunk < size; chunk++) all.add(chunk);
    return all;
  }

  get count(): number {
    return this.#count;
  }

  get complete(): boolean {
    return this.#count === this.size;
  }

  has(chunk: number): boolean {
    return ((this.#bits[chunk >> 3] ?? 0) & (0x80 >> (chunk & 7))) !== 0;
  }

  /** True when it is new. @param chunk below `size` */
  add(chunk: number): boolean {
    if (this.has(chunk)) return false;
    this.#bits[chunk >> 3]! |= 0x80 >> (chunk & 7);
    this.#count++;
    return true;
  }

  remove(chunk: number): void {
    if (!this.has(chunk)) return;
    this.#bits[chunk >> 3]! &= ~(0x80 >> (chunk & 7));
    this.#count--;
  }

  /** Has it anything that the other lacks? */
  helps(other: ChunkSet): boolean {
    return this.#bits.some((byte, i) => (byte & ~(other.#bits[i] ?? 0)) !== 0);
  }

  /** `*` for all, else base64url. */
  text(): string {
    return this.complete ? '*' : Buffer.from(this.#bits).toString('base64url');
  }

  /** @throws FleetFormatError when it isn't a set of so many chunks */
  static read(text: string, size: number): ChunkSet {
    if (text === '*') return ChunkSet.full(size);
    const bytes = /^[A-Za-z0-9_-]*$/.test(text) ? Buffer.from(text, 'base64url') : Buffer.alloc(0);
    const set = new ChunkSet(size);
    if (bytes.length !== set.#bits.length || bytes.toString('base64url') !== text)
      throw new FleetFormatError(`have: want ${set.#bits.length} bytes in base64url, or *`);
    for (let chunk = 0; chunk < bytes.length * 8; chunk++) {
      if ((bytes[chunk >> 3]! & (0x80 >> (chunk & 7))) === 0) continue;
      if (chunk >= size) throw new FleetFormatError(`have: there are ${size} chunks, found number ${chunk}`);
      set.add(chunk);
    }
    return set;
  }
}

/** What a machine tells the tracker: `POST /fleet/SHA256-OF-THE-IMAGE`. */
export interface Announcement {
  readonly have: ChunkSet;
  /** Where it serves chunks; 0: nowhere. */
  readonly port: number;
  /** Chunks it would take from the door now. */
  readonly wants: number;
  /** It has got nothing for a while and takes nothing from the door: it may be given what others have as well. */
  readonly stuck: boolean;
  /** Chunks it was told to take from the door and won't. */
  readonly gaveUp: readonly number[];
}

export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly have: ChunkSet;
}

/** What the tracker answers. */
export interface Guidance {
  readonly peers: readonly Peer[];
  /** To be taken from the door by this machine, which is then the one from whom others get them. */
  readonly take: readonly number[];
  /** Milliseconds until the next announcement is worth its while. */
  readonly againMs: number;
}

export function writeAnnouncement({ have, port, wants, stuck, gaveUp }: Announcement): string {
  return JSON.stringify({ have: have.text(), port, wants, stuck, gave_up: gaveUp });
}

/** @param chunks of the image that it is about. @throws FleetFormatError */
export function readAnnouncement(text: string, chunks: number): Announcement {
  const said = objectOf(text, maxAnnounceBytes, 'announcement');
  return {
    have: ChunkSet.read(textIn(said, 'have'), chunks),
    port: numberIn(said, 'port', 0, 65_535),
    wants: numberIn(said, 'wants', 0, maxTake),
    stuck: said.stuck === true,
    gaveUp: listIn(said, 'gave_up', maxTake).map((chunk) => chunkIn(chunk, chunks)),
  };
}

export function writeGuidance({ peers, take, againMs }: Guidance): string {
  const shown = peers.map(({ address, port, have }) => ({ at: address, port, have: have.text() }));
  return JSON.stringify({ peers: shown, take, again_ms: againMs });
}

/** 48 peers with their sets of 4,096 chunks. */
export const maxGuidanceBytes = 64 * 1024;

/** @throws FleetFormatError */
export function readGuidance(text: string, chunks: number): Guidance {
  const said = objectOf(text, maxGuidanceBytes, 'guidance');
  return {
    peers: listIn(said, 'peers', maxPeers).map((each) => {
      if (typeof each !== 'object' || each === null) throw new FleetFormatError('peers: want objects');
      const peer = each as Record<string, unknown>;
      const address = textIn(peer, 'at');
      if (!isAddress(address)) throw new FleetFormatError('at: want an IP address');
      return { address, port: numberIn(peer, 'port', 1, 65_535), have: ChunkSet.read(textIn(peer, 'have'), chunks) };
    }),
    take: [...new Set(listIn(said, 'take', maxTake).map((chunk) => chunkIn(chunk, chunks)))],
    againMs: numberIn(said, 'again_ms', 10, 60_000),
  };
}

function objectOf(text: string, most: number, what: string): Record<string, unknown> {
  if (text.length > most) throw new FleetFormatError(`${what}: at most ${most} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FleetFormatError(`${what}: want JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FleetFormatError(`${what}: want an object`);
  return value as Record<string, unknown>;
}

function textIn(from: Record<string, unknown>, name: string): string {
  const value = from[name];
  if (typeof value !== 'string') throw new FleetFormatError(`${name}: want a text`);
  return value;
}

function numberIn(from: Record<string, unknown>, name: string, least: number, most: number): number {
  const value = from[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
    throw new FleetFormatError(`${name}: want an integer from ${least} to ${most}`);
  return value;
}

function listIn(from: Record<string, unknown>, name: string, most: number): readonly unknown[] {
  const value = from[name];
  if (!Array.isArray(value) || value.length > most)
    throw new FleetFormatError(`${name}: want a list of at most ${most}`);
  return value;
}

function chunkIn(value: unknown, chunks: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= chunks)
    throw new FleetFormatError(`chunk: want an integer below ${chunks}`);
  return value;
}

/** Requests that a boot stage is told to make at once. */
export const maxStageAsks = 8;
/** Senders that it names as of no use. */
const maxNot = 16;

/** What a boot stage without the agent tells the tracker: `POST /fleet/SHA256-OF-THE-IMAGE/stage`. */
export interface StageSaid {
  /** The chunks that it needs: those from `first` to `last`, both included. */
  readonly first: number;
  readonly last: number;
  /** Of these, in any order. */
  readonly have: readonly number[];
  /** Where it serves chunks; 0: nowhere. */
  readonly port: number;
  readonly wants: number;
  /** It has got nothing for a while. */
  readonly stuck: boolean;
  /** IP addresses that sent wrong chunks or none. */
  readonly not: readonly string[];
}

/** A chunk, and of whom it is to be asked: the door, or `ADDRESS:PORT`. */
export interface StageAsk {
  readonly chunk: number;
  readonly from: 'door' | { readonly address: string; readonly port: number };
}

/** Lines `first N`, `last N`, `have N …`, `port N`, `wants N`, `stuck 0|1`, `not ADDRESS …`, in any order. @throws FleetFormatError */
export function readStageSaid(text: string, chunks: number): StageSaid {
  if (text.length > maxStageBytes) throw new FleetFormatError(`boot stage: at most ${maxStageBytes} bytes`);
  const lines = new Map(
    text.split('\n').map((line): [string, string[]] => {
      const [name = '', ...words] = line.trim().split(/ +/);
      return [name, words];
    }),
  );
  const numbers = (name: string, most: number): number[] =>
    (lines.get(name) ?? []).map((word) => {
      const number = /^\d{1,6}$/.test(word) ? Number(word) : Number.NaN;
      if (!(number <= most)) throw new FleetFormatError(`${name}: want integers from 0 to ${most}`);
      return number;
    });
  const one = (name: string, most: number): number => {
    const [number, ...more] = numbers(name, most);
    if (number === undefined || more.length > 0) throw new FleetFormatError(`${name}: want one number`);
    return number;
  };
  const [first, last] = [one('first', chunks - 1), one('last', chunks - 1)];
  const have = numbers('have', chunks - 1);
  const not = lines.get('not') ?? [];
  if (first > last || have.some((chunk) => chunk < first || chunk > last))
    throw new FleetFormatError('have: want chunks from first to last');
  if (not.length > maxNot || !not.every(isAddress))
    throw new FleetFormatError(`not: want at most ${maxNot} IP addresses`);
  const wants = Math.min(maxStageAsks, one('wants', maxTake));
  return { first, last, have, port: one('port', 65_535), wants, stuck: one('stuck', 1) === 1, not };
}

/** Lines `again MILLISECONDS`, then `CHUNK door` or `CHUNK ADDRESS:PORT`; an IPv6 address stands in brackets. */
export function writeStageAsks(asks: readonly StageAsk[], againMs: number): string {
  const place = ({ from }: StageAsk): string => {
    if (from === 'door') return from;
    return `${from.address.includes(':') ? `[${from.address}]` : from.address}:${from.port}`;
  };
  return `again ${againMs}\n${asks.map((ask) => `${ask.chunk} ${place(ask)}\n`).join('')}`;
}

function isAddress(text: string): boolean {
  return /^[0-9a-f.:]{2,45}$/i.test(text);
}
