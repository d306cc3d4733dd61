import assert from 'node:assert/strict';
import test from 'node:test';
import { makeTurns } from './turns.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('so many at once; the clock runs only for those whose turn it is', async () => {
  const held = new Set<string>();
  const inTurn = makeTurns(2, (host) => {
    held.add(host);
    return () => void held.delete(host);
  });
  const open: (() => void)[] = [];
  const { signal } = new AbortController();
  const done = ['a', 'b', 'c', 'd'].map((host) =>
    inTurn(() => new Promise<void>((resolve) => void open.push(resolve)), host, signal),
  );
  await turn();
  assert.equal(open.length, 2);
  assert.deepEqual([...held], ['c', 'd']);
  for (let i = 0; i < 4; i++) {
    open[i]!();
    await turn();
  }
  await Promise.all(done);
  assert.equal(held.size, 0);
});

test('who is called off while waiting leaves at once and is not run; who runs ends by himself', async () => {
  const inTurn = makeTurns(1, () => () => {});
  let free = () => {};
  const ran: string[] = [];
  const first = new AbortController();
  const second = new AbortController();
  let firstLeft = false;
  const running = inTurn(
    async () => {
      ran.push('first');
      await new Promise<void>((resolve) => (free = resolve));
    },
    'a',
    first.signal,
  ).then(() => {
    firstLeft = true;
  });
  const waiting = inTurn(async () => void ran.push('second'), 'b', second.signal);
  await turn();
  first.abort();
  second.abort();
  await waiting;
  await turn();
  assert.equal(firstLeft, false);
  free();
  await running;
  await turn();
  assert.deepEqual(ran, ['first']);
});

test('a failure of the call is a failure of the turn, and the next one follows', async () => {
  const inTurn = makeTurns(1, () => () => {});
  const { signal } = new AbortController();
  await assert.rejects(
    inTurn(async () => Promise.reject(new Error('disk full')), 'a', signal),
    /disk full/,
  );
  let ran = false;
  await inTurn(
    async () => {
      ran = true;
    },
    'b',
    signal,
  );
  assert.equal(ran, true);
});
