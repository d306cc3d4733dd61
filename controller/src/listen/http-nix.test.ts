import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { get, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import type { PathTable, ServedPath } from '../nix/binary-cache.ts';
import { narOf } from '../nix/nar.ts';
import { startHttp } from './http.ts';
import { nixAsk, type StoreDoor, type StoreDoorParts, storeDoor } from './http-nix.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-http-nix-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const hash = (letter: string) => letter.repeat(32);

/** A path, and the program that sends it as nix-store does. */
async function made(letter: string, bytes: number): Promise<ServedPath> {
  const path = join(folder, `${hash(letter)}-p`);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'file'), randomBytes(bytes));
  const nar = await narOf(path, bytes + 10_000);
  writeFileSync(`${path}.nar`, nar);
  return { path, narSize: nar.length, narHash: createHash('sha256').update(nar).digest('hex') };
}
const dump = join(folder, 'dump');
writeFileSync(dump, '#!/bin/sh\n[ "$1" = --dump ] || exit 1\nexec cat "$2.nar"\n', { mode: 0o755 });
const slow = join(folder, 'slow');
writeFileSync(slow, '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 });

interface Got {
  readonly status: number;
  readonly body: Buffer;
  readonly complete: boolean;
  readonly headers: IncomingMessage['headers'];
}
const take = (response: IncomingMessage): Promise<Got> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', () => {});
    response.on('close', () =>
      resolve({
        status: response.statusCode!,
        body: Buffer.concat(chunks),
        complete: response.complete,
        headers: response.headers,
      }),
    );
  });
const ask = (port: number, path: string, method = 'GET'): Promise<Got> =>
  new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path, method, agent: false }, (response) => resolve(take(response)))
      .on('error', reject)
      .end();
  });

async function served(
  paths: Readonly<Record<string, ServedPath>>,
  more: Partial<StoreDoorParts>,
  use: (port: number, door: StoreDoor) => Promise<void>,
): Promise<void> {
  const table: PathTable = {
    info: () => 'StoreDir: /nix/store\n',
    narInfo: (asked) => (paths[asked] === undefined ? undefined : `StorePath: ${asked}\n`),
    served: (asked) => paths[asked],
  };
  const door = storeDoor({ table, env: { PATH: process.env.PATH ?? '' }, program: dump, ...more });
  const loaders = new Map<string, Uint8Array>();
  const server = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    loaders,
    script: () => ({ refuse: 'no' }),
    nix: door.answer,
    catProgram: null,
  });
  try {
    await use(server.port, door);
  } finally {
    door.close();
    await server.close();
  }
}
async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !holds(); ) {
    assert.ok(Date.now() < deadline);
    await new Promise(setImmediate);
  }
}

test('only names that a cache has are asked for', () => {
  const a = hash('a');
  assert.deepEqual(nixAsk('/nix/nix-cache-info'), { kind: 'info' });
  assert.deepEqual(nixAsk(`/nix/${a}.narinfo`), { kind: 'narinfo', hash: a });
  assert.deepEqual(nixAsk(`/nix/nar/${a}.nar`), { kind: 'nar', hash: a });
  for (const path of [
    '/nix/',
    `/nix/${a}`,
    `/nix/nar/../${a}.nar`,
    `/nix/nar/${a}.nar.xz`,
    `/nix/${hash('e')}.narinfo`,
    `//nix/${a}.narinfo`,
  ])
    assert.equal(nixAsk(path), undefined, path);
  fc.assert(fc.property(fc.string(), (text) => void nixAsk(`/nix/${text}`)));
});

test('small and large paths arrive whole, and the large ones by a child', async () => {
  const small = await made('a', 1000);
  const large = await made('b', 3 << 20);
  await served({ [hash('a')]: small, [hash('b')]: large }, {}, async (port, door) => {
    assert.equal((await ask(port, '/nix/nix-cache-info')).body.toString(), 'StoreDir: /nix/store\n');
    assert.equal((await ask(port, `/nix/${hash('a')}.narinfo`)).body.toString(), `StorePath: ${hash('a')}\n`);
    const head = await ask(port, `/nix/${hash('a')}.narinfo`, 'HEAD');
    assert.deepEqual([head.status, head.body.length, head.headers['content-length']], [200, 0, '44']);
    for (const [letter, { narSize, narHash }] of [
      ['a', small],
      ['b', large],
    ] as const) {
      const got = await ask(port, `/nix/nar/${hash(letter)}.nar`);
      assert.deepEqual([got.status, got.complete], [200, true]);
      assert.equal(Number(got.headers['content-length']), narSize);
      assert.equal(createHash('sha256').update(got.body).digest('hex'), narHash);
      const about = await ask(port, `/nix/nar/${hash(letter)}.nar`, 'HEAD');
      assert.deepEqual([about.body.length, Number(about.headers['content-length'])], [0, narSize]);
    }
    for (const path of [`/nix/${hash('c')}.narinfo`, `/nix/nar/${hash('c')}.nar`, '/nix/x'])
      assert.equal((await ask(port, path)).status, 404);
    await until(() => door.counters().narBytes === small.narSize + large.narSize);
  });
});

test('a path that is gone, or other than it was told, never arrives whole', async () => {
  const gone = { path: join(folder, `${hash('x')}-gone`), narSize: 500, narHash: '' };
  const goneLarge = { path: join(folder, `${hash('y')}-gone`), narSize: 5 << 20, narHash: '' };
  const other = { ...(await made('a', 1000)), narSize: 5000 };
  const link = join(folder, `${hash('z')}-link`);
  symlinkSync('/etc/passwd', link);
  const paths = { [hash('x')]: gone, [hash('y')]: goneLarge, [hash('a')]: other, [hash('z')]: { ...gone, path: link } };
  await served(paths, {}, async (port) => {
    for (const letter of ['x', 'y', 'a', 'z']) {
      const got = await ask(port, `/nix/nar/${hash(letter)}.nar`).catch(() => undefined);
      // A small one is known to be gone before the first byte; of a large one the connection ends early.
      assert.ok(got === undefined || got.status === 404 || !got.complete, letter);
      if (letter === 'y') assert.notEqual(got?.status, 404);
      assert.ok(got === undefined || !got.body.includes('root:'), 'a link is not followed');
    }
  });
});

test('a client that goes away ends its child', async () => {
  const large = await made('b', 3 << 20);
  await served({ [hash('b')]: { ...large, narSize: 64 << 20 } }, { program: endless() }, async (port, door) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`GET /nix/nar/${hash('b')}.nar HTTP/1.1\r\nHost: x\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    await until(() => door.counters().sending === 1);
    socket.destroy();
    await until(() => door.counters().sending === 0);
  });
});

test('who finds no room waits, and is refused in the end', async () => {
  const large = await made('b', 3 << 20);
  const paths = { [hash('b')]: large };
  await served(paths, { program: slow, most: 1, waitMs: 50, mostWaiting: 1, stalledMs: 600_000 }, async (port) => {
    const url = `http://127.0.0.1:${port}/nix/nar/${hash('b')}.nar`;
    const first = get(url, { agent: false });
    first.on('error', () => {});
    await new Promise((resolve) => first.once('response', resolve));
    const [second, third] = await Promise.all([
      ask(port, `/nix/nar/${hash('b')}.nar`),
      ask(port, `/nix/nar/${hash('b')}.nar`),
    ]);
    assert.deepEqual([second.status, third.status], [404, 404]);
    first.destroy();
  });
  for (const limits of [{ most: 1 }, { mostEach: 1 }])
    await served(paths, limits, async (port) => {
      const all = await Promise.all(Array.from({ length: 8 }, () => ask(port, `/nix/nar/${hash('b')}.nar`)));
      for (const { status, body, complete } of all)
        assert.deepEqual([status, body.length, complete], [200, large.narSize, true]);
    });
});

test('what we ask for a relay counts as the relay’s, and nobody else can say so', async () => {
  const held = { path: join(folder, hash('b')), narSize: 64 << 20, narHash: '' };
  await served({ [hash('b')]: held }, { program: endless(), mostEach: 1, waitMs: 50 }, async (port, door) => {
    /** The status, and what ends it. */
    const begin = (headers: Readonly<Record<string, string>>) =>
      new Promise<{ status: number | undefined; end: () => void }>((resolve) => {
        const url = `http://127.0.0.1:${port}/nix/nar/${hash('b')}.nar`;
        const asked = get(url, { agent: false, headers }, ({ statusCode }) =>
          resolve({ status: statusCode, end: () => asked.destroy() }),
        ).on('error', () => {});
      });
    const forged = Object.keys(door.behalfOf('c')).map((name) => [name, 'south'] as const);
    const begun = [];
    for (const headers of [{}, door.behalfOf('south'), door.behalfOf('north'), door.behalfOf('south')])
      begun.push(await begin(headers));
    begun.push(await begin(Object.fromEntries(forged)));
    assert.deepEqual(
      begun.map(({ status }) => status),
      [200, 200, 200, 404, 404],
    );
    for (const { end } of begun) end();
    await until(() => door.counters().sending === 0);
  });
});

test('a path that is asked for before the answer before has ended comes after that', async () => {
  const paths = { [hash('a')]: await made('a', 1000), [hash('b')]: await made('b', 3 << 20) };
  await served(paths, { waitMs: 600_000 }, async (port) => {
    const socket = connect(port, '127.0.0.1');
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    const ended = once(socket, 'close');
    for (const letter of ['a', 'b']) socket.write(`GET /nix/nar/${hash(letter)}.nar HTTP/1.1\r\nHost: x\r\n\r\n`);
    await ended;
    let left = Buffer.concat(pieces);
    for (const { narSize, narHash } of Object.values(paths)) {
      const body = left.subarray(left.indexOf('\r\n\r\n') + 4);
      assert.match(left.toString('latin1', 0, 20), /^HTTP\/1\.1 200 OK/);
      assert.equal(createHash('sha256').update(body.subarray(0, narSize)).digest('hex'), narHash);
      left = body.subarray(narSize);
    }
    assert.equal(left.length, 0);
  });
});

/** Writes until nobody reads any more. */
function endless(): string {
  const file = join(folder, 'endless');
  writeFileSync(file, '#!/bin/sh\nexec cat /dev/zero\n', { mode: 0o755 });
  return file;
}

test('large paths are read with the rights that nix has', {
  skip: process.getuid?.() === 0 && existsSync('/usr/bin/setpriv') ? false : 'needs root and setpriv',
}, async () => {
  chmodSync(folder, 0o755);
  const bytes = 1 << 20;
  const says = join(folder, 'says');
  const script = `#!/bin/sh\n{ id -u; id -G; grep NoNewPrivs /proc/self/status; echo "$HOME"; cat /dev/zero; } | head -c ${bytes}\n`;
  writeFileSync(says, script, { mode: 0o755 });
  chmodSync(says, 0o755);
  const paths = { [hash('b')]: { path: join(folder, hash('b')), narSize: bytes, narHash: '' } };
  const as = { uid: 65_534, gid: 65_534, setpriv: '/usr/bin/setpriv' };
  const env = { PATH: process.env.PATH ?? '', HOME: '/nowhere' };
  await served(paths, { program: says, as, env }, async (port) => {
    const got = await ask(port, `/nix/nar/${hash('b')}.nar`);
    assert.equal(got.body.length, bytes);
    const [uid, groups, noNew, home] = got.body.toString('latin1', 0, 200).split('\n');
    assert.deepEqual([uid, groups, noNew?.replace(/\s+/, ' '), home], ['65534', '65534', 'NoNewPrivs: 1', '/nowhere']);
  });
});
