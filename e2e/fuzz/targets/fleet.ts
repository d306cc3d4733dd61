// What machines of a fleet, their tracker and whoever plays them send: the manifest, announcements, guidance, sets of chunks. The first line says how
// many chunks the image has, the rest is the text.
import {
  ChunkSet,
  chunkPlace,
  FleetFormatError,
  maxChunks,
  maxPeers,
  maxStageAsks,
  maxTake,
  readAnnouncement,
  readGuidance,
  readManifest,
  readStageSaid,
  writeAnnouncement,
  writeGuidance,
  writeManifest,
  writeStageAsks,
} from '../../../proto/fleet.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const manifest = writeManifest({ sha256: 'a'.repeat(64), bytes: 3_000_000, chunks: Array(3).fill('b'.repeat(64)) });

function tried<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof FleetFormatError) return undefined;
    throw error;
  }
}

export const target: Target = {
  name: 'fleet',
  seeds: [
    bytesOf(`3\n${manifest}`),
    bytesOf('9\n{"have":"gAA","port":7483,"wants":4,"stuck":false,"gave_up":[1,2]}'),
    bytesOf('9\n{"peers":[{"at":"10.0.0.7","port":7483,"have":"*"}],"take":[0,8],"again_ms":100}'),
    bytesOf('9\nfirst 2\nlast 8\nhave 3 4\nport 7483\nwants 4\nstuck 0\nnot 10.0.0.7 fd00::1\n'),
    bytesOf('3\n*'),
    bytesOf('12\n__A'),
  ],
  dictionary: [
    'nixie-image 1',
    'bytes ',
    'sha256 ',
    '"have":',
    '"*"',
    '"peers":',
    '"take":',
    '"again_ms":',
    'first ',
    'last ',
    'have ',
    'wants ',
    'stuck ',
    'not ',
    '-1',
    '1e9',
    '4096',
  ],
  allowed: [],
  run(bytes) {
    const [first = '', ...rest] = text(bytes).split('\n');
    const body = rest.join('\n');
    const chunks = Math.max(1, Math.min(maxChunks, Number.parseInt(first, 10) || 1));
    const image = tried(() => readManifest(body));
    if (image !== undefined) {
      must(image.chunks.length <= maxChunks, 'an image has a bounded number of chunks');
      const { at, bytes: length } = chunkPlace(image, image.chunks.length - 1);
      must(length > 0 && at + length === image.bytes, 'chunks end with the image');
      must(writeManifest(image) === body, 'a manifest has one form');
    }
    const said = tried(() => readAnnouncement(body, chunks));
    if (said !== undefined) {
      must(said.have.size === chunks && said.have.count <= chunks, 'a set is of the image');
      must(
        said.gaveUp.every((chunk) => chunk >= 0 && chunk < chunks),
        'chunks are of the image',
      );
      must(readAnnouncement(writeAnnouncement(said), chunks).port === said.port, 'it reads what it writes');
    }
    const heard = tried(() => readGuidance(body, chunks));
    if (heard !== undefined) {
      must(heard.peers.length <= maxPeers && heard.take.length <= maxTake, 'lists are bounded');
      must(
        heard.peers.every(({ address }) => !/[\s/@]/.test(address)),
        'an address names no place in a URL',
      );
      must(readGuidance(writeGuidance(heard), chunks).take.length === heard.take.length, 'it reads what it writes');
    }
    const stage = tried(() => readStageSaid(body, chunks));
    if (stage !== undefined) {
      must(stage.first <= stage.last && stage.last < chunks, 'a stretch is of the image');
      must(
        stage.have.every((chunk) => chunk >= stage.first && chunk <= stage.last),
        'it has what it needs, and nothing else',
      );
      must(stage.wants <= maxStageAsks && stage.port <= 65_535, 'numbers are bounded');
      const asks = stage.not.map((address) => ({ chunk: stage.first, from: { address, port: 7483 } }));
      must(/^again 100\n(\d+ \S+:7483\n)*$/.test(writeStageAsks(asks, 100)), 'an answer is lines of two words');
    }
    const set = tried(() => ChunkSet.read(body, chunks));
    if (set !== undefined) must(set.complete || set.text() === body, 'a set has one text');
  },
};
