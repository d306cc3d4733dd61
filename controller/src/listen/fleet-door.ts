// The tracker's side of the HTTP door: machines that booted here and lack the large part of their installer tell what they have of it, and hear of each
// other. Who is told what is in machine/swarm.ts. Announcements are small, their number is bounded, and only who got a boot script here is heard.
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  chunkBytesFor,
  chunksOf,
  FleetFormatError,
  maxAnnounceBytes,
  maxStageBytes,
  readAnnouncement,
  readStageSaid,
  writeGuidance,
  writeStageAsks,
} from '@nixie/proto/fleet';
import { Swarm, type SwarmLimits } from '../machine/swarm.ts';
import { sendText } from './http-file.ts';

export interface FleetDoorParts {
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
  /** 0 to 1, without 1 */
  random(): number;
  /** What a machine has of an image, bytes; at most four times a second for each. */
  onHave(address: string, image: string, haveBytes: number): void;
  /** Answers a request that failed in a way that nobody foresaw: one odd word must not end the others. */
  broke(request: IncomingMessage, response: ServerResponse, error: Error): void;
  readonly limits?: Partial<SwarmLimits>;
}

export interface FleetDoor {
  /** @param image its SHA-256; @param bytes its size; @param by an agent, or a boot stage that has none yet */
  announce(
    request: IncomingMessage,
    response: ServerResponse,
    from: string,
    image: string,
    bytes: number,
    by: 'agent' | 'stage',
  ): void;
  /** A range of the image was sent as plain HTTP; counts for machines whose announcements don't tell. */
  sent(from: string, image: string, bytes: number, imageBytes: number): void;
  /** A machine boots anew: it has nothing of any image any more. */
  begun(from: string): void;
  /** Images that are not served any more are forgotten. */
  keepOnly(has: (image: string) => boolean): void;
  readonly machines: number;
}

/** Installers of two platforms, each of now and of before a change. */
const mostImages = 4;
const mostRemembered = 4096;
const tellEveryMs = 250;

interface Told {
  at: number;
  announcedAt: number;
  plainBytes: number;
}

export function createFleetDoor(parts: FleetDoorParts): FleetDoor {
  const { ticks, random } = parts;
  const swarms = new Map<string, Swarm>();
  const told = new Map<string, Told>();

  const swarmOf = (image: string, bytes: number): Swarm => {
    const known = swarms.get(image);
    if (known !== undefined) return known;
    if (swarms.size >= mostImages) swarms.delete(swarms.keys().next().value!);
    const swarm = new Swarm(chunksOf(bytes), random, parts.limits);
    swarms.set(image, swarm);
    return swarm;
  };

  const toldOf = (from: string, image: string): Told => {
    const key = `${from} ${image}`;
    const known = told.get(key) ?? {
      at: Number.NEGATIVE_INFINITY,
      announcedAt: Number.NEGATIVE_INFINITY,
      plainBytes: 0,
    };
    told.delete(key);
    told.set(key, known);
    if (told.size > mostRemembered) told.delete(told.keys().next().value!);
    return known;
  };

  const tell = (about: Told, from: string, image: string, bytes: number, whole: boolean): void => {
    const now = ticks();
    if (now - about.at < tellEveryMs && !whole) return;
    about.at = now;
    parts.onHave(from, image, bytes);
  };

  const answer = (
    request: IncomingMessage,
    response: ServerResponse,
    text: string,
    from: string,
    image: string,
    bytes: number,
    by: 'agent' | 'stage',
  ) => {
    const swarm = swarmOf(image, bytes);
    const heard = by === 'agent' ? byAgent(swarm, text, from) : byStage(swarm, text, from);
    if (heard === undefined) return sendText(request, response, 503, 'too many machines\n');
    const about = toldOf(from, image);
    about.announcedAt = ticks();
    tell(about, from, image, Math.min(bytes, heard.count * chunkBytesFor(bytes)), heard.complete);
    const body = Buffer.from(heard.text);
    response.writeHead(200, {
      'Content-Type': by === 'agent' ? 'application/json' : 'text/plain',
      'Content-Length': body.length,
      'Cache-Control': 'no-store',
    });
    response.end(body);
  };

  /** How many chunks it has, and what it hears. */
  const byAgent = (swarm: Swarm, text: string, from: string) => {
    const { have, ...said } = readAnnouncement(text, swarm.chunks);
    const guidance = swarm.announce(from, { have, ...said }, ticks());
    return guidance && { count: have.count, complete: have.complete, text: writeGuidance(guidance) };
  };
  const byStage = (swarm: Swarm, text: string, from: string) => {
    const said = readStageSaid(text, swarm.chunks);
    const told = swarm.stage(from, said, ticks());
    return told && { count: said.have.length, complete: false, text: writeStageAsks(told.asks, told.againMs) };
  };

  return {
    announce(request, response, from, image, bytes, by) {
      const most = by === 'agent' ? maxAnnounceBytes : maxStageBytes;
      const pieces: Buffer[] = [];
      let length = 0;
      request.on('data', (piece: Buffer) => {
        length += piece.length;
        if (length <= most) pieces.push(piece);
      });
      request.on('end', () => {
        if (length > most) return sendText(request, response, 413, `at most ${most} bytes\n`);
        try {
          answer(request, response, Buffer.concat(pieces).toString('latin1'), from, image, bytes, by);
        } catch (error) {
          // Nobody is above who could catch it.
          if (error instanceof FleetFormatError) sendText(request, response, 400, `${error.message}\n`);
          else parts.broke(request, response, error as Error);
        }
      });
    },
    sent(from, image, bytes, imageBytes) {
      const about = toldOf(from, image);
      about.plainBytes += bytes;
      const done = Math.min(imageBytes, about.plainBytes);
      if (ticks() - about.announcedAt > 10_000) tell(about, from, image, done, done === imageBytes);
    },
    begun(from) {
      for (const key of told.keys()) if (key.startsWith(`${from} `)) told.delete(key);
    },
    keepOnly(has) {
      for (const image of [...swarms.keys()]) if (!has(image)) swarms.delete(image);
    },
    get machines() {
      return [...swarms.values()].reduce((sum, swarm) => sum + swarm.machines, 0);
    },
  };
}
