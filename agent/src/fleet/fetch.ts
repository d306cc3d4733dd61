// Gets the image from peers and from the door, whatever either does: `choice.ts` says what is asked of whom, here it is asked.
import { Agent } from 'node:http';
import {
  ChunkSet,
  chunkPlace,
  type ImageManifest,
  maxGuidanceBytes,
  maxManifestBytes,
  peerPort,
  readGuidance,
  readManifest,
  writeAnnouncement,
} from '@nixie/proto/fleet';
import type { Clock } from '../host.ts';
import { type Ask, Choice, type Failure } from './choice.ts';
import { type Answer, type Endpoint, ExchangeError, exchange } from './exchange.ts';
import { ImageFile, sha256Of } from './image-file.ts';
import { type PeerServer, servePeers } from './peer-server.ts';

export interface FetchParts {
  /** HTTP doors of the controller or a relay, the preferred first. */
  readonly doors: readonly Endpoint[];
  /** 64 hex digits, from the kernel command line: all trust comes from it. */
  readonly manifestSha256: string;
  readonly file: string;
  /** Folder of chunks that are here already, under their hashes; they are moved into the file. */
  readonly chunks?: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
  readonly onProgress?: (progress: FetchProgress) => void;
  /** From where is asked, and where peers are served. Absent: any. */
  readonly localAddress?: string | undefined;
  /** Default `peerPort`. */
  readonly port?: number | undefined;
  readonly uploadBytesPerSecond?: number | undefined;
  /** Without a chunk for so long it is given up, milliseconds. */
  readonly giveUpMs?: number;
  /** A peer is given up that isn't reached, says nothing, or hasn't said all for so long, milliseconds. Absent: as a machine needs it. */
  readonly peerMs?: { readonly connect: number; readonly idle: number; readonly total: number };
}

export interface FetchProgress {
  readonly haveBytes: number;
  readonly totalBytes: number;
  readonly peers: number;
  readonly fromPeersBytes: number;
  readonly fromDoorBytes: number;
}

export interface Fetched {
  readonly manifest: ImageManifest;
  readonly seconds: number;
  readonly fromPeersBytes: number;
  readonly fromDoorBytes: number;
  sentBytes(): number;
  /** Peers are served, and the tracker is told so, until then. */
  close(): Promise<void>;
}

const usualGiveUpMs = 600_000;
const connectMs = 1500;
const idleMs = 3000;
const doorConnectMs = 5000;
const doorIdleMs = 10_000;
/** Not more often, whatever happens; and at least, milliseconds. */
const leastAnnounceMs = 20;
const lookMs = 50;
/** From there on each announcement has a connection of its own: a thousand machines would keep a thousand open. */
const closeAboveMs = 500;

/** Resolves when the file has its name; rejects at the signal, when nothing comes any more, or when the file can't be written. */
export async function fetchImage(parts: FetchParts): Promise<Fetched> {
  const fetcher = new Fetcher(parts);
  try {
    return await fetcher.run();
  } catch (error) {
    await fetcher.close();
    throw error;
  }
}

class Fetcher {
  readonly #parts: FetchParts;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32, maxFreeSockets: 16 });
  readonly #stop = new AbortController();
  readonly #buffers: Buffer[] = [];
  /** Requests under way for each chunk. */
  readonly #ways = new Map<number, Map<Ask, AbortController>>();
  #door = 0;
  #server: PeerServer | undefined;
  #image: ImageFile | undefined;
  #choice: Choice | undefined;
  #fromPeers = 0;
  #fromDoor = 0;
  #movedAt: number;
  #broken: Error | undefined;
  #wake = Promise.withResolvers<void>();
  #announceNow = Promise.withResolvers<void>();
  #announcing: Promise<void> = Promise.resolve();

  constructor(parts: FetchParts) {
    this.#parts = parts;
    this.#movedAt = parts.clock.ticks();
    if (parts.signal.aborted) this.#stop.abort();
    else parts.signal.addEventListener('abort', () => this.#stop.abort(), { once: true, signal: this.#stop.signal });
  }

  async run(): Promise<Fetched> {
    const { clock, file, log } = this.#parts;
    const began = clock.ticks();
    const manifest = await this.#manifest();
    const image = await ImageFile.open(file, manifest);
    this.#image = image;
    if (this.#parts.chunks !== undefined) await image.takeFrom(this.#parts.chunks);
    if (image.have.count > 0) log(`${image.have.count} of ${manifest.chunks.length} chunks are there already`);
    this.#choice = new Choice(image.have, () => clock.random(), clock.ticks());
    const { port = peerPort, uploadBytesPerSecond, localAddress: address } = this.#parts;
    this.#server = await servePeers({ image, port, clock, uploadBytesPerSecond, address });
    const serving = this.#server;
    this.#announcing = this.#announce(image, this.#choice);
    await this.#pull(image, this.#choice);
    await image.finish();
    this.#announceNow.resolve();
    return {
      manifest,
      seconds: (clock.ticks() - began) / 1000,
      fromPeersBytes: this.#fromPeers,
      fromDoorBytes: this.#fromDoor,
      sentBytes: () => serving.counters().sentBytes,
      close: () => this.close(),
    };
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#announcing;
    await this.#server?.close();
    this.#agent.destroy();
    await this.#image?.close().catch(() => {});
  }

  /** From one door after the other, until one has it. */
  async #manifest(): Promise<ImageManifest> {
    const { clock, doors, manifestSha256, log } = this.#parts;
    const into = Buffer.allocUnsafe(maxManifestBytes);
    const path = `/f/${manifestSha256}/manifest`;
    let said = '';
    for (let round = 0; ; round++) {
      let why: string;
      try {
        const { status, body } = await this.#ask(this.#at, { method: 'GET', path, into });
        if (status !== 200) why = `status ${status}`;
        else if (sha256Of(body) !== manifestSha256) why = 'its SHA-256 is not the one on the kernel command line';
        else return readManifest(body.toString('latin1'));
      } catch (error) {
        why = (error as Error).message;
      }
      this.#sure();
      if (why !== said) log(`manifest of the image from ${this.#at.host}:${this.#at.port}: ${why}`);
      said = why;
      this.#door = (this.#door + 1) % doors.length;
      if (round % doors.length === doors.length - 1)
        await clock.sleep(Math.min(5000, 250 * 2 ** Math.min(round, 6)) * (0.5 + clock.random()), this.#stop.signal);
    }
  }

  get #at(): Endpoint {
    return this.#parts.doors[this.#door]!;
  }

  #ask(
    to: Endpoint,
    what: { method: 'GET' | 'POST'; path: string; into: Buffer; body?: string; headers?: Record<string, string> },
  ): Promise<Answer> {
    const times = { connectMs: doorConnectMs, idleMs: doorIdleMs, totalMs: 60_000 };
    return exchange(to, { ...what, ...times, ...this.#way(this.#stop.signal) });
  }

  #way(signal: AbortSignal) {
    return { agent: this.#agent, localAddress: this.#parts.localAddress, signal };
  }

  /** Throws when there is no sense in going on. */
  #sure(): void {
    const { clock, giveUpMs = usualGiveUpMs } = this.#parts;
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#stop.signal.aborted) throw new Error('called off');
    if (clock.ticks() - this.#movedAt > giveUpMs)
      throw new Error(
        `nothing of the image has come for ${Math.round(giveUpMs / 1000)} s: neither from ${this.#at.host}:${this.#at.port} nor from other machines`,
      );
  }

  async #pull(image: ImageFile, choice: Choice): Promise<void> {
    const { clock } = this.#parts;
    while (!image.have.complete) {
      this.#sure();
      this.#wake = Promise.withResolvers();
      for (let ask = choice.next(clock.ticks()); ask !== undefined; ask = choice.next(clock.ticks()))
        void this.#get(ask, image, choice);
      await Promise.race([this.#wake.promise, clock.sleep(lookMs, this.#stop.signal)]);
    }
  }

  async #get(ask: Ask, image: ImageFile, choice: Choice): Promise<void> {
    const { clock } = this.#parts;
    const abort = new AbortController();
    const ways = this.#ways.get(ask.chunk) ?? new Map<Ask, AbortController>();
    this.#ways.set(ask.chunk, ways.set(ask, abort));
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafe(chunkPlace(image.manifest, 0).bytes);
    const failure = await this.#chunk(ask, image, choice, buffer, abort.signal).catch((error: Error): Failure => {
      // Only writing is left: a full disk doesn't get better by going on.
      this.#broken = new Error(`write ${this.#parts.file}: ${error.message}`, { cause: error });
      return 'called-off';
    });
    this.#buffers.push(buffer);
    ways.delete(ask);
    if (ways.size === 0) this.#ways.delete(ask.chunk);
    if (failure === undefined) {
      choice.got(ask, clock.ticks());
      this.#took(ask, image);
      for (const other of ways.values()) other.abort();
    } else {
      choice.failed(ask, failure, clock.ticks());
      if (failure === 'wrong' && ask.from.kind === 'peer')
        this.#parts.log(`${ask.from.address} sent a wrong chunk: it is not asked again`);
    }
    if (ask.from.kind === 'door') this.#announceNow.resolve();
    this.#wake.resolve();
  }

  #took(ask: Ask, image: ImageFile): void {
    const { bytes } = chunkPlace(image.manifest, ask.chunk);
    if (ask.from.kind === 'door') this.#fromDoor += bytes;
    else this.#fromPeers += bytes;
    this.#movedAt = this.#parts.clock.ticks();
    this.#parts.onProgress?.({
      haveBytes: image.haveBytes,
      totalBytes: image.manifest.bytes,
      peers: this.#choice?.peers ?? 0,
      fromPeersBytes: this.#fromPeers,
      fromDoorBytes: this.#fromDoor,
    });
  }

  /** The chunk is in the file, or why not. */
  async #chunk(
    { chunk, from }: Ask,
    image: ImageFile,
    choice: Choice,
    into: Buffer,
    calledOff: AbortSignal,
  ): Promise<Failure | undefined> {
    const { at, bytes } = chunkPlace(image.manifest, chunk);
    const ofDoor = from.kind === 'door';
    const signal = AbortSignal.any([calledOff, this.#stop.signal]);
    const common = { method: 'GET', into, ...this.#way(signal) } as const;
    let answer: Answer;
    try {
      if (ofDoor) {
        const headers = { Range: `bytes=${at}-${at + bytes - 1}` };
        const path = `/f/${image.manifest.sha256}/image`;
        const times = { connectMs: doorConnectMs, idleMs: doorIdleMs, totalMs: choice.patienceMs * 4 };
        answer = await exchange(this.#at, { ...common, path, headers, ...times });
      } else {
        const path = `/c/${image.manifest.chunks[chunk]}`;
        const { connect = connectMs, idle = idleMs, total = choice.patienceMs } = this.#parts.peerMs ?? {};
        const times = { connectMs: connect, idleMs: idle, totalMs: total };
        answer = await exchange({ host: from.address, port: from.port }, { ...common, path, ...times });
      }
    } catch (error) {
      const why = error instanceof ExchangeError ? error.why : 'gone';
      return why === 'too-long' ? 'wrong' : why;
    }
    if (!ofDoor) this.#learn(from.address, from.port, answer, image, choice);
    const { status, body } = answer;
    // A whole image of one chunk may come as a whole.
    if (status !== (ofDoor ? 206 : 200) && !(ofDoor && status === 200 && bytes === image.manifest.bytes))
      return status === 503 ? 'busy' : 'refused';
    if (!image.right(chunk, body)) return 'wrong';
    if (!image.have.has(chunk)) await image.write(chunk, body);
    return undefined;
  }

  #learn(address: string, port: number, { headers }: Answer, image: ImageFile, choice: Choice): void {
    const text = headers['nixie-have'];
    if (typeof text !== 'string') return;
    try {
      choice.told(address, port, ChunkSet.read(text, image.manifest.chunks.length));
    } catch {
      // What it has is known from the tracker, more or less.
    }
  }

  /** Until the end: what is here is told, and what is told back is taken to heart. */
  async #announce(image: ImageFile, choice: Choice): Promise<void> {
    const { clock, doors } = this.#parts;
    const into = Buffer.allocUnsafe(maxGuidanceBytes);
    const chunks = image.manifest.chunks.length;
    let againMs = 100;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      this.#announceNow = Promise.withResolvers();
      const began = clock.ticks();
      const body = writeAnnouncement({
        have: image.have,
        port: this.#server?.port ?? 0,
        ...choice.report(began),
      });
      const headers = {
        'Content-Type': 'application/json',
        ...(againMs > closeAboveMs ? { Connection: 'close' } : {}),
      };
      try {
        const path = `/fleet/${image.manifest.sha256}`;
        const { status, body: answer } = await this.#ask(this.#at, { method: 'POST', path, into, body, headers });
        if (status !== 200) throw new Error(`status ${status}`);
        const guidance = readGuidance(answer.toString('latin1'), chunks);
        againMs = guidance.againMs;
        failures = 0;
        choice.guided(guidance);
      } catch {
        failures += 1;
        choice.unheard();
        againMs = Math.min(10_000, 250 * 2 ** Math.min(failures, 6)) * (0.5 + clock.random());
        if (failures % 4 === 0) this.#door = (this.#door + 1) % doors.length;
      }
      this.#wake.resolve();
      // Not before the slot that was used is free again, and not in a busy loop.
      await clock.sleep(leastAnnounceMs, this.#stop.signal);
      await Promise.race([this.#announceNow.promise, clock.sleep(againMs, this.#stop.signal)]);
    }
  }
}
