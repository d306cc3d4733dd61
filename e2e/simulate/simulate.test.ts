import assert from 'node:assert/strict';
import test from 'node:test';
import { ends } from '../../controller/src/machine/stage.ts';
import { Clock } from './clock.ts';
import { broken, configurations } from './nix.ts';
import { Random } from './random.ts';
import { type SimulationResult, simulate } from './simulation.ts';

const story = (result: SimulationResult): string =>
  result.broken === undefined ? '' : `seed ${result.seed}: ${result.broken.what}\n${result.broken.lately.join('\n')}`;
const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((all, count) => all + count, 0);

test('without faults every blank machine is installed and proved, on both kinds of network', async () => {
  for (const seed of [1, 2]) {
    const result = await simulate({ machines: 60, seed, faults: 0 });
    assert.equal(story(result), '');
    assert.equal(sum(result.ends), 60);
    assert.ok((result.ends.proved ?? 0) >= 45, JSON.stringify(result.ends));
    assert.equal(result.lives, 1);
    assert.deepEqual([result.evaluations, result.builds], [1, 1]);
    assert.deepEqual(result.faultsHappened, {});
  }
});

/** Seconds between two moments of each machine that had both. */
function between({ moments }: SimulationResult, from: string, to: string): number[] {
  return [...moments.values()].flatMap((of) => {
    const [began, ended] = [of.get(from), of.get(to)];
    return began === undefined || ended === undefined ? [] : [(ended - began) / 1000];
  });
}

test('no machine waits for another: each goes on in the moment in which its own part is done', async () => {
  const count = 60;
  const result = await simulate({ machines: count, seed: 2, faults: 0, jobs: count });
  assert.equal(story(result), '');
  assert.deepEqual([result.evaluations, result.builds], [1, 1]);
  const registered = [...result.moments.values()].flatMap((of) => of.get('registered') ?? []);
  assert.ok(
    registered.length >= 45 && Math.max(...registered) - Math.min(...registered) > 60_000,
    'they come one by one',
  );
  // Its machine is there, and its system is built.
  const preflight = [...result.moments.values()].flatMap((of) => {
    const [registered, built, began] = [of.get('registered'), of.get('built'), of.get('disko began')];
    return registered === undefined || built === undefined || began === undefined
      ? []
      : [(began - Math.max(registered, built)) / 1000];
  });
  const copy = between(result, 'disko done', 'install began');
  assert.ok(copy.length >= 45 && preflight.length >= 45, `${copy.length} copies`);
  // What is looked at before the first byte takes its time; what is done with somebody else's machine none.
  assert.ok(Math.max(...preflight) < 10, `${Math.max(...preflight)} s from its registration to its disks`);
  assert.ok(Math.max(...copy) < 0.1, `${Math.max(...copy)} s from /mnt to the copy`);
});

test('200 machines are woken in waves, and none runs into a patience on its way', async () => {
  const result = await simulate({ machines: 200, seed: 1, faults: 0 });
  assert.equal(story(result), '');
  assert.match(result.waves[0] ?? '', /^\d+ machines in \d+ waves of \d+, about \d+ min$/);
  const [machines, waves, size] = [...result.waves[0]!.matchAll(/\d+/g)].map(Number) as [number, number, number];
  assert.ok(machines > 150 && waves >= 2 && waves * size >= machines, result.waves[0]);
  // Those that nobody hears of are up already, and are not woken by anybody.
  const late = result.reasons.filter(([reason]) => /never registered|in time|never fetched/.test(reason));
  assert.deepEqual(late, []);
  assert.ok((result.ends.proved ?? 0) >= 160, JSON.stringify(result.ends));
});

test('machines boot while their systems are built, and no machine waits for the build of another', async () => {
  const slow = `nixos-system-${configurations[0]}`;
  const result = await simulate({
    machines: 120,
    seed: 2,
    faults: 0,
    jobs: 120,
    buildSeconds: (name) => (name === slow ? 1800 : name === 'installer' ? 20 : 60),
  });
  assert.equal(story(result), '');
  assert.deepEqual([result.evaluations, result.builds], [1, 1]);
  const all = [...result.moments.values()];
  const last = (of: ReadonlyMap<string, number>): number => of.get('built') ?? 0;
  const slowest = Math.max(...all.map(last));
  assert.ok(slowest > 1_800_000);
  const late = all.filter((of) => last(of) === slowest && of.has('proved'));
  const quick = all.filter((of) => last(of) > 0 && last(of) < slowest && of.has('proved'));
  assert.ok(late.length >= 10 && quick.length >= 60, `${late.length} and ${quick.length}`);
  for (const of of quick) assert.ok(of.get('proved')! < slowest, 'a quick one is proved while the slow one is built');
  for (const of of late) {
    assert.ok(of.get('registered')! < 600_000, 'it has booted meanwhile');
    assert.ok(of.get('disko began')! - slowest < 15_000, 'and begins when its system is there');
  }
});

test('a machine whose build fails while it boots is not written to, and switched off', async () => {
  const result = await simulate({
    machines: 40,
    seed: 3,
    faults: 0,
    unbuildable: 0.3,
    buildSeconds: (name) => (name === 'installer' ? 20 : name.endsWith(broken) ? 900 : 60),
  });
  assert.equal(story(result), '');
  const failed = result.reasons.filter(([reason]) => /builder for 'PATH failed with exit code 2/.test(reason));
  const [count] = failed.map(([, times]) => times);
  assert.ok(failed.length === 1 && count! >= 8, JSON.stringify(result.reasons));
  const there = [...result.moments.values()].filter((of) => of.has('failed') && of.has('registered'));
  assert.ok(there.length >= 6, `${there.length} had booted`);
  for (const of of there) {
    assert.equal(of.has('disko began'), false);
    assert.ok(of.get('switched off')! - of.get('failed')! < 30_000);
  }
});

let lives = 0;
for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`200 machines with faults all end, with a reason, and nothing is wiped by mistake: seed ${seed}`, async () => {
    const result = await simulate({ machines: 200, seed, faults: 0.5 });
    assert.equal(story(result), '');
    assert.equal(sum(result.ends), 200);
    for (const end of Object.keys(result.ends)) assert.ok((ends as readonly string[]).includes(end), end);
    assert.ok(Object.keys(result.faultsHappened).length > 20, 'faults happen');
    lives += result.lives;
  });
}

test('in those runs the controller was killed again and again', () => {
  assert.ok(lives >= 12, `${lives} lives in 6 runs`);
});

test('the same seed tells the same story, another seed another one', async () => {
  const [a, b, c] = [
    await simulate({ machines: 40, seed: 7, faults: 0.8 }),
    await simulate({ machines: 40, seed: 7, faults: 0.8 }),
    await simulate({ machines: 40, seed: 9, faults: 0.8 }),
  ];
  assert.deepEqual(a, b);
  assert.notEqual(a.hash, c.hash);
});

test('alarms ring in order, alone, and not once they are called off', async () => {
  const clock = new Clock();
  const rung: string[] = [];
  clock.after(20, () => rung.push(`b ${clock.ticks}`));
  clock.after(10, () => {
    rung.push(`a ${clock.ticks}`);
    void Promise.resolve().then(() => rung.push('after a'));
    clock.after(10, () => rung.push(`c ${clock.ticks}`));
  });
  const off = clock.after(15, () => rung.push('never'));
  off();
  off();
  const controller = new AbortController();
  void clock.sleep(1000, controller.signal).then(() => rung.push(`slept ${clock.ticks}`));
  clock.after(30, () => controller.abort());
  clock.jump(-5000);
  assert.equal(clock.pending, 4);
  await clock.run(() => false, 100);
  assert.deepEqual(rung, ['a 10', 'after a', 'b 20', 'c 20', 'slept 30']);
  assert.equal(clock.pending, 0);
});

test('numbers of a seed are spread evenly and are its own', () => {
  const random = new Random('x');
  const tens = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) tens[random.int(0, 9)]! += 1;
  for (const count of tens) assert.ok(count > 850 && count < 1150, `${count}`);
  assert.equal(new Random('x').next(), new Random('x').next());
  assert.notEqual(new Random('x').next(), new Random('y').next());
  assert.notEqual(new Random('x').child('a').next(), new Random('x').child('b').next());
});
