import assert from 'node:assert/strict';
import test from 'node:test';
import { type Announcement, ChunkSet, type StageSaid } from '@nixie/proto/fleet';
import fc from 'fast-check';
import { Swarm, usualSwarm } from './swarm.ts';

const chunks = 20;
const half = () => 0.5;

function says(have: readonly number[], more: Partial<Announcement> = {}): Announcement {
  const set = new ChunkSet(chunks);
  for (const chunk of have) set.add(chunk);
  return { have: set, port: 7483, wants: 4, stuck: false, gaveUp: [], ...more };
}

test('one alone takes as many as there are slots, and more when it has them', () => {
  const swarm = new Swarm(chunks, half);
  assert.deepEqual(swarm.announce('a', says([]), 0)!.take, [0, 1, 2, 3]);
  assert.deepEqual(swarm.announce('a', says([]), 10)!.take, [4, 5]);
  assert.deepEqual(swarm.announce('a', says([]), 20)!.take, []);
  assert.deepEqual(swarm.announce('a', says([0, 1]), 30)!.take, [6, 7]);
  assert.equal(swarm.told, 8);
});

test('nobody takes what another has or takes; he is named instead', () => {
  const swarm = new Swarm(chunks, half);
  swarm.announce('a', says([]), 0);
  const b = swarm.announce('b', says([]), 1)!;
  assert.deepEqual(b.take, [4, 5]);
  assert.deepEqual(b.peers, []);
  swarm.announce('a', says([0, 1, 2, 3], { wants: 0 }), 2);
  const again = swarm.announce('b', says([4, 5], { wants: 0 }), 3)!;
  assert.deepEqual(
    again.peers.map(({ address, port, have }) => [address, port, have.count]),
    [['a', 7483, 4]],
  );
});

test('one who serves nobody, and one who has nothing that is lacked, is not named', () => {
  const swarm = new Swarm(chunks, half);
  swarm.announce('a', says([0, 1], { port: 0 }), 0);
  swarm.announce('b', says([2]), 0);
  assert.deepEqual(swarm.announce('c', says([2]), 1)!.peers, []);
  assert.deepEqual(
    swarm.announce('c', says([]), 2)!.peers.map(({ address }) => address),
    ['b'],
  );
});

test('what was given up, not done in time, or left with its machine is told to somebody else', () => {
  const swarm = new Swarm(chunks, half);
  assert.deepEqual(swarm.announce('a', says([], { wants: 2 }), 0)!.take, [0, 1]);
  assert.deepEqual(swarm.announce('b', says([], { wants: 1 }), 1)!.take, [2]);
  swarm.announce('a', says([], { wants: 0, gaveUp: [0] }), 2);
  assert.deepEqual(swarm.announce('b', says([2], { wants: 1 }), 3)!.take, [0]);
  const late = usualSwarm.takeMs + 10;
  assert.deepEqual(swarm.announce('c', says([], { wants: 2 }), late)!.take, [0, 1]);
  const later = usualSwarm.lifeMs + late;
  // a and b are gone, and what only they had.
  assert.deepEqual(swarm.announce('c', says([0, 1], { wants: 2 }), later)!.take, [2, 3]);
  assert.equal(swarm.machines, 1);
});

test('one that has begun anew is told anew what it was told before', () => {
  const swarm = new Swarm(chunks, half);
  assert.deepEqual(swarm.announce('a', says([5], { wants: 2 }), 0)!.take, [0, 1]);
  assert.deepEqual(swarm.announce('a', says([], { wants: 2 }), 1)!.take, [0, 1]);
});

test('one who is stuck gets what others have as well', () => {
  const swarm = new Swarm(chunks, half);
  const all = Array.from({ length: chunks }, (_, i) => i);
  swarm.announce('a', says(all), 0);
  assert.deepEqual(swarm.announce('b', says([]), 1)!.take, []);
  assert.ok(swarm.announce('b', says([], { stuck: true }), 2)!.take.length > 0);
});

test('one who is stuck gets as many as he wants, as far as there are slots', () => {
  const swarm = new Swarm(chunks, half);
  const all = Array.from({ length: chunks }, (_, i) => i);
  swarm.announce('a', says(all), 0);
  const { take } = swarm.announce('b', says([], { stuck: true, wants: 3 }), 1)!;
  assert.equal(new Set(take).size, 3);
  const most = usualSwarm.slots + usualSwarm.stuckSlots;
  const more = swarm.announce('c', says([], { stuck: true, wants: 16 }), 2)!;
  assert.ok(take.length + more.take.length <= most);
});

test('one who has all is asked seldom and named to others', () => {
  const swarm = new Swarm(chunks, half);
  const all = Array.from({ length: chunks }, (_, i) => i);
  const done = swarm.announce('a', says(all), 0)!;
  assert.deepEqual(done, { peers: [], take: [], againMs: usualSwarm.doneAgainMs });
  assert.ok(usualSwarm.doneAgainMs * 3 < usualSwarm.lifeMs, 'it may be silent twice');
});

test('there is an end to machines, and room again when some have left', () => {
  const swarm = new Swarm(chunks, half, { machines: 2 });
  assert.ok(swarm.announce('a', says([]), 0));
  assert.ok(swarm.announce('b', says([]), 0));
  assert.equal(swarm.announce('c', says([]), 0), undefined);
  assert.ok(swarm.announce('c', says([]), usualSwarm.lifeMs + 1));
});

test('whatever machines say, its own counts agree and its promises hold', () => {
  const saying = fc.record({
    who: fc.integer({ min: 0, max: 5 }),
    have: fc.array(fc.nat(chunks - 1)),
    wants: fc.integer({ min: 0, max: 16 }),
    stuck: fc.boolean(),
    gaveUp: fc.array(fc.nat(chunks - 1), { maxLength: 4 }),
    after: fc.integer({ min: 0, max: 8000 }),
  });
  fc.assert(
    fc.property(fc.array(saying, { maxLength: 60 }), (said) => {
      const swarm = new Swarm(chunks, half, { machines: 5 });
      let now = 0;
      const lately = new Map<string, number>();
      for (const { who, have, after, ...more } of said) {
        now += after;
        const address = `10.0.0.${who}`;
        const answer = swarm.announce(address, says(have, more), now);
        if (answer === undefined) continue;
        lately.set(address, now);
        assert.ok(answer.take.length <= more.wants);
        for (const chunk of answer.take) assert.ok(!have.includes(chunk));
        for (const peer of answer.peers) {
          assert.notEqual(peer.address, address);
          assert.ok(now - lately.get(peer.address)! <= usualSwarm.lifeMs + usualSwarm.takeMs);
        }
        assert.ok(swarm.machines <= 5);
      }
      // After all have left, everything is to be had from us again, once.
      now += usualSwarm.lifeMs * 2;
      const take: number[] = [];
      for (let i = 0; i < chunks * 2 && take.length < chunks; i++)
        take.push(...swarm.announce('z', says(take, { wants: 16 }), now + i)!.take);
      assert.deepEqual(
        take.sort((a, b) => a - b),
        Array.from({ length: chunks }, (_, i) => i),
      );
    }),
  );
});

const needs = (have: readonly number[], more: Partial<StageSaid> = {}): StageSaid => ({
  first: 12,
  last: 19,
  have,
  port: 7483,
  wants: 4,
  stuck: false,
  not: [],
  ...more,
});
const places = (told: ReturnType<Swarm['stage']>): string[] =>
  told!.asks.map(({ chunk, from }) => `${chunk} ${from === 'door' ? from : from.address}`);

test('a boot stage takes what it needs from us while nobody has it, and from others then', () => {
  const swarm = new Swarm(chunks, half);
  assert.deepEqual(places(swarm.stage('a', needs([]), 0)), ['12 door', '13 door', '14 door', '15 door']);
  assert.deepEqual(places(swarm.stage('b', needs([]), 1)), ['16 door', '17 door']);
  assert.deepEqual(places(swarm.stage('c', needs([]), 2)), [], 'what is coming is not sent twice');
  swarm.stage('a', needs([12, 13, 14, 15], { wants: 0 }), 3);
  assert.deepEqual(places(swarm.stage('c', needs([], { wants: 1 }), 4)), ['18 door']);
  const [first, second] = places(swarm.stage('c', needs([18], { wants: 2 }), 5));
  assert.equal(first, '19 door');
  assert.match(second!, /^1[2-5] a$/);
  assert.deepEqual(
    places(swarm.stage('c', needs([18, 19], { wants: 4, not: ['a'] }), 6)),
    [],
    'a liar is not named again',
  );
});

test('what a boot stage was told to take and has not when it comes again is told anew', () => {
  const swarm = new Swarm(chunks, half);
  assert.deepEqual(places(swarm.stage('a', needs([], { wants: 2 }), 0)), ['12 door', '13 door']);
  assert.deepEqual(places(swarm.stage('a', needs([13], { wants: 2 }), 1)), ['12 door', '14 door']);
});

test('agents that have the first part serve boot stages, each a few at a time', () => {
  const swarm = new Swarm(chunks, half);
  const all = Array.from({ length: chunks }, (_, i) => i);
  swarm.announce('done', says(all), 0);
  const sent = ['a', 'b', 'c'].map((who) => places(swarm.stage(who, needs([], { wants: 2 }), 1)).length);
  assert.deepEqual(sent, [1, 1, 1], 'one chunk of one machine at a time');
  swarm.stage('d', needs([], { wants: 1 }), 2);
  assert.deepEqual(places(swarm.stage('e', needs([]), 3)), [], `${usualSwarm.eachServes} are sent to one`);
  assert.equal(places(swarm.stage('a', needs([12]), 4)).length, 1, 'one who comes again has left its place');
  assert.equal(
    places(swarm.stage('e', needs([], { wants: 1 }), usualSwarm.servesMs + 5)).length,
    1,
    'and one who never does',
  );
  // It goes on as an agent, which is named everything it lacks.
  assert.equal(
    swarm.announce('a', says([12, 13, 14, 15, 16, 17, 18, 19]), usualSwarm.servesMs + 6)!.peers[0]!.address,
    'done',
  );
});

test('whatever boot stages and agents say, a boot stage is told of what it lacks and needs, once each', () => {
  const one = fc.record({
    who: fc.integer({ min: 0, max: 5 }),
    stage: fc.boolean(),
    have: fc.array(fc.integer({ min: 12, max: 19 })),
    wants: fc.integer({ min: 0, max: 8 }),
    stuck: fc.boolean(),
    not: fc.array(fc.integer({ min: 0, max: 5 }).map((who) => `10.0.0.${who}`)),
    after: fc.integer({ min: 0, max: 8000 }),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (said) => {
      const swarm = new Swarm(chunks, half, { machines: 5 });
      let now = 0;
      for (const { who, stage, have, wants, stuck, not, after } of said) {
        now += after;
        const address = `10.0.0.${who}`;
        if (!stage) {
          swarm.announce(address, says(have, { wants, stuck }), now);
          continue;
        }
        const told = swarm.stage(address, needs(have, { wants, stuck, not }), now);
        if (told === undefined) continue;
        assert.ok(told.asks.length <= wants);
        const asked = told.asks.map(({ chunk }) => chunk);
        assert.equal(new Set(asked).size, asked.length);
        for (const chunk of asked) assert.ok(chunk >= 12 && chunk <= 19 && !have.includes(chunk));
        for (const { from } of told.asks)
          if (from !== 'door') assert.ok(from.address !== address && !not.includes(from.address));
        assert.ok(told.againMs >= 100);
      }
      // After all have left it is everything from us, once.
      now += usualSwarm.lifeMs * 2;
      const got: number[] = [];
      for (let i = 0; i < 20 && got.length < 8; i++) {
        const { asks } = swarm.stage('z', needs(got), now + i)!;
        assert.ok(asks.every(({ from }) => from === 'door'));
        got.push(...asks.map(({ chunk }) => chunk));
      }
      assert.deepEqual(
        got.sort((a, b) => a - b),
        [12, 13, 14, 15, 16, 17, 18, 19],
      );
    }),
  );
});
