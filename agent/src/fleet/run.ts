// `nixie-agent --fetch FILE`: the boot stage gets the rest of the installer and, if it is told so, serves it to others from then on.
import { readEndpoint } from '../cmdline.ts';
import { type Clock, realClock } from '../host.ts';
import { keepNotified } from '../notify.ts';
import type { Endpoint } from './exchange.ts';
import { type Fetched, type FetchProgress, fetchImage } from './fetch.ts';

export interface FetchSettings {
  readonly file: string;
  /** Folder of chunks that are here already. */
  readonly chunks?: string;
  /** `IP:PORT` of HTTP doors, the preferred first. */
  readonly doors: readonly string[];
  /** 64 hex digits */
  readonly manifestSha256: string;
  /** Goes on when the image is there. */
  readonly serve: boolean;
  /** Port for peers; absent: the usual one. */
  readonly port?: number;
  readonly uploadBytesPerSecond?: number;
  readonly giveUpMs: number;
}

/** Where the HTTP door of a controller or relay listens. */
export const doorPort = 7480;
const tellEveryMs = 5000;

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

/** Resolves when the image is there, and with `serve` at the signal. Lines for people go to `say`. */
export async function runFetch(
  settings: FetchSettings,
  env: NodeJS.ProcessEnv,
  say: (line: string) => void,
  signal: AbortSignal,
  clock: Clock = realClock,
): Promise<void> {
  const fetched = await fetchImage({
    doors: settings.doors.map((door): Endpoint => readEndpoint(door, doorPort)!),
    manifestSha256: settings.manifestSha256,
    file: settings.file,
    chunks: settings.chunks,
    port: settings.port,
    uploadBytesPerSecond: settings.uploadBytesPerSecond,
    giveUpMs: settings.giveUpMs,
    clock,
    signal,
    log: say,
    onProgress: teller(say, clock),
  });
  try {
    say(summary(fetched));
    if (!settings.serve) return;
    await keepNotified(env, clock, signal);
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  } finally {
    await fetched.close();
  }
}

function teller(say: (line: string) => void, clock: Clock): (progress: FetchProgress) => void {
  const began = clock.ticks();
  let at = began;
  let before = 0;
  return ({ haveBytes, totalBytes, peers, fromPeersBytes, fromDoorBytes }) => {
    const now = clock.ticks();
    if (now - at < tellEveryMs) return;
    const got = fromPeersBytes + fromDoorBytes;
    const rate = megabytes(((got - before) * 1000) / (now - at));
    const from = `${peers} other machines known, ${megabytes(fromPeersBytes)} MB from them`;
    say(`image: ${megabytes(haveBytes)} of ${megabytes(totalBytes)} MB, ${rate} MB/s; ${from}`);
    at = now;
    before = got;
  };
}

function summary({ manifest, seconds, fromPeersBytes, fromDoorBytes }: Fetched): string {
  const sources = `${megabytes(fromPeersBytes)} MB from other machines, ${megabytes(fromDoorBytes)} MB from the controller`;
  return `image of ${megabytes(manifest.bytes)} MB is whole after ${seconds.toFixed(1)} s: ${sources}`;
}
