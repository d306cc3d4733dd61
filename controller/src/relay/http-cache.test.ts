// The cache behind the real HTTP front door, with an uplink in memory.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { after, sleep } from '../clock.ts';
import { type FileProgress, startHttp } from '../listen/http.ts';
import { Cache } from './cache.ts';
import type { FetchBytes } from './fetching.ts';
import { Problems } from './problems.ts';

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const pieceBytes = 64 * 1024;

async function house(t: TestContext, whole: Buffer, fetch: FetchBytes) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-cache-'));
  const problems = new Problems(
    () => {},
    () => performance.now(),
  );
  const cache = new Cache(folder, 1 << 30, {
    fetch,
    sleep,
    after,
    ticks: () => performance.now(),
    now: Date.now,
    problems,
  });
  const ref = { sha256: sha(whole), bytes: whole.length };
  const progress: FileProgress[] = [];
  const server = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ refuse: 'none here' }),
    loaders: new Map(),
    files: new Map([[`${ref.sha256}/initrd`, { size: ref.bytes, sha256: ref.sha256, hold: () => cache.hold(ref) }]]),
    onProgress: (each) => void progress.push(each),
  });
  t.after(async () => {
    await server.close();
    cache.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const get = (headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<{ status: number; bytes: Buffer; error?: Error; response: IncomingMessage }>((resolve, reject) => {
      const path = `/f/${ref.sha256}/initrd`;
      const asked = request(
        { host: '127.0.0.1', port: server.port, path, method, headers, agent: false },
        (response) => {
          const pieces: Buffer[] = [];
          const done = (error?: Error) =>
            resolve({
              status: response.statusCode!,
              bytes: Buffer.concat(pieces),
              response,
              ...(error === undefined ? {} : { error }),
            });
          response.on('data', (piece: Buffer) => pieces.push(piece));
          response.on('end', () => done());
          response.on('error', done);
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  return { cache, get, server, progress, ref };
}

test('four machines fetch 64 MB at once over a shaped uplink: one copy crosses it, and then none', async (t) => {
  const whole = randomBytes(64 << 20);
  const bytesEachMs = 100_000; // 800 Mbit/s
  let crossed = 0;
  const { get, server, progress, cache } = await house(t, whole, async function* (_what, offset) {
    const began = performance.now();
    for (let at = offset; at < whole.length; at += pieceBytes) {
      const piece = whole.subarray(at, at + pieceBytes);
      crossed += piece.length;
      const early = (at - offset) / bytesEachMs - (performance.now() - began);
      if (early > 1) await sleep(early);
      yield piece;
    }
  });
  const all = await Promise.all(Array.from({ length: 4 }, () => get()));
  for (const { bytes, error, status } of all) assert.ok(error === undefined && status === 200 && bytes.equals(whole));
  t.diagnostic(`${(crossed / whole.length).toFixed(3)} copies over the uplink`);
  assert.ok(crossed <= 1.15 * whole.length, `${crossed} bytes`);
  assert.equal(cache.status().fetchedBytes, crossed);
  assert.equal(server.counters().bulkByChild, 0);
  const again = await get();
  assert.ok(again.bytes.equals(whole));
  assert.ok(crossed <= 1.15 * whole.length);
  assert.equal(server.counters().bulkByChild + server.counters().bulkByStream, 1);
  const told = () => progress.filter(({ ended }) => ended).length;
  // The last one is told when its child has ended.
  for (const end = performance.now() + 60_000; told() < 5 && performance.now() < end; ) await sleep(5);
  assert.equal(told(), 5);
});

test('ranges, HEAD and validators are the same while a file is coming as when it is here', async (t) => {
  const whole = randomBytes(300_000);
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let fetches = 0;
  const { get, ref } = await house(t, whole, async function* (_what, offset) {
    fetches++;
    for (let at = offset; at < whole.length; at += 1000) {
      if (at >= 150_000) await gate;
      yield whole.subarray(at, at + 1000);
    }
  });
  for (const round of ['coming', 'here']) {
    const head = await get({}, 'HEAD');
    assert.equal(head.response.headers['content-length'], '300000', round);
    const early = await get({ Range: 'bytes=1000-99999' });
    assert.equal(early.status, 206);
    assert.equal(early.response.headers['content-range'], 'bytes 1000-99999/300000');
    assert.ok(early.bytes.equals(whole.subarray(1000, 100_000)));
    assert.equal((await get({ 'If-None-Match': `"${ref.sha256}"` })).status, 304);
    assert.equal((await get({ Range: 'bytes=300000-' })).status, 416);
    const late = get({ Range: 'bytes=-10' });
    letGo();
    assert.ok((await late).bytes.equals(whole.subarray(299_990)));
  }
  assert.ok(fetches <= 3, `${fetches} fetches`);
});

test('wrong content ends in a reset, never in a whole response', async (t) => {
  const whole = randomBytes(200_000);
  const { get } = await house(t, whole, async function* (_what, offset) {
    yield whole.subarray(offset, 100_000);
    yield Buffer.alloc(100_000);
  });
  const { error, bytes } = await get();
  assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
  assert.ok(bytes.length <= 200_000 - 65_536);
});
