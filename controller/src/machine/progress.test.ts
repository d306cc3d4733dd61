import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { installSteps, type RunEvent } from './event.ts';
import { ProgressBook, usualSeconds } from './progress.ts';
import { ends, isEnd, type Stage, waySteps } from './stage.ts';

const began = Date.parse('2026-01-01T12:00:00.000Z');
const ms = (seconds: number) => began + seconds * 1000;
const at = (seconds: number) => new Date(ms(seconds)).toISOString();
const stage = (seconds: number, name: Stage, host = 'm1'): RunEvent => ({
  event: 'stage',
  at: at(seconds),
  host,
  stage: name,
});
const copied = (seconds: number, done: number, path: number, more: object = {}): RunEvent => ({
  event: 'progress',
  at: at(seconds),
  host: 'm1',
  stage: 'copy',
  done_bytes: done,
  path_bytes: path,
  total_bytes: 1000,
  ...more,
});
const landed = (seconds: number, bytes: number): RunEvent => ({
  event: 'progress',
  at: at(seconds),
  host: 'm1',
  stage: 'copy',
  landed_bytes: bytes,
});
const logged = (seconds: number, source: string, text: string): RunEvent => ({
  event: 'log',
  at: at(seconds),
  host: 'm1',
  source,
  text,
});
const see = (book: ProgressBook, event: RunEvent) => book.see(event, Date.parse(event.at));
function bookOf(...events: RunEvent[]): ProgressBook {
  const book = new ProgressBook();
  for (const event of events) see(book, event);
  return book;
}
const share = (book: ProgressBook, seconds: number) => book.standing('m1', ms(seconds))?.share ?? Number.NaN;

test('a copy: whole paths count, what lands on the target fills the path under way and no more', () => {
  const book = bookOf(stage(0, 'copy'), copied(1, 0, 400));
  see(book, landed(2, 250));
  assert.equal(share(book, 2), 0.25);
  see(book, landed(3, 900));
  assert.equal(share(book, 3), 0.4, 'more than the path: the file system itself');
  see(book, copied(4, 400, 600));
  assert.equal(share(book, 4), 0.9, 'what landed');
  const { doneBytes, totalBytes, bytesPerSecond } = book.standing('m1', ms(4)) ?? {};
  assert.deepEqual([doneBytes, totalBytes], [900, 1000]);
  see(book, landed(5, 5000));
  assert.equal(share(book, 5), 0.99, 'all is there, but nobody said that it is over');
  assert.ok((bytesPerSecond ?? 0) > 200 && (bytesPerSecond ?? 0) < 400);
});

test('a standstill is told with its likely reason, and ends when bytes move', () => {
  const book = bookOf(stage(0, 'copy'), copied(1, 100, 100));
  assert.equal(book.standing('m1', ms(10))?.stalled, undefined);
  assert.match(book.standing('m1', ms(17))?.stalled?.why ?? '', /its agent is silent, too/);
  book.heard('m1', ms(16));
  assert.match(book.standing('m1', ms(17))?.stalled?.why ?? '', /its agent answers/);
  assert.equal(book.standing('m1', ms(17))?.stalled?.seconds, 16);
  assert.equal(book.standing('m1', ms(17))?.etaSeconds, undefined, 'nobody knows');
  see(book, landed(18, 150));
  assert.equal(book.standing('m1', ms(19))?.stalled, undefined);
  const loading = bookOf(stage(0, 'loading'), {
    event: 'progress',
    at: at(1),
    host: 'm1',
    stage: 'loading',
    done_bytes: 400,
    total_bytes: 1000,
  });
  assert.match(loading.standing('m1', ms(17))?.stalled?.why ?? '', /initrd stand still at 40 %/);
  // The boot stage starts before it fetches the rest: for a while no byte is expected.
  const one = { event: 'progress', host: 'm1', stage: 'loading', total_bytes: 1000 } as const;
  see(loading, { ...one, at: at(20), done_bytes: 450, paused: true });
  assert.equal(loading.standing('m1', ms(59))?.stalled, undefined);
  see(loading, { ...one, at: at(60), done_bytes: 460 });
  assert.match(loading.standing('m1', ms(80))?.stalled?.why ?? '', /stand still at 46 %/);
  const proving = bookOf(stage(0, 'proving'));
  assert.equal(proving.standing('m1', ms(59))?.stalled, undefined);
  assert.match(proving.standing('m1', ms(3 * usualSeconds.proving + 1))?.stalled?.why ?? '', /self-test/);
  assert.equal(
    bookOf(stage(0, 'waking')).standing('m1', ms(800))?.stalled,
    undefined,
    'somebody may have to press its button',
  );
});

test('in every stage the share moves by itself, and steps move it further', () => {
  for (const name of waySteps) {
    if (name === 'copy' || name === 'planned') continue;
    const book = bookOf(stage(0, name));
    const shares = [0, 1, 2, 4, 8, 16].map((seconds) => share(book, seconds));
    for (let index = 1; index < shares.length; index++)
      assert.ok(shares[index]! > shares[index - 1]!, `${name}: ${shares.join(' ')}`);
    assert.ok(share(book, 100_000) < 1);
  }
  const disko = bookOf(stage(0, 'disko'));
  const before = share(disko, 1);
  see(disko, logged(1, 'disko', '### Formatting hard drive with disko ###'));
  assert.ok(before < 0.1 && share(disko, 1) >= 0.4);
  see(disko, { event: 'progress', at: at(2), host: 'm1', stage: 'disko', step: 'mounted' });
  assert.ok(share(disko, 2) >= 0.9);
});

test('the time left is what the machines before it took', () => {
  const book = new ProgressBook();
  const story: [Stage, number][] = [
    ['waking', 5],
    ['firmware', 10],
    ['loading', 20],
    ['registered', 1],
    ['preflight', 2],
    ['disko', 7],
    ['copy', 30],
    ['install', 9],
    ['rebooting', 1],
    ['proving', 25],
  ];
  let now = 0;
  for (const [name, seconds] of story) {
    see(book, stage(now, name, 'first'));
    now += seconds;
  }
  see(book, stage(now, 'proved', 'first'));
  see(book, stage(now, 'install', 'm1'));
  const eta = book.standing('m1', ms(now))?.etaSeconds ?? 0;
  // `proving` of the first is not learned by its end alone: an end may come early.
  assert.ok(Math.abs(eta - (9 + 1 + usualSeconds.proving)) < 1, `${eta}`);
  assert.equal(book.standing('first', ms(now))?.overall, 1);
});

test('who restarts has the rest of its way left, however long others took to restart', () => {
  const book = bookOf(stage(0, 'restarting', 'first'), stage(500, 'planned', 'first'), stage(600, 'restarting', 'm1'));
  const left = usualSeconds.rebooting + usualSeconds.proving;
  for (const now of [600, 900, 1099, 1200, 5000]) {
    const { etaSeconds, stalled } = book.standing('m1', ms(now))!;
    assert.ok(stalled !== undefined || etaSeconds! >= left, `${etaSeconds} at ${now}`);
  }
});

test('bytes that are told out of order have no rate', () => {
  const bytes = (seconds: number, done_bytes: number): RunEvent => {
    return { event: 'progress', at: at(seconds), host: 'm1', stage: 'loading', done_bytes };
  };
  const book = bookOf(stage(0, 'loading'), bytes(248, 1), bytes(100, 76));
  assert.equal(book.standing('m1', ms(100))?.bytesPerSecond, undefined);
});

test('whatever is told, no share goes back in a stage, the whole not in a run, and all numbers are numbers', () => {
  const anyEvent: fc.Arbitrary<RunEvent> = fc
    .tuple(fc.nat(5000), fc.constantFrom('m1', 'm2'))
    .chain(([tenths, host]) => {
      const when = { at: at(tenths / 10), host };
      return fc.oneof(
        {
          weight: 2,
          arbitrary: fc
            .constantFrom(...waySteps, ...ends)
            .map((name): RunEvent => ({ event: 'stage', ...when, stage: name })),
        },
        {
          weight: 4,
          arbitrary: fc
            .record({
              stage: fc.constantFrom(...waySteps),
              done_bytes: fc.option(fc.nat(2000), { nil: undefined }),
              total_bytes: fc.option(fc.nat(1000), { nil: undefined }),
              path_bytes: fc.option(fc.nat(500), { nil: undefined }),
              landed_bytes: fc.option(fc.nat(3000), { nil: undefined }),
              step: fc.option(fc.constantFrom(...installSteps), { nil: undefined }),
            })
            .map((one) => ({ event: 'progress', ...when, ...JSON.parse(JSON.stringify(one)) }) as RunEvent),
        },
        {
          weight: 1,
          arbitrary: fc
            .constantFrom('### Installing NixOS ###', '### Copying extra files ###', 'installation finished!')
            .map((text): RunEvent => ({ event: 'log', ...when, source: 'install', text })),
        },
        { weight: 1, arbitrary: fc.constant<RunEvent>({ event: 'seen', ...when, kind: 'dhcp-answered' }) },
      );
    });
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
      const book = new ProgressBook();
      const last = new Map<string, { stage: Stage; share: number; overall: number }>();
      for (const event of events) {
        see(book, event);
        for (const host of ['m1', 'm2']) {
          const now = Date.parse(event.at);
          const standing = book.standing(host, now);
          if (standing === undefined) continue;
          const { share: one, overall, etaSeconds = 0, bytesPerSecond = 0 } = standing;
          for (const number of [one, overall]) assert.ok(number >= 0 && number <= 1, `${number}`);
          for (const number of [etaSeconds, bytesPerSecond])
            assert.ok(Number.isFinite(number) && number >= 0, `${number}`);
          const before = last.get(host);
          const anew = event.event === 'stage' && event.host === host;
          if (before !== undefined && !anew)
            assert.ok(one >= before.share, `${before.share} -> ${one} in ${standing.stage}`);
          if (before !== undefined && !isEnd(before.stage)) assert.ok(overall >= before.overall);
          last.set(host, { stage: standing.stage, share: one, overall });
        }
      }
    }),
    { numRuns: 500 },
  );
});
