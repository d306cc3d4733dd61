import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { after, sleep } from '../clock.ts';
import { startHttp } from '../listen/http.ts';
import { makeCacheKey, writeNarInfo } from '../nix/narinfo.ts';
import { Cache } from './cache.ts';
import { type FetchBytes, NotThere } from './fetching.ts';
import { NixStore } from './nix-store.ts';
import { Problems } from './problems.ts';

const key = makeCacheKey('here-1');
const hash = (letters: string) => letters.repeat(32).slice(0, 32);

interface Got {
  readonly status: number;
  readonly body: Buffer;
  readonly complete: boolean;
}

class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'nixie-nix-store-'));
  readonly nars = new Map<string, Buffer>();
  readonly narInfos = new Map<string, string>();
  /** What came over the uplink, in order. */
  readonly crossed: string[] = [];
  readonly told: string[] = [];
  up = true;
  /** The uplink is as slow as this. */
  slow: Promise<void> | undefined;
  /** What the uplink makes of an archive. */
  spoil = (bytes: Buffer): Buffer => bytes;
  readonly #ends: (() => unknown)[] = [];
  port = 0;
  store!: NixStore;

  constructor(t: TestContext) {
    t.after(async () => {
      await this.stop();
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  has(letter: string, bytes: number, signer = key): void {
    const nar = randomBytes(bytes);
    this.nars.set(hash(letter), nar);
    const narHash = createHash('sha256').update(nar).digest('hex');
    const path = `/nix/store/${hash(letter)}-p`;
    this.narInfos.set(hash(letter), writeNarInfo({ path, narHash, narSize: bytes, references: [] }, signer));
  }

  readonly fetch: FetchBytes = async function* (this: Lab, what: Parameters<FetchBytes>[0], offset: number) {
    await new Promise(setImmediate);
    await this.slow;
    if (!this.up) throw new Error('the link is down');
    this.crossed.push(`${what.$case} ${what.value[0]}`);
    const nar = this.nars.get(what.value);
    const bytes =
      what.$case === 'narinfo' ? Buffer.from(this.narInfos.get(what.value) ?? '') : nar && this.spoil(Buffer.from(nar));
    if (bytes === undefined || bytes.length === 0) throw new NotThere('none');
    for (let at = offset; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
  }.bind(this);

  async start(publicKey: string | undefined = key.publicText): Promise<this> {
    const problems = new Problems(
      (text) => this.told.push(text),
      () => performance.now(),
    );
    const world = { fetch: this.fetch, problems, after, sleep, ticks: () => performance.now(), now: () => Date.now() };
    const cache = new Cache(join(this.folder, 'cache'), 64 << 20, world);
    const store = new NixStore(join(this.folder, 'narinfo'), { ...world, cache, catProgram: null });
    store.useKey(publicKey);
    const http = await startHttp({
      addresses: ['127.0.0.1'],
      port: 0,
      script: () => ({ refuse: 'no' }),
      loaders: new Map(),
      nix: store.door,
      catProgram: null,
    });
    this.store = store;
    this.port = http.port;
    this.#ends.push(
      () => cache.close(),
      () => store.close(),
      () => http.close(),
    );
    return this;
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end();
  }

  get(path: string): Promise<Got> {
    return new Promise((resolve, reject) => {
      const asked = httpRequest({ host: '127.0.0.1', port: this.port, path, agent: false }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', () => {});
        response.on('close', () =>
          resolve({ status: response.statusCode!, body: Buffer.concat(pieces), complete: response.complete }),
        );
      });
      asked.on('error', reject);
      asked.end();
    });
  }
  narInfo = (letter: string) => this.get(`/nix/${hash(letter)}.narinfo`);
  nar = (letter: string) => this.get(`/nix/nar/${hash(letter)}.nar`);
}

test('who asks on before the archive before has ended here is answered after it', async (t) => {
  const lab = await new Lab(t).start();
  lab.has('a', 300_000);
  lab.has('b', 200_000);
  for (const letter of ['a', 'b']) await lab.narInfo(letter);
  const socket = connect(lab.port, '127.0.0.1');
  t.after(() => socket.destroy());
  let heard = '';
  const whole = new Promise<void>((resolve) =>
    socket.on('data', (piece: Buffer) => {
      heard += piece.toString('latin1');
      const bodies = heard.split(/HTTP\/1\.1 200 OK\r\n[\s\S]*?\r\n\r\n/).slice(1);
      if (bodies.length === 2 && bodies[1]!.length === 200_000) resolve();
    }),
  );
  for (const letter of ['a', 'b']) socket.write(`GET /nix/nar/${hash(letter)}.nar HTTP/1.1\r\nHost: x\r\n\r\n`);
  await whole;
  for (const letter of ['a', 'b']) assert.ok(heard.includes(lab.nars.get(hash(letter))!.toString('latin1')));
});

test('each path crosses the uplink once, however many ask, and over a restart', async (t) => {
  const lab = await new Lab(t).start();
  lab.has('a', 300_000);
  const infos = await Promise.all(Array.from({ length: 8 }, () => lab.narInfo('a')));
  for (const { status, body } of infos) assert.deepEqual([status, body.toString()], [200, lab.narInfos.get(hash('a'))]);
  const nars = await Promise.all(Array.from({ length: 8 }, () => lab.nar('a')));
  for (const { status, body, complete } of nars)
    assert.deepEqual([status, complete, body.equals(lab.nars.get(hash('a'))!)], [200, true, true]);
  assert.deepEqual(lab.crossed, ['narinfo a', 'nar a']);
  await lab.stop();
  await lab.start();
  lab.up = false;
  assert.equal((await lab.narInfo('a')).body.toString(), lab.narInfos.get(hash('a')));
  assert.deepEqual(lab.crossed, ['narinfo a', 'nar a'], 'nothing came anew');
});

test('many different paths asked for at once wait for each other: one that is refused is pushed by ssh over the same uplink', async (t) => {
  const lab = await new Lab(t).start();
  const names = Array.from({ length: 300 }, (_, index) =>
    [...index.toString(5).padStart(4, '0')].map((digit) => 'abcdf'[Number(digit)]).join(''),
  );
  for (const name of names) lab.has(name, 100);
  const arrived = Promise.withResolvers<void>();
  lab.slow = arrived.promise;
  const asking = Promise.all(names.map((name) => lab.narInfo(name)));
  while (lab.store.counters().narInfos < names.length) await new Promise(setImmediate);
  arrived.resolve();
  const infos = await asking;
  assert.deepEqual(
    infos.filter(({ status }) => status !== 200).map(({ body }) => body.toString()),
    [],
  );
});

test('what the controller does not have is asked for again the next time', async (t) => {
  const lab = await new Lab(t).start();
  assert.equal((await lab.narInfo('b')).status, 404);
  assert.equal((await lab.nar('b')).status, 404);
  lab.has('b', 100);
  assert.equal((await lab.narInfo('b')).status, 200);
  assert.equal((await lab.nar('b')).body.length, 100);
});

test('no link: what is here is served, the rest is refused at once', async (t) => {
  const lab = await new Lab(t).start();
  lab.has('a', 100);
  lab.has('b', 100);
  await lab.nar('a');
  lab.up = false;
  assert.equal((await lab.nar('a')).body.length, 100);
  assert.equal((await lab.narInfo('b')).status, 404);
});

test('a description that the key of the plan did not sign is not served, and told', async (t) => {
  const lab = await new Lab(t).start();
  lab.has('a', 100, makeCacheKey('here-1'));
  lab.has('b', 100);
  lab.narInfos.set(hash('c'), lab.narInfos.get(hash('b'))!);
  lab.narInfos.set(hash('d'), 'nonsense');
  lab.narInfos.set(hash('f'), 'x'.repeat(2 << 20));
  for (const letter of ['a', 'c', 'd', 'f']) assert.equal((await lab.narInfo(letter)).status, 404, letter);
  assert.match(lab.told.join('\n'), /not signed by the plan's key/);
  assert.equal((await lab.narInfo('b')).status, 200);
  assert.deepEqual(readdirSync(join(lab.folder, 'narinfo')), [hash('b')]);
});

test('an archive that is changed on its way is never complete at anybody', async (t) => {
  const lab = await new Lab(t).start();
  lab.has('a', 300_000);
  lab.spoil = (bytes) => {
    bytes[1000]! ^= 1;
    return bytes;
  };
  const got = await lab.nar('a').catch(() => undefined);
  assert.ok(got === undefined || !got.complete || got.body.length < 300_000);
});

test('a new key: what was signed by the old one is fetched anew', async (t) => {
  const lab = await new Lab(t).start();
  lab.has('a', 100);
  await lab.narInfo('a');
  const other = makeCacheKey('there-1');
  lab.store.useKey(other.publicText);
  lab.has('a', 100, other);
  assert.equal((await lab.narInfo('a')).body.toString(), lab.narInfos.get(hash('a')));
  assert.deepEqual(lab.crossed, ['narinfo a', 'narinfo a']);
  lab.store.useKey(undefined);
  for (const path of ['/nix/nix-cache-info', `/nix/${hash('a')}.narinfo`])
    assert.equal((await lab.get(path)).status, 404);
});

test('what lies in its folder and is no description of this key counts for nothing', async (t) => {
  const lab = new Lab(t);
  lab.has('a', 100);
  await lab.start();
  await lab.narInfo('a');
  await lab.stop();
  const folder = join(lab.folder, 'narinfo');
  writeFileSync(join(folder, hash('a')), 'changed');
  writeFileSync(join(folder, `${hash('b')}.new`), 'half');
  await lab.start();
  assert.ok(!existsSync(join(folder, `${hash('b')}.new`)));
  assert.equal((await lab.narInfo('a')).body.toString(), lab.narInfos.get(hash('a')));
  assert.equal(lab.crossed.length, 2);
});
