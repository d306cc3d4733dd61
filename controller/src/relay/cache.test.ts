// The cache over an uplink and a disk that fail. It is long because they can fail in many ways, each with a word to it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { startHttp } from '../listen/http.ts';
import { heldBackBytes } from './arrival.ts';
import { Cache, type CacheWorld } from './cache.ts';
import { type CacheRef, type FetchBytes, NotThere } from './fetching.ts';
import { Problems } from './problems.ts';

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const content = (bytes: number) => {
  const whole = randomBytes(bytes);
  return { whole, ref: { sha256: sha(whole), bytes } };
};

/** What the uplink does with one fetch, from the offset on. */
type Behaviour = 'well' | 'breaks' | 'ends early' | 'lies' | 'stalls' | 'too much';

/** An uplink in memory; the n-th fetch behaves as the n-th word says, and all later ones well. */
function uplink(files: readonly Uint8Array[], words: readonly Behaviour[] = [], pieceBytes = 40_000) {
  const byName = new Map(files.map((each) => [sha(each), each]));
  const seen = { fetches: [] as number[], bytes: 0, open: 0, mostOpen: 0, words: [...words] };
  let gate: Promise<void> | undefined;
  const fetch: FetchBytes = async function* (what, offset, signal) {
    const whole = byName.get(String(what.value));
    if (whole === undefined) throw new Error('not found');
    const word = seen.words.shift() ?? 'well';
    seen.fetches.push(offset);
    seen.mostOpen = Math.max(seen.mostOpen, ++seen.open);
    try {
      const stop = word === 'well' || word === 'lies' ? whole.length : offset + (whole.length - offset) / 2;
      for (let at = offset; at < stop; at += pieceBytes) {
        await gate;
        if (signal.aborted) return;
        const piece = Buffer.from(whole.subarray(at, Math.min(at + pieceBytes, stop)));
        if (word === 'lies') piece[0]! ^= 1;
        seen.bytes += piece.length;
        yield piece;
        // As memory of a socket, used again for something else.
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (word === 'too much') yield Buffer.alloc(whole.length);
      if (word === 'breaks') throw new Error('uplink lost');
      if (word === 'stalls') await new Promise(() => {});
    } finally {
      seen.open--;
    }
  };
  return {
    fetch,
    seen,
    hold() {
      let open = () => {};
      gate = new Promise((resolve) => {
        open = resolve;
      });
      return () => {
        gate = undefined;
        open();
      };
    },
  };
}

function house(
  t: TestContext,
  fetch: FetchBytes,
  more: Partial<CacheWorld> & { limit?: number; folder?: string } = {},
) {
  const folder = more.folder ?? mkdtempSync(join(tmpdir(), 'nixie-cache-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const said: string[] = [];
  const told: string[] = [];
  let ticks = 0;
  // Waits take no time; what stalls is found at once.
  const pass = async (ms: number) => {
    ticks += ms;
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  const open = () =>
    new Cache(folder, more.limit ?? 1 << 30, {
      fetch,
      sleep: pass,
      after: (_ms, call) => {
        let turns = 20;
        let handle: NodeJS.Immediate | undefined;
        const turn = () => {
          handle = turns-- > 0 ? setImmediate(turn) : setImmediate(call);
        };
        turn();
        return () => clearImmediate(handle);
      },
      ticks: () => ticks,
      now: () => ++ticks,
      problems: new Problems(
        (text) => said.push(text),
        () => ticks,
      ),
      told: (name, { sha256 }) => told.push(`${name} ${sha256.slice(0, 4)}`),
      ...more,
    });
  return { folder, open, said, told, pass: (ms: number) => (ticks += ms) };
}

/** All that a reader gets; `error` when it was cut off. */
async function read(cache: Cache, ref: CacheRef, first = 0, last = ref.bytes - 1) {
  const hold = cache.hold(ref);
  const pieces: Uint8Array[] = [];
  let error: Error | undefined;
  try {
    for await (const piece of hold.read(first, last)) pieces.push(Buffer.from(piece));
  } catch (caught) {
    error = caught as Error;
  } finally {
    hold.release();
  }
  return { bytes: Buffer.concat(pieces), error };
}

test('many readers at once are one fetch, and later ones none', async (t) => {
  const { whole, ref } = content(1_000_000);
  const up = uplink([whole]);
  const { open } = house(t, up.fetch);
  const cache = open();
  const all = await Promise.all(Array.from({ length: 8 }, () => read(cache, ref)));
  for (const { bytes, error } of all) assert.ok(error === undefined && bytes.equals(whole));
  assert.deepEqual(up.seen.fetches, [0]);
  assert.ok((await read(cache, ref)).bytes.equals(whole));
  const hold = cache.hold(ref);
  assert.ok(hold.path !== undefined && readFileSync(hold.path).equals(whole));
  hold.release();
  assert.deepEqual(up.seen.fetches, [0]);
  assert.deepEqual(
    { ...cache.status(), limitBytes: 0 },
    { bytes: 1_000_000, limitBytes: 0, files: 1, hits: 2, fetchedBytes: 1_000_000 },
  );
});

test('a reader follows a file that is coming, up to its last piece', async (t) => {
  const { whole, ref } = content(500_000);
  const up = uplink([whole]);
  const { open } = house(t, up.fetch);
  const cache = open();
  const letGo = up.hold();
  const reading = cache.hold(ref).read(0, 99_999)[Symbol.asyncIterator]();
  let done = false;
  const first = reading.next().then((next) => {
    done = true;
    return next;
  });
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(done, false);
  letGo();
  assert.ok(Buffer.from((await first).value!).equals(whole.subarray(0, (await first).value!.length)));
  // The client goes away, nobody else wants it: the fetch ends, what came is kept.
  await reading.return?.();
  for (const until = performance.now() + 60_000; up.seen.open > 0 && performance.now() < until; )
    await new Promise((resolve) => setImmediate(resolve));
  assert.equal(up.seen.open, 0);
  assert.ok(up.seen.bytes < whole.length);
});

test('a wrong file is complete at nobody, stays nowhere, and is fetched again later', async (t) => {
  for (const word of ['lies', 'too much'] as const) {
    const { whole, ref } = content(300_000);
    const up = uplink([whole], [word]);
    const { open, folder, said } = house(t, up.fetch);
    const cache = open();
    const all = await Promise.all([read(cache, ref), read(cache, ref), read(cache, ref, 299_990)]);
    for (const { bytes, error } of all) {
      assert.ok(error !== undefined);
      assert.ok(bytes.length <= 300_000 - heldBackBytes);
    }
    assert.deepEqual(readdirSync(folder), []);
    assert.match(said.join(), /somebody on the way/);
    assert.ok((await read(cache, ref)).bytes.equals(whole), word);
    assert.equal(up.seen.fetches.length, 2);
  }
});

test('whatever the uplink does, each reader gets the right bytes or is cut off; in the end all is here', async (t) => {
  const words = fc.constantFrom<Behaviour[]>('well', 'breaks', 'ends early', 'lies', 'stalls', 'too much');
  await fc.assert(
    fc.asyncProperty(
      fc.array(words, { maxLength: 5 }),
      fc.integer({ min: 1, max: 400_000 }),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (behaviours, bytes, ranges, full) => {
        const { whole, ref } = content(bytes);
        const up = uplink([whole], behaviours);
        let room = bytes / 3;
        const { open, folder } = house(t, up.fetch, {
          ...(full && {
            write: async (file, piece, position) => {
              room -= piece.length;
              if (room < 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
              await file.write(piece, 0, piece.length, position);
            },
          }),
        });
        const cache = open();
        const readers = ranges.map(([a, b]) => {
          const [first = 0, last = 0] = [a % bytes, b % bytes].sort((x, y) => x - y);
          return { first, last, got: read(cache, ref, first, last) };
        });
        for (const { first, last, got } of readers) {
          const { bytes: mine, error } = await got;
          const right = whole.subarray(first, last + 1);
          if (error === undefined) assert.ok(mine.equals(right) || behaviours.includes('lies'));
          // Lies may reach a reader, but never the end of the file.
          if (error === undefined && last >= bytes - heldBackBytes) assert.ok(mine.equals(right));
          assert.ok(mine.length <= right.length);
          if (error !== undefined) assert.ok(first + mine.length <= Math.max(first, bytes - heldBackBytes));
        }
        up.seen.words = [];
        let last = await read(cache, ref);
        for (let tries = 0; tries < 6 && last.error !== undefined; tries++) last = await read(cache, ref);
        assert.ok(last.bytes.equals(whole));
        // One that stalls heeds no signal here, and is left behind.
        if (!behaviours.includes('stalls')) assert.ok(up.seen.mostOpen <= (full ? 1 + ranges.length : 1));
        const kept = readdirSync(folder).filter((name) => !name.endsWith('.part'));
        assert.deepEqual(kept, full ? [] : [ref.sha256]);
        cache.close();
        rmSync(folder, { recursive: true, force: true });
      },
    ),
    { numRuns: 60 },
  );
});

test('after a restart what is whole is served without the uplink, what is half goes on where it was', async (t) => {
  const { whole, ref } = content(700_000);
  const { open, folder } = house(t, uplink([whole]).fetch);
  const first = open();
  await first.keep(ref, AbortSignal.timeout(60_000));
  first.close();
  const nobody: FetchBytes = () => {
    throw new Error('the uplink is down');
  };
  const again = house(t, nobody, { folder }).open();
  assert.ok((await read(again, ref)).bytes.equals(whole));
  again.close();

  writeFileSync(join(folder, `${ref.sha256}.part`), whole.subarray(0, 300_000));
  rmSync(join(folder, ref.sha256));
  const up = uplink([whole]);
  const third = house(t, up.fetch, { folder }).open();
  assert.ok((await read(third, ref)).bytes.equals(whole));
  assert.deepEqual(up.seen.fetches, [300_000]);
  assert.deepEqual(readdirSync(folder), [ref.sha256]);
});

test('what rotted on the disk is found before anybody has all of it, and fetched anew', async (t) => {
  for (const name of ['', '.part'] as const) {
    const { whole, ref } = content(400_000);
    const up = uplink([whole]);
    const { open, folder } = house(t, up.fetch);
    const rotten = Buffer.from(whole);
    rotten[1000]! ^= 0x80;
    writeFileSync(join(folder, `${ref.sha256}${name}`), name === '' ? rotten : rotten.subarray(0, 200_000));
    const cache = open();
    const { bytes, error } = await read(cache, ref);
    assert.ok(error !== undefined && bytes.length <= 400_000 - heldBackBytes);
    assert.deepEqual(readdirSync(folder), []);
    assert.ok((await read(cache, ref)).bytes.equals(whole));
  }
});

test('a file of another size than the plan says is not taken for it; one that was removed is fetched again', async (t) => {
  const { whole, ref } = content(200_000);
  const up = uplink([whole]);
  const { open, folder } = house(t, up.fetch);
  writeFileSync(join(folder, ref.sha256), Buffer.concat([whole, whole]));
  const cache = open();
  assert.ok((await read(cache, ref)).bytes.equals(whole));
  rmSync(join(folder, ref.sha256));
  assert.ok((await read(cache, ref)).bytes.equals(whole));
  assert.equal(up.seen.fetches.length, 2);
  truncateSync(join(folder, ref.sha256), 100_000);
  assert.ok((await read(cache, ref)).bytes.equals(whole));
  assert.deepEqual(up.seen.fetches.slice(2), [100_000]);
});

test('reading all that lies here finds what rotted, and has the rest ready at once', async (t) => {
  const good = content(100_000);
  const bad = content(100_000);
  const { open, folder, said, told } = house(t, uplink([]).fetch);
  writeFileSync(join(folder, good.ref.sha256), good.whole);
  writeFileSync(join(folder, bad.ref.sha256), good.whole);
  writeFileSync(join(folder, 'notes.txt'), 'of somebody else');
  const cache = open();
  const stop = new AbortController();
  const checking = cache.check(stop.signal);
  const ready = () => {
    const hold = cache.hold(good.ref);
    hold.release();
    return hold.path !== undefined && !existsSync(join(folder, bad.ref.sha256));
  };
  for (const until = performance.now() + 60_000; !ready() && performance.now() < until; )
    await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await checking;
  assert.deepEqual(readdirSync(folder).sort(), [good.ref.sha256, 'notes.txt'].sort());
  assert.match(said.join(), /is the disk sound/);
  assert.equal(told.length, 1);
  assert.ok(ready());
});

test('the size is bounded: the longest unused goes first, what is read or of the plan last', async (t) => {
  const files = Array.from({ length: 5 }, () => content(100_000));
  const [a, b, c, d, e] = files as [
    (typeof files)[0],
    (typeof files)[0],
    (typeof files)[0],
    (typeof files)[0],
    (typeof files)[0],
  ];
  const up = uplink(files.map(({ whole }) => whole));
  const { open, folder, said, pass } = house(t, up.fetch, { limit: 250_000 });
  const cache = open();
  const here = () => files.map(({ ref }) => (existsSync(join(folder, ref.sha256)) ? 1 : 0)).join('');
  const keep = ({ ref }: typeof a) => cache.keep(ref, AbortSignal.timeout(60_000));
  await keep(a);
  await keep(b);
  await keep(c);
  assert.equal(here(), '01100');
  cache.pin([b.ref.sha256]);
  await keep(d);
  assert.equal(here(), '01010');
  // One is read and the other of the plan: what comes is passed on and not kept.
  const hold = cache.hold(d.ref);
  assert.ok((await read(cache, e.ref)).bytes.equals(e.whole));
  assert.equal(here(), '01010');
  assert.match(said.join(), /--cache-size/);
  hold.release();
  pass(60_000);
  cache.pin([b.ref.sha256, a.ref.sha256, e.ref.sha256]);
  await keep(a);
  assert.equal(here(), '11000');
  // All is of the plan: what was not used for longest goes.
  await keep(e);
  assert.equal(here().split('1').length - 1, 2);
  assert.equal(here()[4], '1');
  assert.ok(cache.status().bytes <= 250_000);
});

test('on a full disk old files make room first, and then each reader is served without keeping', async (t) => {
  const old = content(100_000);
  const fresh = content(300_000);
  let disk = 250_000;
  const { open, folder, said, pass } = house(t, uplink([old.whole, fresh.whole]).fetch, {
    write: async (file, piece, position) => {
      const used = readdirSync(folder).reduce((sum, name) => sum + readFileSync(join(folder, name)).length, 0);
      if (used + piece.length > disk) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      await file.write(piece, 0, piece.length, position);
    },
  });
  const cache = open();
  await cache.keep(old.ref, AbortSignal.timeout(60_000));
  const all = await Promise.all([read(cache, fresh.ref), read(cache, fresh.ref), read(cache, fresh.ref, 250_000)]);
  assert.ok(all[0]!.bytes.equals(fresh.whole) && all[1]!.bytes.equals(fresh.whole));
  assert.ok(all[2]!.bytes.equals(fresh.whole.subarray(250_000)));
  assert.ok(!existsSync(join(folder, old.ref.sha256)));
  assert.match(said.join(), /no space left on device/);
  assert.ok((await read(cache, fresh.ref)).bytes.equals(fresh.whole));
  disk = 1 << 30;
  pass(31_000);
  assert.ok((await read(cache, fresh.ref)).bytes.equals(fresh.whole));
  assert.deepEqual(readdirSync(folder), [fresh.ref.sha256]);
});

test('a folder that can not be written to serves on', async (t) => {
  const { whole, ref } = content(200_000);
  const { open, folder } = house(t, uplink([whole]).fetch);
  const cache = open();
  rmSync(folder, { recursive: true });
  writeFileSync(folder, 'no folder');
  assert.ok((await read(cache, ref)).bytes.equals(whole));
});

test('what the controller has not is said at once to those who wait', async (t) => {
  const { ref } = content(200_000);
  const fetch: FetchBytes = () => {
    throw new NotThere('none of this plan');
  };
  const { open } = house(t, fetch);
  const cache = open();
  await assert.rejects(cache.keep(ref, AbortSignal.timeout(60_000)), /none of this plan/);
  assert.match(String((await read(cache, ref)).error), /none of this plan/);
});

test('a reader that goes away while nothing comes ends, and with the last of them the fetch', async (t) => {
  const { ref } = content(200_000);
  let begun = false;
  let ended = false;
  const fetch: FetchBytes = async function* (_what, _offset, signal) {
    begun = true;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    ended = true;
    yield* [];
  };
  const { open } = house(t, fetch, { after: () => () => {} });
  const cache = open();
  const hold = cache.hold(ref);
  const next = hold.read(0, 1)[Symbol.asyncIterator]().next();
  for (const until = performance.now() + 60_000; !begun && performance.now() < until; )
    await new Promise((resolve) => setImmediate(resolve));
  hold.release();
  await assert.rejects(next);
  for (const until = performance.now() + 60_000; !ended && performance.now() < until; )
    await new Promise((resolve) => setImmediate(resolve));
  assert.ok(ended);
});

test('closing ends those who wait', async (t) => {
  const { whole, ref } = content(200_000);
  const up = uplink([whole]);
  const { open } = house(t, up.fetch);
  const cache = open();
  up.hold();
  const waiting = read(cache, ref);
  await new Promise((resolve) => setImmediate(resolve));
  cache.close();
  assert.ok((await waiting).error !== undefined);
});

test('a chunk of an image is served by its number while the image is on its way, and after', async (t) => {
  const { whole, ref } = content(2_500_000);
  const up = uplink([whole]);
  const cache = house(t, up.fetch).open();
  const http = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: () => ({ refuse: 'no' }),
    loaders: new Map(),
    files: new Map([[`${ref.sha256}/image`, { size: ref.bytes, sha256: ref.sha256, hold: () => cache.hold(ref) }]]),
  });
  t.after(() => http.close());
  const chunk = async (number: number): Promise<Buffer> => {
    const response = await fetch(`http://127.0.0.1:${http.port}/f/${ref.sha256}/image/${number}`);
    assert.equal(response.status, 200);
    return Buffer.from(await response.arrayBuffer());
  };
  for (let round = 0; round < 2; round++) {
    const [last, middle] = await Promise.all([chunk(2), chunk(1)]);
    assert.ok(last.equals(whole.subarray(2 << 20)));
    assert.ok(middle.equals(whole.subarray(1 << 20, 2 << 20)));
  }
  assert.deepEqual(up.seen.fetches, [0], 'it came over the uplink once');
});
