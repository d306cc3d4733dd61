import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Outbox, type Said } from './outbox.ts';

const script = (n: number): Said => ({
  $case: 'script',
  value: { machine: `m${n}`, mac: '', token: '', address: '', unixMs: BigInt(n), verdict: 'installer' },
});
const one = {
  kind: '',
  mac: '',
  machine: '',
  interface: '',
  address: '',
  why: '',
  detail: '',
  asked: '',
  client: '',
  port: 0,
  server: '',
  unixMs: 0n,
  giaddr: '',
  stranger: undefined,
};
const seen = (count: number): Said => ({ $case: 'seen', value: { seen: Array.from({ length: count }, () => one) } });
const status = (uptimeMs: bigint): Said => ({
  $case: 'status',
  value: {
    cacheBytes: 0n,
    cacheLimitBytes: 0n,
    cacheFiles: 0,
    cacheHits: 0n,
    fetchedBytes: 0n,
    connections: 0,
    problems: [],
    uptimeMs,
    seenDropped: 0n,
  },
});

test('while there is no link only observations and scripts are kept', () => {
  const box = new Outbox();
  box.push(status(1n));
  box.push(script(1));
  assert.equal(box.take(), undefined);
  box.up();
  assert.deepEqual(box.take(), { number: 1n, message: script(1) });
  assert.equal(box.take(), undefined);
});

test('of words of the moment the newest is enough', () => {
  const box = new Outbox();
  box.up();
  box.push(status(1n));
  box.push(status(2n));
  assert.deepEqual(box.take()?.message, status(2n));
  assert.equal(box.take(), undefined);
});

test('above its bound observations go before scripts, and are counted', () => {
  const box = new Outbox();
  box.push(script(1));
  for (let i = 0; i < 30; i++) box.push(seen(1000));
  box.up();
  assert.deepEqual(box.take()?.message, script(1));
  assert.equal(box.dropped, 11_000);
  assert.ok(box.kept <= 20_000);
});

test('whatever is cut, resent and acknowledged: all arrives, in order', () => {
  const step = fc.oneof(
    fc.constant('push' as const),
    fc.constant('take' as const),
    fc.constant('cut' as const),
    fc.constant('hear' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const box = new Outbox();
      let [pushed, arrived] = [0, 0n];
      const take = () => {
        const next = box.take();
        if (next === undefined || next.number <= arrived) return next;
        assert.equal(next.number, arrived + 1n);
        arrived = next.number;
        return next;
      };
      box.up();
      for (const each of steps) {
        if (each === 'push') box.push(script(++pushed));
        else if (each === 'take') take();
        else if (each === 'hear') box.heard(arrived);
        else {
          box.down();
          box.up();
        }
      }
      while (take() !== undefined);
      assert.equal(arrived, BigInt(pushed));
      box.heard(arrived);
      assert.equal(box.kept, 0);
    }),
  );
});

test('a script that used a token outlives those without one, and an answer the news of bytes', () => {
  const box = new Outbox();
  const used: Said = { $case: 'script', value: { ...(script(0) as Said & { $case: 'script' }).value, token: 't' } };
  box.push(used);
  for (let n = 1; n <= 25_000; n++) box.push(script(n));
  assert.equal(box.dropped, 5001);
  box.up();
  assert.deepEqual(box.take()?.message, used);

  const full = new Outbox();
  full.up();
  const found: Said = { $case: 'found', value: { id: 1n, addresses: [], failed: '' } };
  full.push(found);
  for (let n = 0; n < 1500; n++) {
    const value = {
      mac: '',
      address: `10.0.${n >> 8}.${n & 255}`,
      file: 'x',
      sentBytes: 1n,
      totalBytes: 2n,
      ended: false,
      byUplink: false,
    };
    full.push({ $case: 'file', value });
  }
  assert.equal(full.dropped, 501);
  assert.deepEqual(full.take()?.message, found);
});

test('that a machine has to wait is of the moment: it fills nothing, and the newest word is enough', () => {
  const box = new Outbox();
  const waits = (n: number, at: number): Said => {
    const value = { ...(script(n) as Said & { $case: 'script' }).value, verdict: 'crowded', unixMs: BigInt(at) };
    return { $case: 'script', value };
  };
  box.push(waits(1, 1));
  box.up();
  for (let at = 2; at < 9; at++) for (const n of [1, 2]) box.push(waits(n, at));
  assert.deepEqual(
    [box.take(), box.take(), box.take()],
    [{ number: 0n, message: waits(1, 8) }, { number: 0n, message: waits(2, 8) }, undefined],
  );
});
