import assert from 'node:assert/strict';
import test from 'node:test';
import { ChunkSet } from '@nixie/proto/fleet';
import fc from 'fast-check';
import { Swarm } from '../../../controller/src/machine/swarm.ts';
import { type Ask, Choice, type Failure, usualChoice } from './choice.ts';

const size = 12;
const half = () => 0.5;

function set(...chunks: number[]): ChunkSet {
  const made = new ChunkSet(size);
  for (const chunk of chunks) made.add(chunk);
  return made;
}
const peer = (last: number, ...chunks: number[]) => ({ address: `10.0.0.${last}`, port: 7483, have: set(...chunks) });
const guidance = (peers: ReturnType<typeof peer>[], take: number[] = []) => ({ peers, take, againMs: 100 });

function all(choice: Choice, now: number): string[] {
  const asks: string[] = [];
  for (let ask = choice.next(now); ask !== undefined; ask = choice.next(now))
    asks.push(`${ask.chunk} ${ask.from.kind === 'door' ? 'door' : ask.from.address}`);
  return asks;
}

test('what it is told to take comes from the door, and from nobody else before', () => {
  const choice = new Choice(set(), half, 0);
  assert.deepEqual(all(choice, 0), []);
  choice.guided(guidance([], [3, 5]));
  assert.deepEqual(all(choice, 1), ['3 door', '5 door']);
  assert.equal(choice.report(2).wants, usualChoice.doorAsks - 2);
});

test('of a peer the rarest is asked for', () => {
  const choice = new Choice(set(), half, 0);
  choice.guided(guidance([peer(1, 0, 1, 2, 3), peer(2, 0, 1, 2), peer(3, 0, 1)]));
  const asks = all(choice, 0);
  assert.equal(asks.length, 3);
  assert.ok(asks.includes('3 10.0.0.1'));
  assert.ok(asks.includes('2 10.0.0.2'));
});

test('a liar is never asked again, nor under another port', () => {
  const choice = new Choice(set(), half, 0);
  choice.guided(guidance([peer(1, 0)]));
  const ask = choice.next(0)!;
  choice.failed(ask, 'wrong', 1);
  assert.deepEqual(choice.liars, ['10.0.0.1']);
  choice.guided(guidance([peer(1, 0), { ...peer(1, 0), port: 9 }]));
  assert.deepEqual(all(choice, 2), []);
  choice.guided(guidance([peer(2, 0)]));
  assert.deepEqual(all(choice, 3), ['0 10.0.0.2']);
});

test('one that is gone is left alone, longer each time; one that is busy only for a moment', () => {
  const choice = new Choice(set(), half, 0, { aloneMs: Number.POSITIVE_INFINITY });
  choice.guided(guidance([peer(1, 0)]));
  choice.failed(choice.next(0)!, 'busy', 0);
  assert.deepEqual(all(choice, 1), []);
  const ask = choice.next(200)!;
  choice.failed(ask, 'gone', 200);
  assert.equal(choice.next(4100), undefined);
  const again = choice.next(4300)!;
  choice.failed(again, 'slow', 4300);
  assert.equal(choice.next(12_200), undefined);
  assert.ok(choice.next(12_400));
});

test('without a tracker everything comes from the door, until there is one again', () => {
  const choice = new Choice(set(), half, 0);
  for (let i = 0; i < usualChoice.deaf; i++) choice.unheard();
  assert.equal(all(choice, 1).filter((text) => text.endsWith('door')).length, usualChoice.doorAsks);
  choice.guided(guidance([]));
  assert.equal(choice.alone(1), false);
});

test('when nothing comes it says so, and then helps itself', () => {
  const choice = new Choice(set(), half, 0);
  choice.guided(guidance([]));
  assert.equal(choice.report(usualChoice.stuckMs - 1).stuck, false);
  assert.equal(choice.report(usualChoice.stuckMs).stuck, true);
  assert.deepEqual(all(choice, usualChoice.aloneMs - 1), []);
  assert.equal(all(choice, usualChoice.aloneMs).length, usualChoice.doorAsks);
});

test('once it is stuck, each chunk of the door is no reason to wait anew, but one of another machine is', () => {
  const choice = new Choice(set(), half, 0);
  const { stuckMs } = usualChoice;
  choice.guided(guidance([]));
  assert.equal(choice.report(stuckMs).stuck, true);
  choice.guided(guidance([], [1]));
  assert.equal(choice.report(stuckMs + 1).stuck, false, 'not while it has something to take');
  choice.got(choice.next(stuckMs + 1)!, stuckMs + 9);
  assert.equal(choice.report(stuckMs + 10).stuck, true);
  choice.guided(guidance([peer(1, 2)]));
  choice.got(choice.next(stuckMs + 10)!, stuckMs + 19);
  assert.equal(choice.report(stuckMs + 20).stuck, false);
  assert.equal(choice.report(2 * stuckMs + 19).stuck, true);
});

test('where machines reach each other not at all, and beside one that claims all and gives nothing, the door is soon enough', () => {
  const many = 60;
  const stepMs = 20;
  for (const liar of [false, true]) {
    const swarm = new Swarm(many, half);
    const machines = [1, 2, 3].map((last) => ({
      address: `10.0.0.${last}`,
      choice: new Choice(new ChunkSet(many), half, 0),
    }));
    let now = 0;
    for (; now < 600_000 && machines.some(({ choice }) => !choice.have.complete); now += stepMs) {
      if (liar)
        swarm.announce('10.0.0.9', { have: ChunkSet.full(many), port: 9, wants: 0, stuck: false, gaveUp: [] }, now);
      for (const { address, choice } of machines) {
        const have = ChunkSet.read(choice.have.text(), many);
        choice.guided(swarm.announce(address, { have, port: 7483, ...choice.report(now) }, now)!);
        for (let ask = choice.next(now); ask !== undefined; ask = choice.next(now))
          if (ask.from.kind === 'door') choice.got(ask, now);
          else choice.failed(ask, 'gone', now);
      }
    }
    assert.ok(now < 15_000, `${liar ? 'beside a liar' : 'apart from each other'}: ${now / 1000} s`);
  }
});

test('a door that fails is asked again later, and the tracker told', () => {
  const choice = new Choice(set(), half, 0);
  choice.guided(guidance([], [1]));
  choice.failed(choice.next(0)!, 'gone', 5);
  assert.deepEqual(choice.report(6).gaveUp, [1]);
  assert.deepEqual(choice.report(6).gaveUp, []);
  choice.guided(guidance([], [2]));
  assert.equal(choice.next(7), undefined);
  assert.equal(choice.next(600)!.chunk, 2);
});

test('a slow one is asked of somebody else as well; the first to come counts', () => {
  const choice = new Choice(set(), half, 0, { aloneMs: Number.POSITIVE_INFINITY });
  choice.guided(guidance([peer(1, 7)]));
  const slow = choice.next(0)!;
  choice.guided(guidance([peer(2, 7)]));
  assert.equal(choice.next(200), undefined);
  const second = choice.next(15_000)!;
  assert.deepEqual(second, { chunk: 7, from: { kind: 'peer', address: '10.0.0.2', port: 7483 } });
  choice.got(second, 15_100);
  choice.failed(slow, 'called-off', 15_100);
  assert.ok(choice.have.has(7));
  assert.ok(choice.peers === 2);
});

test('whatever happens, limits hold, nothing is asked for twice at one place, and in the end all is there', () => {
  const outcome = fc.constantFrom<Failure | 'got'>('got', 'got', 'busy', 'refused', 'gone', 'slow', 'wrong');
  const step = fc.record({
    outcome,
    which: fc.nat(),
    peers: fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(size - 1))), { maxLength: 4 }),
    take: fc.array(fc.nat(size - 1), { maxLength: 3 }),
    after: fc.nat(3000),
    heard: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const choice = new Choice(set(), half, 0, { peersKept: 4 });
      const open: Ask[] = [];
      let now = 0;
      const drain = () => {
        for (let ask = choice.next(now); ask !== undefined; ask = choice.next(now)) {
          assert.ok(!choice.have.has(ask.chunk));
          assert.ok(!open.some((other) => JSON.stringify(other) === JSON.stringify(ask)));
          open.push(ask);
          assert.ok(open.filter(({ from }) => from.kind === 'peer').length <= usualChoice.peerAsks);
          assert.ok(open.filter(({ from }) => from.kind === 'door').length <= usualChoice.doorAsks);
          assert.ok(open.filter(({ chunk }) => chunk === ask.chunk).length <= 2);
          assert.ok(choice.peers <= 4);
        }
      };
      const finish = (ask: Ask, how: Failure | 'got') => {
        open.splice(open.indexOf(ask), 1);
        if (how !== 'got') return choice.failed(ask, how, now);
        choice.got(ask, now);
        for (const other of open.filter(({ chunk }) => chunk === ask.chunk)) finish(other, 'called-off');
      };
      for (const { outcome: how, which, peers, take, after, heard } of steps) {
        now += after;
        if (heard)
          choice.guided(
            guidance(
              peers.map(([last, chunks]) => peer(last, ...chunks)),
              take,
            ),
          );
        else choice.unheard();
        drain();
        if (open.length > 0) finish(open[which % open.length]!, how);
      }
      for (let i = 0; i < 200 && !choice.have.complete; i++) {
        now += usualChoice.aloneMs;
        drain();
        for (const ask of [...open]) if (open.includes(ask)) finish(ask, 'got');
      }
      assert.ok(choice.have.complete);
      assert.deepEqual(open, []);
    }),
  );
});
