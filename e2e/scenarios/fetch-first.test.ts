// The boot stage's script that gets the agent (installer-nix/stage/fetch-first), run by busybox against the real HTTP door and against doors, trackers
// and machines that send what is wrong, too little, too much, nothing, or never end. What isn't right is never unpacked, and there is always an end.
// It is long because each of these needs a door of its own.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { startHttp } from '../../controller/src/listen/http.ts';
import { parseMac } from '../../controller/src/machine/mac.ts';
import { chunkPlace, chunksOf, writeManifest } from '../../proto/fleet.ts';
import { run } from '../lab/child.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { until } from '../lab/patience.ts';

const skip = skipUnless(needPrograms(['busybox', 'cpio']));
const script = join(import.meta.dirname, '../../installer-nix/stage/fetch-first');
const MiB = 1 << 20;
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

interface Image {
  readonly folder: string;
  readonly bytes: Buffer;
  readonly manifest: string;
  readonly chunks: readonly string[];
  /** What lies in the first part. */
  readonly agent: Buffer;
  readonly words: { first: string; image: string };
}

/** Three chunks of something else, then the first part: a cpio archive with the agent, somewhat longer than three chunks. */
async function makeImage(t: TestContext): Promise<Image> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-first-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const agent = randomBytes(3 * MiB + 4321);
  mkdirSync(join(folder, 'tree/bin'), { recursive: true });
  writeFileSync(join(folder, 'tree/bin/nixie-agent'), agent, { mode: 0o755 });
  const words = ['sh', '-c', 'cd "$0/tree" && find . | cpio -o -H newc --quiet > ../archive', folder];
  await run(words);
  const first = gzipSync(readFileSync(join(folder, 'archive')), { level: 1 });
  const bytes = Buffer.concat([randomBytes(2 * MiB + 77), first]);
  const chunks = Array.from({ length: chunksOf(bytes.length) }, (_, chunk) => {
    const { at, bytes: length } = chunkPlace({ bytes: bytes.length }, chunk);
    return sha256(bytes.subarray(at, at + length));
  });
  const manifest = writeManifest({ sha256: sha256(bytes), bytes: bytes.length, chunks });
  writeFileSync(join(folder, 'image'), bytes);
  return {
    folder,
    bytes,
    manifest,
    chunks,
    agent,
    words: { first: `${sha256(first)},${2 * MiB + 77},${first.length}`, image: sha256(manifest) },
  };
}

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** Says whatever it is told to say, at an address of its own. */
async function hostile(t: TestContext, port: number, address: string, answer: Answer): Promise<number> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => answer(request, response, body));
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

async function door(t: TestContext, image: Image, address: string, port: number, tracker = true) {
  const file = (name: string, content: Buffer | string) => {
    writeFileSync(join(image.folder, name), content);
    const size = Buffer.byteLength(content);
    return [`${sha256(content)}/${name}`, { path: join(image.folder, name), size, sha256: sha256(content) }] as const;
  };
  const http = await startHttp({
    addresses: [address],
    port,
    script: () => ({ refuse: 'no' }),
    loaders: new Map(),
    files: new Map([file('image', image.bytes), file('manifest', image.manifest)]),
    ...(tracker ? { macAt: () => parseMac('52:54:00:00:00:01') } : {}),
  });
  t.after(() => http.close());
  return http;
}

interface Ran {
  readonly code: number | null;
  readonly said: string;
  readonly folder: string;
  readonly root: string;
}

let runs = 0;

async function fetchFirst(
  image: Image,
  port: number,
  more: {
    controllers?: string;
    first?: string;
    seconds?: number;
    folder?: string;
    words?: string;
    chunkSeconds?: number;
    before?: string;
  } = {},
): Promise<Ran> {
  const place = join(image.folder, `run${runs++}`);
  const folder = more.folder ?? join(place, 'work');
  const root = join(place, 'root');
  mkdirSync(place);
  const { first = image.words.first, controllers = '127.0.0.1:7481', seconds = 120 } = more;
  const usual = `quiet nixie.controller=${controllers} nixie.fingerprint=00 nixie.image=${image.words.image} nixie.first=${first}\n`;
  writeFileSync(join(place, 'cmdline'), more.words ?? usual);
  // Where it serves: 0 would be port 80 for busybox, of which a computer has one. Below those that are given to whoever asks for any.
  const peerPort = randomInt(10_000, 30_000);
  const words = [script, folder, root, join(place, 'cmdline'), String(seconds), String(port), String(peerPort)];
  if (more.chunkSeconds !== undefined) words.push(String(more.chunkSeconds));
  const begin = more.before === undefined ? [] : ['sh', '-c', `${more.before}; exec busybox sh "$@"`, 'sh'];
  const argv = ['busybox', ...(begin.length === 0 ? ['sh'] : begin), ...words];
  const { code, stderr } = await run(argv, { accept: true });
  // Only who succeeded goes on serving.
  const file = join(folder, 'server');
  const server = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  if (code === 0) process.kill(server);
  await until('its server to end', () => server === 0 || !existsSync(`/proc/${server}`));
  return { code, said: stderr, folder, root };
}

const unpacked = ({ root }: Ran): Buffer | undefined =>
  existsSync(join(root, 'bin/nixie-agent')) ? readFileSync(join(root, 'bin/nixie-agent')) : undefined;

function assertRight(ran: Ran, image: Image): void {
  assert.equal(ran.code, 0, ran.said);
  assert.ok(unpacked(ran)?.equals(image.agent));
  const kept = readdirSync(join(ran.folder, 'served/c')).sort();
  assert.deepEqual(kept, image.chunks.slice(2).sort(), 'its chunks are kept for the agent and for others');
}

/**
 * A door, or memory, that is of no use. The script gives up by the clock, on a slow computer before it has met what shall be met: then it is given
 * more seconds.
 */
async function inVain(
  image: Image,
  port: number,
  met: (ran: Ran) => boolean,
  more: { before?: string } = {},
): Promise<{ ran: Ran; seconds: number }> {
  for (let seconds = 3; ; seconds *= 4) {
    const ran = await fetchFirst(image, port, { seconds, ...more });
    if (met(ran) || seconds > 40) return { ran, seconds };
  }
}

function assertNothing(ran: Ran): void {
  assert.equal(ran.code, 1, ran.said);
  assert.equal(existsSync(ran.root), false, 'nothing was unpacked');
  assert.match(ran.said, /given up/);
}

test('the first part comes from the door, in chunks that are checked, and is unpacked', { skip }, async (t) => {
  const image = await makeImage(t);
  const http = await door(t, image, '127.0.0.1', 0);
  const ran = await fetchFirst(image, http.port);
  assertRight(ran, image);
  assert.equal(http.counters().fleet, 1);
  // A chunk of an earlier run is not asked for again, one that was spoiled is.
  writeFileSync(join(ran.folder, 'served/c', image.chunks[2]!), 'spoiled');
  rmSync(join(ran.folder, 'served/c', image.chunks[3]!));
  const before = http.counters().requests;
  assertRight(await fetchFirst(image, http.port, { folder: ran.folder }), image);
  const requests = http.counters().requests - before;
  assert.ok(requests <= 1 + 2 + 3, `manifest, two chunks, and words with the tracker: ${requests}`);
});

test('without a tracker everything comes from the door; from the second when the first is of no use', {
  skip,
}, async (t) => {
  const image = await makeImage(t);
  const http = await door(t, image, '127.0.0.3', 0, false);
  await hostile(t, http.port, '127.0.0.2', (_, response) => response.end('nonsense\n'.repeat(100)));
  const ran = await fetchFirst(image, http.port, { controllers: '127.0.0.2:7481,127.0.0.3:7481' });
  assertRight(ran, image);
  assert.match(ran.said, /127\.0\.0\.2:\d+ sends a manifest whose SHA-256 is not the one on the kernel command line/);
});

test('a door that is absent, and one that sends wrong, endless, slow or no manifests', { skip }, async (t) => {
  const image = await makeImage(t);
  const gone = await fetchFirst(image, 9, { seconds: 2 });
  assertNothing(gone);
  assert.match(gone.said, /127\.0\.0\.1:9 sends no manifest/);
  const ways: Record<string, Answer> = {
    endless: (_, response) => {
      const piece = Buffer.alloc(65_536, 'x');
      const more = () => {
        while (!response.destroyed && response.write(piece));
        response.once('drain', more);
      };
      more();
    },
    slow: (_, response) => {
      response.writeHead(200, { 'Content-Length': image.manifest.length });
      const timer = setInterval(() => response.write('n'), 200);
      response.on('close', () => clearInterval(timer));
    },
    silent: () => {},
    failing: (_, response) => response.writeHead(500).end(),
    wandering: (request, response) => response.writeHead(302, { Location: `http://127.0.0.1:9${request.url}` }).end(),
  };
  for (const [name, way] of Object.entries(ways)) {
    const ran = await fetchFirst(image, await hostile(t, 0, '127.0.0.1', way), { seconds: 2 });
    assertNothing(ran);
    assert.match(ran.said, /manifest/, name);
  }
});

/** The right manifest, and else whatever is asked of the other two. */
const withManifest =
  (image: Image, chunk: Answer, tracker: Answer = (_, response) => response.writeHead(404).end()): Answer =>
  (request, response, body) => {
    if (request.url?.endsWith('/manifest')) response.end(image.manifest);
    else if (request.method === 'POST') tracker(request, response, body);
    else chunk(request, response, body);
  };
const rightChunk =
  (image: Image): Answer =>
  (request, response) => {
    const { at, bytes } = chunkPlace({ bytes: image.bytes.length }, Number(request.url?.split('/').at(-1)));
    response.end(image.bytes.subarray(at, at + bytes));
  };

test('a door whose chunks are wrong, cut, endless, slow or absent', { skip }, async (t) => {
  const image = await makeImage(t);
  const ways: Record<string, Answer> = {
    wrong: (_, response) => response.end(randomBytes(MiB)),
    longer: (request, response) => {
      const { at, bytes } = chunkPlace({ bytes: image.bytes.length }, Number(request.url?.split('/').at(-1)));
      response.end(Buffer.concat([image.bytes.subarray(at, at + bytes), Buffer.from('more')]));
    },
    cut: (request, response) => {
      const { at } = chunkPlace({ bytes: image.bytes.length }, Number(request.url?.split('/').at(-1)));
      response.end(image.bytes.subarray(at, at + 1000));
    },
    endless: (_, response) => {
      const piece = Buffer.alloc(65_536, 'x');
      const more = () => {
        while (!response.destroyed && response.write(piece));
        response.once('drain', more);
      };
      more();
    },
    slow: (_, response) => {
      const timer = setInterval(() => response.write('n'), 200);
      response.on('close', () => clearInterval(timer));
    },
    absent: (_, response) => response.writeHead(404).end(),
  };
  for (const [name, way] of Object.entries(ways)) {
    let asked = 0;
    const counted: Answer = (...args) => {
      asked += 1;
      way(...args);
    };
    const port = await hostile(t, 0, '127.0.0.1', withManifest(image, counted));
    const told = name === 'wrong' || name === 'longer' ? /door sent a wrong chunk/ : /given up/;
    let before = 0;
    const { ran, seconds } = await inVain(image, port, ({ said }) => {
      const enough = asked > before && told.test(said);
      if (!enough) before = asked;
      return enough;
    });
    assertNothing(ran);
    const times = asked - before;
    assert.ok(times > 0 && times <= 13 * seconds, `${name}: it asked ${times} times in ${seconds} s`);
    assert.match(ran.said, new RegExp(`nothing of the installer has come for ${seconds} s`), name);
    assert.match(ran.said, told, name);
    const left = readdirSync(join(ran.folder, 'part')).length + readdirSync(join(ran.folder, 'served/c')).length;
    assert.equal(left, 0, `${name}: nothing of it stays in memory`);
  }
});

test('a door that is too slow for so many chunks at once is asked for fewer, and longer', { skip }, async (t) => {
  const image = await makeImage(t);
  const open = new Set<{ response: ServerResponse; rest: Buffer }>();
  // 1 MiB a second, for all together
  const sending = setInterval(() => {
    const each = Math.ceil(MiB / 10 / Math.max(1, open.size));
    for (const one of open) {
      one.response.write(one.rest.subarray(0, each));
      one.rest = one.rest.subarray(each);
      if (one.rest.length === 0 && open.delete(one)) one.response.end();
    }
  }, 100);
  t.after(() => clearInterval(sending));
  const slow: Answer = (request, response) => {
    const { at, bytes } = chunkPlace({ bytes: image.bytes.length }, Number(request.url?.split('/').at(-1)));
    const one = { response, rest: image.bytes.subarray(at, at + bytes) };
    open.add(one);
    response.on('close', () => open.delete(one));
  };
  const port = await hostile(t, 0, '127.0.0.1', withManifest(image, slow));
  const ran = await fetchFirst(image, port, { seconds: 12, chunkSeconds: 2 });
  assertRight(ran, image);
  assert.doesNotMatch(ran.said, /no room/, 'what was cut off is no lack of memory');
});

test('who waited for others in vain says so until one of them sends something', { skip }, async (t) => {
  const image = await makeImage(t);
  const stuck: string[] = [];
  const tracker: Answer = (_, response, body) => {
    const now = /^stuck (\d)$/m.exec(body)?.[1] ?? '';
    const have = /^have(.*)$/m.exec(body)?.[1]?.split(' ') ?? [];
    stuck.push(now);
    const next = [2, 3, 4, 5].find((chunk) => !have.includes(String(chunk)));
    response.end(now === '1' ? `again 10\n${next} door\n` : `again 500\n${next} 127.0.0.8:1\n`);
  };
  const port = await hostile(t, 0, '127.0.0.1', withManifest(image, rightChunk(image), tracker));
  assertRight(await fetchFirst(image, port), image);
  const since = stuck.indexOf('1');
  assert.ok(since > 0);
  assert.ok(
    stuck.slice(since).every((each) => each === '1'),
    stuck.join(' '),
  );
});

test('what finds no room in memory is told as that', { skip }, async (t) => {
  const image = await makeImage(t);
  const port = await hostile(t, 0, '127.0.0.1', withManifest(image, rightChunk(image)));
  const { ran } = await inVain(image, port, ({ said }) => /no room/.test(said), { before: 'ulimit -f 1000' });
  assertNothing(ran);
  assert.equal(ran.said.match(/no room for the installer in memory/g)?.length, 1, ran.said);
});

test('a tracker that names liars, the dead, nonsense or commands costs time only', { skip }, async (t) => {
  const image = await makeImage(t);
  let asked = 0;
  const liar = await hostile(t, 0, '127.0.0.9', (_, response) => {
    asked += 1;
    response.end(randomBytes(MiB));
  });
  const heard: string[] = [];
  const lying: Answer = (_, response, body) => {
    heard.push(body);
    response.end(`again 10\n2 127.0.0.9:${liar}\n3 127.0.0.9:${liar}\n4 127.0.0.8:1\n`);
  };
  const port = await hostile(t, 0, '127.0.0.1', withManifest(image, rightChunk(image), lying));
  const ran = await fetchFirst(image, port);
  assertRight(ran, image);
  assert.match(ran.said, /127\.0\.0\.9:\d+ sent a wrong chunk: it is not asked again/);
  assert.ok(asked <= 2, `asked ${asked} times`);
  assert.match(heard.at(-1)!, /^not 127\.0\.0\.8 127\.0\.0\.9 *$/m, 'the tracker is told of whom not');

  const mark = join(image.folder, 'mark');
  for (const words of [
    `again 10\n2 $(touch ${mark})\n3 ;touch ${mark};\n4 \`touch ${mark}\`\n2 ../../../etc/passwd\n3 127.0.0.9:1/x?y=\n`,
    'again 10\n0 door\n1 door\n99999999999999999999 door\n-3 door\n../../2 door\n\0\0\n',
    `again $(touch ${mark})\n${'x'.repeat(100_000)}`,
  ]) {
    const odd: Answer = (_, response) => response.end(words);
    const at = await hostile(t, 0, '127.0.0.1', withManifest(image, rightChunk(image), odd));
    assertRight(await fetchFirst(image, at), image);
    assert.equal(existsSync(mark), false);
  }
});

test('another first part than the one on the kernel command line is not unpacked, and without words nothing is done', {
  skip,
}, async (t) => {
  const image = await makeImage(t);
  const http = await door(t, image, '127.0.0.1', 0);
  const [hash, at, bytes] = image.words.first.split(',');
  const other = await fetchFirst(image, http.port, { first: `${'0'.repeat(64)},${at},${bytes}` });
  assert.equal(other.code, 1);
  assert.equal(existsSync(other.root), false);
  assert.match(other.said, /the image was put together wrongly/);
  const far = await fetchFirst(image, http.port, { first: `${hash},${at},${Number(bytes) + 1}` });
  assert.equal(far.code, 1);
  assert.match(far.said, /are not of one image/);
  for (const words of [
    '',
    `nixie.image=${image.words.image} nixie.controller=127.0.0.1:1`,
    `nixie.image=${image.words.image} nixie.first=${image.words.first} nixie.controller=$(touch${join(image.folder, 'mark')})`,
    `nixie.image=zz nixie.first=${image.words.first} nixie.controller=127.0.0.1:1`,
    `nixie.image=${image.words.image} nixie.first=${hash},08,${bytes} nixie.controller=127.0.0.1:1`,
    `nixie.image=${image.words.image} nixie.first=${hash},*,${bytes} nixie.controller=127.0.0.1:1`,
  ]) {
    const none = await fetchFirst(image, http.port, { words });
    assert.equal(none.code, 2, words);
    assert.match(none.said, /no usable/);
  }
  assert.equal(existsSync(join(image.folder, 'mark')), false);
});
