// The HTTP door by real connections; long because scripts, files, ranges, children and crowds are asked of one server with one table of files.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { PortTaken } from './errors.ts';
import { type FileProgress, type HttpServer, type ScriptAsk, startHttp } from './http.ts';
import { contentType, parseRange } from './http-file.ts';
import type { Seen } from './seen.ts';

interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

function fetchRaw(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}

/** Lets the event loop turn until something holds, half a minute at most. */
async function until(holds: () => boolean | undefined): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `waited for ${holds}`);
    await new Promise(setImmediate);
  }
  assert.ok(holds());
}

const folder = mkdtempSync(join(tmpdir(), 'nixie-http-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const small = randomBytes(100_000);
const large = randomBytes(9 << 20);
const table = new Map(
  [
    ['kernel', small],
    ['initrd', large],
  ].map(([name, bytes]) => {
    const path = join(folder, name as string);
    writeFileSync(path, bytes as Buffer);
    const hash = sha256(bytes as Buffer);
    return [`${hash}/${name}`, { path, size: bytes!.length, sha256: hash }] as const;
  }),
);
const kernelPath = `/f/${sha256(small)}/kernel`;
const initrdPath = `/f/${sha256(large)}/initrd`;
const loader = Buffer.from('MZ loader');
const hasBusybox = spawnSync('busybox', ['cat', '/dev/null']).status === 0;

async function withServer(
  use: (server: HttpServer, told: { asks: ScriptAsk[]; seen: Seen[]; progress: FileProgress[] }) => Promise<void>,
  catProgram?: string | null,
): Promise<void> {
  const told = { asks: [] as ScriptAsk[], seen: [] as Seen[], progress: [] as FileProgress[] };
  const server = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: (ask) => {
      told.asks.push(ask);
      return ask.mac.endsWith('01') ? { script: '#!ipxe\nboot\n' } : { refuse: 'not listed' };
    },
    loaders: new Map([['snponly.efi', loader]]),
    files: table,
    onSeen: (seen) => told.seen.push(seen),
    onProgress: (progress) => told.progress.push(progress),
    ...(catProgram !== undefined && { catProgram }),
  });
  try {
    await use(server, told);
  } finally {
    await server.close();
  }
}

test('boot scripts: any spelling of the MAC, who asks and where, no script without GET', async () => {
  await withServer(async ({ port }, { asks, seen }) => {
    const got = await fetchRaw(port, '/boot/52-54-00-00-00-01.ipxe');
    assert.equal(got.status, 200);
    assert.equal(got.body.toString(), '#!ipxe\nboot\n');
    assert.equal(got.headers['content-length'], '12');
    assert.match(got.headers['content-type']!, /^text\/plain/);
    assert.equal(got.headers['cache-control'], 'no-store');
    assert.deepEqual(asks, [{ mac: '52:54:00:00:00:01', remoteAddress: '127.0.0.1', localAddress: '127.0.0.1' }]);
    assert.deepEqual(
      seen.map(({ kind, mac }) => [kind, mac]),
      [['http-script', '52:54:00:00:00:01']],
    );
    assert.equal((await fetchRaw(port, '/boot/52:54:00:00:00:01.ipxe?x=1')).status, 200);
    const refused = await fetchRaw(port, '/boot/525400000002.ipxe');
    assert.deepEqual([refused.status, refused.body.toString()], [403, 'not listed\n']);
    assert.equal((await fetchRaw(port, '/boot/52-54-00-00-00-01.ipxe', { method: 'HEAD' })).status, 405);
    assert.equal(asks.length, 3);
  });
});

test('loaders and files: HEAD, type, validators, ranges', async () => {
  await withServer(async ({ port }) => {
    const head = await fetchRaw(port, '/loader/snponly.efi', { method: 'HEAD' });
    assert.deepEqual(
      [
        head.status,
        head.headers['content-length'],
        head.headers['content-type'],
        head.headers['accept-ranges'],
        head.body.length,
      ],
      [200, '9', 'application/efi', 'bytes', 0],
    );
    assert.deepEqual((await fetchRaw(port, '/loader/snponly.efi')).body, loader);

    const whole = await fetchRaw(port, kernelPath);
    assert.deepEqual(whole.body, small);
    assert.equal(whole.headers.etag, `"${sha256(small)}"`);
    const etag = whole.headers.etag!;
    const table: readonly [Record<string, string>, number, string | undefined, Buffer][] = [
      [{ Range: 'bytes=0-0' }, 206, 'bytes 0-0/100000', small.subarray(0, 1)],
      [{ Range: 'bytes=99990-' }, 206, 'bytes 99990-99999/100000', small.subarray(99_990)],
      [{ Range: 'bytes=5-999999' }, 206, 'bytes 5-99999/100000', small.subarray(5)],
      [{ Range: 'bytes=-10' }, 206, 'bytes 99990-99999/100000', small.subarray(-10)],
      [{ Range: 'bytes=100000-' }, 416, 'bytes */100000', Buffer.alloc(0)],
      [{ Range: 'bytes=0-1,5-6' }, 200, undefined, small],
      [{ Range: 'bytes=3-4', 'If-Range': '"other"' }, 200, undefined, small],
      [{ Range: 'bytes=3-4', 'If-Range': etag }, 206, 'bytes 3-4/100000', small.subarray(3, 5)],
      [{ 'If-None-Match': etag }, 304, undefined, Buffer.alloc(0)],
      [{ 'If-None-Match': `"x", W/${etag}` }, 304, undefined, Buffer.alloc(0)],
      [{ 'If-None-Match': '"x"' }, 200, undefined, small],
    ];
    for (const [headers, status, range, body] of table) {
      const got = await fetchRaw(port, kernelPath, { headers });
      assert.equal(got.status, status, JSON.stringify(headers));
      assert.equal(got.headers['content-range'], range, JSON.stringify(headers));
      assert.deepEqual(got.body, body, JSON.stringify(headers));
    }
  });
});

for (const way of ['child', 'stream'] as const) {
  const skip = way === 'child' && !hasBusybox ? 'busybox is missing' : false;
  test(`a large file by ${way}: whole, counted, told; with a range by stream`, { skip }, async () => {
    await withServer(
      async (server, { progress }) => {
        await fetchRaw(server.port, '/boot/52-54-00-00-00-01.ipxe');
        const got = await fetchRaw(server.port, initrdPath);
        assert.deepEqual(
          [got.status, got.headers['content-length'], sha256(got.body)],
          [200, String(large.length), sha256(large)],
        );
        await until(() => progress.at(-1)?.ended);
        const last = progress.at(-1)!;
        assert.deepEqual(
          [last.sentBytes, last.totalBytes, last.ended, last.mac],
          [large.length, large.length, true, '52:54:00:00:00:01'],
        );
        const { bulkByChild, bulkByStream, children } = server.counters();
        assert.deepEqual([bulkByChild, bulkByStream, children], way === 'child' ? [1, 0, 0] : [0, 1, 0]);
        const part = await fetchRaw(server.port, initrdPath, { headers: { Range: 'bytes=5000000-' } });
        assert.deepEqual(part.body, large.subarray(5_000_000));
        assert.equal(server.counters().bulkByChild, bulkByChild);
      },
      way === 'child' ? undefined : null,
    );
  });
}

/** A server with one file of which more is left than both ends of a connection keep. */
async function withHuge(
  limits: { stalledMs: number },
  use: (at: { server: HttpServer; progress: FileProgress[]; path: string; size: number }) => Promise<void>,
): Promise<void> {
  const [path, size, hash] = [join(folder, 'huge'), 256 << 20, '0'.repeat(64)];
  writeFileSync(path, '');
  truncateSync(path, size);
  const progress: FileProgress[] = [];
  const server = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ refuse: '' }),
    loaders: new Map(),
    files: new Map([[`${hash}/initrd`, { path, size, sha256: hash }]]),
    onProgress: (one) => progress.push(one),
    limits,
  });
  try {
    await use({ server, progress, path: `/f/${hash}/initrd`, size });
  } finally {
    await server.close();
  }
}

test('a client that leaves midway leaves no child behind', {
  skip: hasBusybox ? false : 'busybox is missing',
}, async () => {
  // So patient that a pause of this whole computer is no reason to give it up before it leaves.
  await withHuge({ stalledMs: 60_000 }, async ({ server, progress, path, size }) => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    assert.equal(server.counters().children, 1);
    socket.destroy();
    await until(() => server.counters().children === 0);
    assert.ok(progress.at(-1)!.ended && progress.at(-1)!.sentBytes < size);
  });
});

test('what a client has taken is known while the kernel sends, so that a slow one is not given up', {
  skip: hasBusybox ? false : 'busybox is missing',
}, async () => {
  await withHuge({ stalledMs: 60_000 }, async ({ server, progress, path }) => {
    const socket = connect(server.port, '127.0.0.1');
    try {
      let got = 0;
      socket.on('error', () => {});
      socket.on('data', (piece) => {
        got += piece.length;
        if (got > 1 << 20) socket.pause();
      });
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until(() => progress.some(({ sentBytes }) => sentBytes >= 1 << 20));
      assert.equal(progress.at(-1)!.ended, false);
      // A sendfile of busybox's is 16 MiB, and is counted when it ends.
      assert.ok(progress.at(-1)!.sentBytes < 16 << 20);
    } finally {
      socket.destroy();
    }
  });
});

test('a client that takes next to nothing for ever is given up, child and all', {
  skip: hasBusybox ? false : 'busybox is missing',
}, async () => {
  // A hundred kB a second: some are acknowledged all the time, and too few.
  await withHuge({ stalledMs: 2000 }, async ({ server, progress, path, size }) => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('readable', () => {});
    const sipping = setInterval(() => socket.read(2048), 20);
    try {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until(() => server.counters().children === 1);
      await until(() => server.counters().children === 0);
      assert.ok(progress.at(-1)!.ended && progress.at(-1)!.sentBytes < size);
    } finally {
      clearInterval(sipping);
      socket.destroy();
    }
  });
});

test('a client that takes nothing is given up, child and all', {
  skip: hasBusybox ? false : 'busybox is missing',
}, async () => {
  await withHuge({ stalledMs: 300 }, async ({ server, progress, path, size }) => {
    const socket = connect(server.port, '127.0.0.1');
    try {
      socket.pause();
      socket.on('error', () => {});
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until(() => server.counters().children === 1);
      await until(() => server.counters().children === 0);
      assert.ok(progress.at(-1)!.ended && progress.at(-1)!.sentBytes < size);
    } finally {
      socket.destroy();
    }
  });
});

for (const way of ['child', 'stream'] as const)
  test(`500 connections at once get the whole file by ${way}, ranges and aborts among them`, {
    skip: way === 'child' && !hasBusybox ? 'busybox is missing' : false,
  }, async () => {
    await withServer(
      async (server) => {
        const whole = sha256(large);
        const one = async (i: number): Promise<string> => {
          if (i % 10 === 1) {
            const { body } = await fetchRaw(server.port, initrdPath, { headers: { Range: 'bytes=1048570-1048585' } });
            return body.equals(large.subarray(1_048_570, 1_048_586)) ? 'range' : 'a wrong range';
          }
          if (i % 10 === 2) {
            const socket = connect(server.port, '127.0.0.1');
            socket.on('error', () => {});
            socket.write(`GET ${initrdPath} HTTP/1.1\r\nHost: x\r\n\r\n`);
            await new Promise((resolve) => socket.once('data', resolve));
            socket.destroy();
            return 'abort';
          }
          const { body } = await fetchRaw(server.port, i % 10 === 0 ? initrdPath : kernelPath);
          if (i % 10 === 0) return sha256(body) === whole ? 'initrd' : 'a wrong initrd';
          return body.equals(small) ? 'kernel' : 'a wrong kernel';
        };
        const got = await Promise.all(Array.from({ length: 500 }, (_, i) => one(i)));
        const counts = Object.fromEntries(
          [...new Set(got)].sort().map((word) => [word, got.filter((w) => w === word).length]),
        );
        assert.deepEqual(counts, { abort: 50, initrd: 50, kernel: 350, range: 50 });
        await until(() => server.counters().children === 0);
      },
      way === 'child' ? undefined : null,
    );
  });

/** A server without children, and a client of it that takes nothing. */
async function withSlow(
  limits: { stalledMs: number },
  use: (at: { port: number; slow: Socket; ended: () => number }) => Promise<void>,
): Promise<void> {
  let ended = 0;
  const server = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ refuse: '' }),
    loaders: new Map(),
    files: table,
    catProgram: null,
    onProgress: (one) => {
      if (one.ended) ended += 1;
    },
    limits,
  });
  const slow = connect(server.port, '127.0.0.1');
  try {
    slow.on('error', () => {});
    slow.pause();
    slow.write(`GET ${initrdPath} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await use({ port: server.port, slow, ended: () => ended });
  } finally {
    slow.destroy();
    await server.close();
  }
}

test('by Node alone: one that reads slowly holds up nobody', async () => {
  // So patient that a pause of this whole computer gives up no quick one.
  await withSlow({ stalledMs: 60_000 }, async ({ port, ended }) => {
    const quick = await Promise.all(Array.from({ length: 4 }, () => fetchRaw(port, initrdPath)));
    for (const { body } of quick) assert.equal(sha256(body), sha256(large));
    await until(() => ended() === 4);
    assert.equal(ended(), 4);
  });
});

test('by Node alone: one that takes nothing is given up', async () => {
  await withSlow({ stalledMs: 300 }, async ({ slow, ended }) => {
    const gone = Promise.withResolvers<void>();
    slow.on('close', () => gone.resolve());
    await until(() => ended() === 1);
    slow.resume();
    await gone.promise;
    assert.ok(slow.bytesRead < large.length, `${slow.bytesRead} bytes`);
  });
});

test('old agents are told; other methods are refused; one connection serves many requests', async () => {
  await withServer(async ({ port }) => {
    assert.equal((await fetchRaw(port, '/ping')).body.toString(), 'pong');
    const install = await fetchRaw(port, '/install', { method: 'POST' });
    assert.equal(install.status, 410);
    assert.match(install.body.toString(), /nixie-agent/);
    const put = await fetchRaw(port, kernelPath, { method: 'PUT' });
    assert.deepEqual([put.status, put.headers.allow], [405, 'GET, HEAD']);
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      let got = '';
      socket.on('data', (chunk) => {
        got += chunk;
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(got));
      socket.write('GET /ping HTTP/1.1\r\nHost: x\r\n\r\nGET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    });
    assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
  });
});

test('no other path is ever answered', async () => {
  await withServer(async (server) => {
    const corpus = [
      '/',
      '/f/',
      '/f',
      '/loader/',
      '/boot/',
      '/boot/.ipxe',
      '//ping',
      '/ping/',
      '/f/../f/x',
      `${kernelPath}/`,
      `${kernelPath}%00`,
      '/loader/../loader/snponly.efi',
      '/loader/%2e%2e/etc/passwd',
      '/loader/..\\x',
      '/etc/passwd',
      '/f/__proto__',
      '/loader/constructor',
      '/boot/../../etc/passwd.ipxe',
      '/boot/ff-ff-ff-ff-ff-ff.ipxe',
      '/boot/52-54-00-00-00-01.ipxe.ipxe',
      kernelPath.toUpperCase(),
      `/f/${sha256(small)}/initrd`,
    ];
    for (const path of corpus) assert.equal((await fetchRaw(server.port, path)).status, 404, path);
    assert.equal((await fetchRaw(server.port, `/${'x'.repeat(600)}`)).status, 414);
    const unit = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%2F',
      '%00',
      '\\',
      '~',
      'f',
      'boot',
      'loader',
      'snponly.efi',
      '.ipxe',
      ':',
      'ping2',
      '*',
      ';',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(unit, { minLength: 1, maxLength: 8 }), async (parts) => {
        const path = `/${parts.join('')}`;
        fc.pre(path !== '/loader/snponly.efi');
        const { status } = await fetchRaw(server.port, path);
        assert.ok(status === 404, `${status} ${path}`);
      }),
      { numRuns: 200 },
    );
  });
});

test('broken requests and huge headers end their connection only', async () => {
  await withServer(async ({ port }) => {
    for (const junk of [
      '\x16\x03\x01\x02\x00',
      'GET\r\n\r\n',
      `GET /ping HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(junk));
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
      });
    }
    assert.equal((await fetchRaw(port, '/ping')).status, 200);
  });
});

test('a taken port names its holder', async () => {
  await withServer(async ({ port }) => {
    await assert.rejects(
      startHttp({ addresses: ['127.0.0.1'], port, script: () => ({ refuse: '' }), loaders: new Map() }),
      (error) => error instanceof PortTaken && error.protocol === 'tcp' && error.holder?.pid === process.pid,
    );
  });
});

test('ranges and types', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 0, max: 1000 }), (text, size) => {
      for (const header of [text, `bytes=${text}`]) {
        const range = parseRange(header, size);
        if (typeof range === 'object') assert.ok(range.first >= 0 && range.first <= range.last && range.last < size);
      }
    }),
  );
  assert.equal(parseRange('bytes=5-3', 10), 'none');
  assert.equal(parseRange('bytes=-0', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=0-', 0), 'unsatisfiable');
  assert.equal(contentType('snponly.efi'), 'application/efi');
  assert.equal(contentType('kernel'), 'application/octet-stream');
});
