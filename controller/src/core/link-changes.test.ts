import assert from 'node:assert/strict';
import test from 'node:test';
import { LinkChanges, saidAtOnce } from './link-changes.ts';

function lab() {
  let now = 100;
  const timers = new Set<{ at: number; call: () => void }>();
  const said: string[] = [];
  const sums: { changes: number; losses: number; ms: number; last: string }[] = [];
  const changes = new LinkChanges<string>({
    say: (link, change) => said.push(`${link} ${change}`),
    sum: (_link, held) => sums.push(held),
    ticks: () => now,
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  });
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      const next = Math.min(end, ...[...timers].map(({ at }) => at));
      now = Math.max(now, next);
      for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.call();
    }
  };
  return { changes, said, sums, pass, timers };
}

test('a link that comes and goes now and then is told of at once, each time', () => {
  const { changes, said, sums, pass, timers } = lab();
  for (let at = 0; at < 20; at++) {
    changes.tell('rack7', `down ${at}`, true);
    pass(10_000);
    changes.tell('rack7', `up ${at}`, false);
    pass(60_000);
  }
  assert.equal(said.length, 40);
  assert.deepEqual(sums, []);
  assert.equal(timers.size, 0, 'nothing is remembered of one that is quiet');
});

test('one that flaps every two seconds for a day costs some dozens of lines, and no loss is uncounted', () => {
  const { changes, said, sums, pass } = lab();
  const flaps = 43_200;
  for (let at = 0; at < flaps; at++) {
    changes.tell('rack7', 'down', true);
    pass(1000);
    changes.tell('rack7', 'up', false);
    pass(1000);
  }
  changes.tell('rack8', 'up', false);
  assert.equal(said.at(-1), 'rack8 up', 'others are told of as ever');
  pass(3600_000);
  assert.equal(said.filter((each) => each.startsWith('rack7')).length, saidAtOnce);
  assert.ok(sums.length > 20 && sums.length <= 32, `${sums.length} sums`);
  assert.equal(
    sums.reduce((sum, { losses }) => sum + losses, 0),
    flaps - saidAtOnce / 2,
  );
  assert.equal(
    sums.reduce((sum, { changes }) => sum + changes, 0),
    2 * flaps - saidAtOnce,
  );
  assert.ok(sums.every(({ ms }) => ms <= 3600_000));
  assert.equal(sums.at(-1)?.last, 'up');
  pass(3600_000);
  changes.tell('rack7', 'after a quiet time', true);
  assert.equal(said.at(-1), 'rack7 after a quiet time');
});

test('how it stands in the end is told within a minute, however long it has flapped', () => {
  const { changes, sums, pass } = lab();
  for (let at = 0; at < 5000; at++) {
    changes.tell('rack7', 'up', false);
    pass(1000);
    changes.tell('rack7', 'down', true);
    pass(1000);
  }
  const before = sums.length;
  pass(60_000);
  assert.equal(sums.length, before + 1);
  assert.equal(sums.at(-1)?.last, 'down');
});

test('nothing is said after its end', () => {
  const { changes, sums, pass, timers } = lab();
  for (let at = 0; at < 50; at++) changes.tell('rack7', 'down', true);
  assert.ok(changes.holds('rack7') && !changes.holds('rack8'));
  changes.close();
  pass(3600_000);
  assert.deepEqual([sums.length, timers.size], [0, 0]);
});
