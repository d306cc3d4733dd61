import assert from 'node:assert/strict';
import { request } from 'node:http';
import test, { type TestContext } from 'node:test';
import {
  ChunkSet,
  maxAnnounceBytes,
  maxChunks,
  maxStageBytes,
  readGuidance,
  writeAnnouncement,
} from '@nixie/proto/fleet';
import { parseMac } from '../machine/mac.ts';
import { type FileProgress, type HttpServer, startHttp } from './http.ts';
import { type HeldFile, type HttpFile, heldBytes } from './http-file.ts';

const image = 'a'.repeat(64);
const bytes = 3 * (1 << 20) - 7;

async function door(
  t: TestContext,
  known: (address: string) => boolean,
  hears = (_: FileProgress): void => {},
  served: HttpFile | HeldFile = heldBytes(new Uint8Array(bytes), image),
) {
  const progress: FileProgress[] = [];
  const http = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ script: '#!ipxe\n' }),
    loaders: new Map(),
    files: new Map([[`${image}/image`, served]]),
    macAt: (address) => (known(address) ? parseMac('52:54:00:00:00:01') : undefined),
    onProgress(each) {
      hears(each);
      progress.push(each);
    },
  });
  t.after(() => http.close());
  return { http, progress };
}

function post(http: HttpServer, body: string, path = `/fleet/${image}`, from = '127.0.0.1') {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const options = { host: '127.0.0.1', port: http.port, path, method: 'POST', localAddress: from };
    const sent = request(options, (response) => {
      let text = '';
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode!, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const saying = (...chunks: number[]): string => {
  const have = new ChunkSet(3);
  for (const chunk of chunks) have.add(chunk);
  return writeAnnouncement({ have, port: 7483, wants: 2, stuck: false, gaveUp: [] });
};

test('a machine is told what to take, the next one who has it, and the door knows how far both are', async (t) => {
  const { http, progress } = await door(t, () => true);
  const first = await post(http, saying());
  assert.equal(first.status, 200);
  assert.deepEqual(readGuidance(first.text, 3), { peers: [], take: [0, 1], againMs: 100 });
  await post(http, saying(0));
  const second = readGuidance((await post(http, saying(), undefined, '127.0.0.2')).text, 3);
  assert.deepEqual(
    second.peers.map(({ address, port, have }) => [address, port, have.has(0)]),
    [['127.0.0.1', 7483, true]],
  );
  await post(http, saying(0, 1, 2));
  assert.equal(http.counters().fleet, 2);
  const told = progress.filter(({ remoteAddress }) => remoteAddress === '127.0.0.1');
  assert.deepEqual(
    [told[0]!.sentBytes, told.at(-1)!.sentBytes, told.at(-1)!.totalBytes, told.at(-1)!.ended],
    [0, bytes, bytes, true],
  );
  assert.equal(told[0]!.file, `${image}/image`);
  http.setFiles(new Map());
  assert.equal(http.counters().fleet, 0, 'an image that is served no more is forgotten');
});

test('strangers, other images, other words and long ones are refused, and nothing is remembered of them', async (t) => {
  const { http } = await door(t, (address) => address === '127.0.0.1');
  assert.equal((await post(http, saying(), undefined, '127.0.0.9')).status, 403);
  for (const path of [`/fleet/${'b'.repeat(64)}`, '/fleet/', `/fleet/${image}/`, `/fleet/../${image}`])
    assert.equal((await post(http, saying(), path)).status, 405, path);
  const nonsense = await post(http, '{"have":"**"}');
  assert.deepEqual([nonsense.status, /^have: want/.test(nonsense.text)], [400, true]);
  assert.equal((await post(http, 'x'.repeat(maxAnnounceBytes + 1))).status, 413);
  assert.equal(http.counters().fleet, 0);
});

test('a boot stage is told of whom to ask what, and gets chunks without ranges', async (t) => {
  const { http, progress } = await door(t, () => true);
  const said = (have: string) => `first 1\nlast 2\nhave ${have}\nport 7483\nwants 4\nstuck 0\nnot\n`;
  const path = `/fleet/${image}/stage`;
  const first = await post(http, said(''), path);
  assert.deepEqual([first.status, first.text], [200, 'again 100\n1 door\n2 door\n']);
  await post(http, said('1 2'), path);
  const second = await post(http, said(''), path, '127.0.0.2');
  assert.match(second.text, /^again 100\n[12] 127\.0\.0\.1:7483\n$/);
  assert.equal(progress.at(-1)!.file, `${image}/image`, 'the door knows how far it is');
  // One that came so far goes on as an agent; its set is what it says then.
  assert.deepEqual(readGuidance((await post(http, saying(1, 2))).text, 3).take, [0]);

  const get = async (rest: string) => {
    const response = await fetch(`http://127.0.0.1:${http.port}/f/${image}/image${rest}`);
    return [response.status, (await response.arrayBuffer()).byteLength];
  };
  assert.deepEqual(await get('/0'), [200, 1 << 20]);
  assert.deepEqual(await get('/2'), [200, (1 << 20) - 7], 'the last one is shorter');
  for (const rest of ['/3', '/9999', '/01', '/-1', '/x', '/1/']) assert.equal((await get(rest))[0], 404, rest);
  assert.equal((await post(http, 'first x', path)).status, 400);
  assert.equal((await post(http, said('0'), path)).status, 400, 'it has what it does not need');
});

test('a boot stage that needs nearly all of the largest image is heard, however much it has of it', async (t) => {
  const size = maxChunks * (1 << 20);
  const { http } = await door(t, () => true, undefined, { path: '/nowhere', size, sha256: image });
  const path = `/fleet/${image}/stage`;
  const have = Array.from({ length: maxChunks - 1 }, (_, at) => at).join(' ');
  const not = Array.from({ length: 16 }, (_, at) => `2001:db8:1111:2222:3333:4444:5555:66${at + 10}`).join(' ');
  const body = `first 0\nlast ${maxChunks - 1}\nhave ${have}\nport 7483\nwants 4\nstuck 0\nnot ${not}\n`;
  const answer = await post(http, body, path);
  assert.deepEqual([answer.status, answer.text], [200, `again 100\n${maxChunks - 1} door\n`]);
  assert.equal((await post(http, 'x'.repeat(maxStageBytes + 1), path)).status, 413);
});

test('how far a machine is by plain ranges begins anew with its next boot', async (t) => {
  const { http, progress } = await door(t, () => true);
  const at = `http://127.0.0.1:${http.port}`;
  const get = async (path: string, headers = {}) => (await fetch(`${at}${path}`, { headers })).arrayBuffer();
  const range = { Range: `bytes=0-${(1 << 20) - 1}` };
  for (let boot = 0; boot < 2; boot++) {
    progress.length = 0;
    await get('/boot/52-54-00-00-00-01.ipxe');
    await get(`/f/${image}/image`, range);
    for (const end = performance.now() + 10_000; progress.length === 0 && performance.now() < end; )
      await new Promise(setImmediate);
    assert.deepEqual(
      progress.map(({ sentBytes }) => sentBytes),
      [1 << 20],
      `boot ${boot}`,
    );
  }
});

test('a part of the controller that throws costs one announcement, and nobody else anything', async (t) => {
  let broken = true;
  const { http } = await door(
    t,
    () => true,
    () => {
      if (broken) throw new Error('no room');
    },
  );
  assert.equal((await post(http, saying(0))).status, 500);
  broken = false;
  assert.equal((await post(http, saying(0, 1))).status, 200);
});
