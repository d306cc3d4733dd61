import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { chunkPlace, chunksOf, writeManifest } from '@nixie/proto/fleet';
import { type HttpServer, startHttp } from '../../../controller/src/listen/http.ts';
import { parseMac } from '../../../controller/src/machine/mac.ts';
import { realClock } from '../host.ts';
import { type Fetched, type FetchParts, fetchImage } from './fetch.ts';
import { ImageFile } from './image-file.ts';
import { servePeers } from './peer-server.ts';

const MiB = 1 << 20;
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

interface Place {
  readonly folder: string;
  readonly image: Buffer;
  readonly door: HttpServer;
  readonly manifestSha256: string;
  readonly progress: number[];
  fetch(machine: number, more?: Partial<FetchParts>): Promise<Fetched>;
}

/** A door that serves an image; machines are addresses of the loopback network. */
async function place(t: TestContext, bytes: number, door: { tracker?: boolean } = {}): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-fleet-'));
  const image = randomBytes(bytes);
  const chunks = Array.from({ length: chunksOf(bytes) }, (_, chunk) => {
    const { at, bytes: length } = chunkPlace({ bytes }, chunk);
    return sha256(image.subarray(at, at + length));
  });
  const manifest = writeManifest({ sha256: sha256(image), bytes, chunks });
  const file = (name: string, content: Buffer | string) => {
    writeFileSync(join(folder, name), content);
    return [
      `${sha256(content)}/${name}`,
      { path: join(folder, name), size: content.length, sha256: sha256(content) },
    ] as const;
  };
  const progress: number[] = [];
  const http = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ refuse: 'no' }),
    loaders: new Map(),
    files: new Map([file('image', image), file('manifest', manifest)]),
    onProgress: ({ sentBytes }) => void progress.push(sentBytes),
    ...(door.tracker === false ? {} : { macAt: () => parseMac('52:54:00:00:00:01') }),
  });
  const made: Fetched[] = [];
  t.after(async () => {
    await Promise.all(made.map((each) => each.close()));
    await http.close();
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    image,
    door: http,
    progress,
    manifestSha256: sha256(manifest),
    async fetch(machine, more = {}) {
      const fetched = await fetchImage({
        doors: [{ host: '127.0.0.1', port: http.port }],
        manifestSha256: sha256(manifest),
        file: join(folder, `machine${machine}`),
        clock: realClock,
        signal: t.signal,
        log: () => {},
        localAddress: `127.0.1.${machine}`,
        port: 0,
        ...more,
      });
      made.push(fetched);
      return fetched;
    },
  };
}

/** Whatever holds this computer up, nobody is taken for slow: the clock counts little of a pause, and peers have a minute for an answer. */
function unhurried(): Partial<FetchParts> {
  let [at, last] = [0, realClock.ticks()];
  const ticks = (): number => {
    const now = realClock.ticks();
    at += Math.min(60, now - last);
    last = now;
    return at;
  };
  return { clock: { ...realClock, ticks }, peerMs: { connect: 60_000, idle: 60_000, total: 60_000 } };
}

const whole = ({ folder, image }: Place, machine: number): boolean =>
  readFileSync(join(folder, `machine${machine}`)).equals(image);

test('a fleet gets the image from each other, and each chunk about once from the door', async (t) => {
  const there = await place(t, 12 * MiB + 5);
  const machines = [1, 2, 3, 4, 5];
  const fetched = await Promise.all(machines.map((machine) => there.fetch(machine, unhurried())));
  for (const machine of machines) assert.ok(whole(there, machine));
  const fromDoor = fetched.reduce((sum, each) => sum + each.fromDoorBytes, 0);
  assert.ok(fromDoor <= 1.5 * there.image.length, `the door sent ${fromDoor} bytes`);
  assert.ok(fetched.reduce((sum, each) => sum + each.sentBytes(), 0) >= 3 * there.image.length);
  // It hears of the last chunk a moment after that came.
  const told = () => Math.max(...there.progress) === there.image.length;
  for (const until = performance.now() + 60_000; !told() && performance.now() < until; )
    await new Promise((resolve) => setImmediate(resolve));
  assert.ok(told(), 'the door knows how far they are');
  assert.equal(there.door.counters().fleet, 5);
  // One that comes late costs the door nothing.
  const late = await there.fetch(6, unhurried());
  assert.equal(late.fromDoorBytes, 0);
  assert.ok(whole(there, 6));
});

test('without a tracker everything comes from the door', async (t) => {
  const there = await place(t, 3 * MiB, { tracker: false });
  const { fromDoorBytes } = await there.fetch(1);
  assert.equal(fromDoorBytes, there.image.length);
  assert.ok(whole(there, 1));
  assert.equal(there.door.counters().fleet, 0);
});

test('a liar, one that hangs and one that has gone cost time only', async (t) => {
  const there = await place(t, 4 * MiB);
  await there.fetch(1);
  const said: string[] = [];
  const bad = async (machine: number, answer: (server: Server) => void): Promise<void> => {
    const server = createServer();
    answer(server);
    await new Promise<void>((resolve) => server.listen(0, `127.0.1.${machine}`, resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as { port: number };
    await announce(there, machine, port);
  };
  await bad(7, (server) => server.on('request', (_, response) => response.end(Buffer.alloc(MiB))));
  await bad(8, (server) => server.on('request', (_, response) => response.writeHead(200).flushHeaders()));
  await announce(there, 9, 9);
  await there.fetch(2, { log: (text) => void said.push(text) });
  assert.ok(whole(there, 2));
  assert.ok(said.every((text) => /127\.0\.1\.7 sent a wrong chunk/.test(text)));
});

test('what an earlier run left is looked at and used; what is wrong in it comes anew', async (t) => {
  const there = await place(t, 4 * MiB);
  const part = Buffer.from(there.image);
  part.fill(0, MiB, MiB + 10);
  writeFileSync(join(there.folder, 'machine1.part'), part);
  const first = await there.fetch(1);
  assert.equal(first.fromDoorBytes + first.fromPeersBytes, MiB);
  assert.ok(!existsSync(join(there.folder, 'machine1.part')));
  await first.close();
  const again = await there.fetch(1);
  assert.equal(again.fromDoorBytes + again.fromPeersBytes, 0);
  await again.close();
  truncateSync(join(there.folder, 'machine1'), 100);
  const anew = await there.fetch(1);
  assert.equal(anew.fromDoorBytes, there.image.length);
  assert.ok(whole(there, 1));
});

test('a manifest with another hash is never used, and in the end it is given up', async (t) => {
  const there = await place(t, MiB);
  const said: string[] = [];
  const wrong = there.fetch(1, {
    manifestSha256: sha256(there.image).replace(/./, (digit) => (digit === '0' ? '1' : '0')),
    log: (text) => void said.push(text),
    giveUpMs: 50,
    // Its time goes by once the door has answered.
    clock: { ...realClock, ticks: () => said.length * 1000 },
  });
  await assert.rejects(wrong, /nothing of the image has come/);
  assert.match(said[0]!, /status 404/);
});

test('peers hear what is here and nothing else', async (t) => {
  const there = await place(t, 2 * MiB);
  await there.fetch(1, { uploadBytesPerSecond: 50 * MiB });
  // The tracker hears of the last chunk a moment after it came.
  let port: number | undefined;
  for (const until = performance.now() + 10_000; port === undefined && performance.now() < until; )
    port = (await announce(there, 9, 9)).find(({ at }) => at === '127.0.1.1')?.port;
  const ask = (path: string): Promise<{ status: number; body: Buffer }> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.1.1', port: port!, path }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () => resolve({ status: response.statusCode!, body: Buffer.concat(pieces) }));
      }).on('error', reject);
    });
  const second = there.image.subarray(MiB);
  const got = await ask(`/c/${sha256(second)}`);
  assert.equal(got.status, 200);
  assert.ok(got.body.equals(second));
  for (const path of ['/', `/c/${'0'.repeat(64)}`, `/c/../${sha256(second)}`, `/c/${sha256(second)}/`])
    assert.equal((await ask(path)).status, 404);
});

/** A machine that hands out its one chunk slowly, and to one at a time; `ask` tells how an answer ended. */
async function slowPeer(t: TestContext, limits: { uploadMs?: number }) {
  const there = await place(t, MiB);
  const machine = await there.fetch(1);
  const image = await ImageFile.open(join(there.folder, 'machine1'), machine.manifest);
  const server = await servePeers({
    image,
    port: 0,
    address: '127.0.1.1',
    clock: realClock,
    uploadBytesPerSecond: MiB / 4,
    limits: { uploads: 1, ...limits },
  });
  t.after(() => server.close().then(() => image.close()));
  const ask = (begun = (): void => {}): Promise<string> =>
    new Promise((resolve) => {
      const sent = get({ host: '127.0.1.1', port: server.port, path: `/c/${sha256(there.image)}` }, (response) => {
        begun();
        if (response.statusCode !== 200) return resolve(String(response.statusCode));
        response.resume().on('end', () => resolve('all'));
        response.on('error', () => resolve('cut'));
      });
      sent.on('error', () => resolve('cut'));
    });
  return { server, ask };
}

test('with all places taken others are told so', async (t) => {
  const { server, ask } = await slowPeer(t, {});
  const begun = Promise.withResolvers<void>();
  const slow = ask(begun.resolve);
  await begun.promise;
  assert.equal(await ask(), '503');
  assert.equal(server.counters().busy, 1);
  await server.close();
  assert.equal(await slow, 'cut');
});

test('a reader that takes its time loses its place', async (t) => {
  const { ask } = await slowPeer(t, { uploadMs: 300 });
  assert.equal(await ask(), 'cut');
  let next = await ask();
  for (const until = performance.now() + 60_000; next === '503' && performance.now() < until; ) next = await ask();
  assert.equal(next, 'cut', 'the place is free again');
});

/** As a machine that has everything, or says so. */
async function announce(there: Place, machine: number, port: number): Promise<{ at: string; port: number }[]> {
  const { request } = await import('node:http');
  const all = '*';
  const path = `/fleet/${sha256(there.image)}`;
  const say = (have: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: there.door.port,
        path,
        method: 'POST',
        localAddress: `127.0.1.${machine}`,
      };
      const sent = request(options, (response) => {
        let text = '';
        response.on('data', (piece) => {
          text += piece;
        });
        response.on('end', () => resolve(text));
      });
      sent.on('error', reject);
      sent.end(JSON.stringify({ have, port, wants: 0, gave_up: [] }));
    });
  const none = Buffer.alloc(Math.ceil(chunksOf(there.image.length) / 8)).toString('base64url');
  const { peers } = JSON.parse(await say(none)) as { peers: { at: string; port: number }[] };
  await say(all);
  return peers;
}
