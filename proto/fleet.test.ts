import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  ChunkSet,
  chunkBytesFor,
  chunkPlace,
  chunksOf,
  FleetFormatError,
  type ImageManifest,
  maxAnnounceBytes,
  maxChunks,
  maxGuidanceBytes,
  maxManifestBytes,
  maxPeers,
  maxStageAsks,
  maxTake,
  readAnnouncement,
  readGuidance,
  readManifest,
  readStageSaid,
  type StageAsk,
  writeAnnouncement,
  writeGuidance,
  writeManifest,
  writeStageAsks,
} from './fleet.ts';

const MiB = 1 << 20;
const hashes = (count: number): string[] => Array.from({ length: count }, (_, i) => i.toString(16).padStart(64, '0'));
const image = (bytes: number): ImageManifest => ({ sha256: 'a'.repeat(64), bytes, chunks: hashes(chunksOf(bytes)) });

test('chunks have 1 MiB until there would be too many of them', () => {
  for (const [bytes, each, count] of [
    [1, MiB, 1],
    [MiB, MiB, 1],
    [MiB + 1, MiB, 2],
    [600 * MiB, MiB, 600],
    [4096 * MiB, MiB, 4096],
    [4096 * MiB + 1, 2 * MiB, 2049],
    [100_000 * MiB, 32 * MiB, 3125],
  ] as const) {
    assert.equal(chunkBytesFor(bytes), each);
    assert.equal(chunksOf(bytes), count);
  }
});

test('the chunks of an image lie side by side and end with it', () => {
  const given = image(3 * MiB + 5);
  const places = given.chunks.map((_, chunk) => chunkPlace(given, chunk));
  assert.deepEqual(places.at(-1), { at: 3 * MiB, bytes: 5 });
  assert.equal(
    places.reduce((sum, { bytes }) => sum + bytes, 0),
    given.bytes,
  );
});

test('a manifest is read as it was written', () => {
  for (const bytes of [1, MiB, 7 * MiB + 3, 4096 * MiB]) {
    const given = image(bytes);
    const text = writeManifest(given);
    assert.ok(text.length <= maxManifestBytes);
    assert.deepEqual(readManifest(text), given);
  }
});

test('a manifest that is none is refused with its field', () => {
  const good = writeManifest(image(2 * MiB));
  for (const [text, field] of [
    ['', /line 1/],
    [good.replace('image 1', 'image 2'), /line 1/],
    [good.replace(/bytes \d+/, 'bytes -1'), /line 2/],
    [good.replace(/bytes \d+/, `bytes ${3 * MiB}`), /chunks: want 3 of/],
    [good.replace(/sha256 \w+/, 'sha256 x'), /line 3/],
    [good.slice(0, -1), /last line/],
    [good.replace(/0{63}1/, 'z'.repeat(64)), /chunks: want 64 hex/],
  ] as const)
    assert.throws(
      () => readManifest(text),
      (error) => error instanceof FleetFormatError && field.test(error.message),
    );
});

test('a set of chunks is read as it was written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: maxChunks }), fc.infiniteStream(fc.nat(maxChunks - 1)), (size, stream) => {
      const set = new ChunkSet(size);
      const model = new Set<number>();
      for (const [i, chunk] of [...stream.take(50)].entries()) {
        const one = chunk % size;
        if (i % 5 === 4) {
          set.remove(one);
          model.delete(one);
        } else {
          assert.equal(set.add(one), !model.has(one));
          model.add(one);
        }
      }
      assert.equal(set.count, model.size);
      const again = ChunkSet.read(set.text(), size);
      for (let chunk = 0; chunk < size; chunk++) assert.equal(again.has(chunk), model.has(chunk));
      assert.equal(again.count, set.count);
      assert.equal(set.helps(again), false);
      assert.equal(ChunkSet.full(size).helps(set), !set.complete);
    }),
  );
});

test('a set with other chunks than the image has is refused', () => {
  assert.throws(() => ChunkSet.read(ChunkSet.full(9).text().replace('*', '__8'), 9), FleetFormatError);
  assert.throws(() => ChunkSet.read('_w', 9), /want 2 bytes/);
  assert.throws(() => ChunkSet.read('gB', 3), /want 1 bytes/);
  assert.throws(() => ChunkSet.read('EA', 3), /there are 3 chunks, found number 3/);
});

test('announcements and guidance are read as they were written, and fit their bounds', () => {
  const have = new ChunkSet(maxChunks);
  for (let chunk = 0; chunk < maxChunks; chunk += 2) have.add(chunk);
  const take = Array.from({ length: maxTake }, (_, i) => maxChunks - 1 - i);
  const said = { have, port: 65_535, wants: maxTake, stuck: true, gaveUp: take };
  const announcement = writeAnnouncement(said);
  assert.ok(announcement.length <= maxAnnounceBytes);
  assert.deepEqual(readAnnouncement(announcement, maxChunks), said);
  const peers = Array.from({ length: maxPeers }, () => ({
    address: 'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255',
    port: 65_535,
    have,
  }));
  const guidance = writeGuidance({ peers, take, againMs: 60_000 });
  assert.ok(guidance.length <= maxGuidanceBytes);
  assert.deepEqual(readGuidance(guidance, maxChunks), { peers, take, againMs: 60_000 });
});

test('what is no announcement and no guidance is refused with its field', () => {
  for (const [text, want] of [
    ['{', /want JSON/],
    ['[]', /want an object/],
    ['{}', /have: want a text/],
    ['{"have":"*"}', /port/],
    ['{"have":"*","port":65536,"wants":1,"gave_up":[]}', /port: want an integer from 0/],
    ['{"have":"*","port":1,"wants":99,"gave_up":[]}', /wants/],
    ['{"have":"*","port":1,"wants":1,"gave_up":[3]}', /chunk: want an integer below 3/],
    ['{"have":"*","port":1,"wants":1,"gave_up":{}}', /gave_up: want a list/],
  ] as const)
    assert.throws(() => readAnnouncement(text, 3), want);
  for (const [text, want] of [
    ['{"peers":[1],"take":[],"again_ms":100}', /peers: want objects/],
    ['{"peers":[{"at":"a host","port":1,"have":"*"}],"take":[],"again_ms":100}', /at: want an IP/],
    ['{"peers":[],"take":["x"],"again_ms":100}', /chunk/],
    ['{"peers":[],"take":[],"again_ms":0}', /again_ms/],
  ] as const)
    assert.throws(() => readGuidance(text, 3), want);
});

test('what a boot stage says is read, and what it is told has one form', () => {
  const text = 'first 3\nlast 9\nhave 3 4\nport 7483\nwants 16\nstuck 1\nnot 10.0.0.7 fd00::1 \n';
  assert.deepEqual(readStageSaid(text, 10), {
    first: 3,
    last: 9,
    have: [3, 4],
    port: 7483,
    wants: maxStageAsks,
    stuck: true,
    not: ['10.0.0.7', 'fd00::1'],
  });
  const asks: StageAsk[] = [
    { chunk: 3, from: 'door' },
    { chunk: 4, from: { address: '10.0.0.7', port: 7483 } },
    { chunk: 5, from: { address: 'fd00::1', port: 7483 } },
  ];
  assert.equal(writeStageAsks(asks, 250), 'again 250\n3 door\n4 10.0.0.7:7483\n5 [fd00::1]:7483\n');
  for (const [wrong, want] of [
    [text.replace('have 3', 'have 2'), /^have:/],
    [text.replace('last 9', 'last 10'), /^last:/],
    [text.replace('first 3', 'first'), /^first: want one/],
    [text.replace('port 7483', 'port 99999'), /^port:/],
    [text.replace('fd00::1', 'host/../x'), /^not:/],
    [`${text}not ${'10.0.0.1 '.repeat(17)}`, /^not:/],
    ['x'.repeat(1 << 20), /^boot stage: at most/],
    ['', /^first:/],
  ] as const)
    assert.throws(() => readStageSaid(wrong, 10), { name: 'FleetFormatError', message: want });
});
