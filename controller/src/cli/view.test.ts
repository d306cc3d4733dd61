import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import { plain } from './colour.ts';
import { openView, type Screen, type Ticker } from './view.ts';

/** As much of a terminal as the view uses: cursor up, carriage return, erase below, cursor on and off, line ends, scrolling, wrapping. */
function terminal(columns: number, rows: number) {
  let lines: string[] = [''];
  let row = 0;
  let written = 0;
  let cursor = true;
  const screen = {
    isTerminal: true,
    columns,
    rows,
    write(text: string) {
      written += 1;
      for (const [token] of text.matchAll(/\u001b\[\??[0-9]*[A-Za-z]|[^\u001b\n\r]+|[\n\r]/g)) {
        const up = /^\u001b\[(\d+)A$/.exec(token);
        if (up !== null) {
          // A real terminal can't go above what it shows.
          const top = Math.max(0, lines.length - screen.rows);
          row = Math.max(top, row - Number(up[1]));
        } else if (token === '\u001b[J')
          lines = lines.slice(0, row + 1).map((line, index) => (index === row ? '' : line));
        else if (token === '\u001b[?25l') cursor = false;
        else if (token === '\u001b[?25h') cursor = true;
        else if (token === '\n') {
          row += 1;
          if (lines[row] === undefined) lines.push('');
        } else if (token !== '\r') {
          assert.ok(!token.startsWith('\u001b'), JSON.stringify(token));
          lines[row] += token;
          assert.ok(lines[row]!.length < screen.columns, 'the last column stays free');
        }
      }
    },
  };
  return {
    screen,
    lines: () => lines.filter((line, index) => index < lines.length - 1 || line !== ''),
    writes: () => written,
    cursor: () => cursor,
  };
}

function fakeTicker(): Ticker & { advance(ms: number): void } {
  let now = Date.parse('2026-01-01T12:00:00Z');
  let timers: { at: number; call: () => void }[] = [];
  return {
    now: () => now,
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
    advance(ms) {
      const until = now + ms;
      for (;;) {
        const next = timers.filter((each) => each.at <= until).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((each) => each !== next);
        now = Math.max(now, next.at);
        next.call();
      }
      now = until;
    },
  };
}

const options = { mode: 'people' as const, hosts: ['a', 'b'], debug: false, paint: plain };
const at = '2026-01-01T12:00:00.000Z';
const stage = (host: string, name: 'waking' | 'copy' | 'failed'): RunEvent => ({
  event: 'stage',
  at,
  host,
  stage: name,
});

test('lines are redrawn in their place, notices stay above, the cursor comes back', () => {
  const { screen, lines, cursor } = terminal(60, 20);
  const ticker = fakeTicker();
  const view = openView(options, screen, ticker);
  view.show(stage('a', 'waking'));
  ticker.advance(200);
  assert.equal(cursor(), false);
  assert.deepEqual(lines(), [
    'a    waking                                            0:00',
    'b    planned',
    '2 hosts: 2 in work, 0:00',
  ]);
  view.show({ event: 'notice', at, level: 'warning', text: 'careful\u001b[2J' });
  ticker.advance(3000);
  assert.deepEqual(lines(), [
    '12:00:00 warning: careful',
    'a    waking                                            0:03',
    'b    planned',
    '2 hosts: 2 in work, 0:03',
  ]);
  view.close({ table: false });
  view.close({ table: true });
  assert.equal(cursor(), true);
  assert.deepEqual(lines(), ['12:00:00 warning: careful']);
  ticker.advance(5000);
  view.show(stage('b', 'waking'));
  ticker.advance(5000);
  assert.deepEqual(lines(), ['12:00:00 warning: careful'], 'nothing is written after the end');
});

test('the table follows at the end', () => {
  const { screen, lines } = terminal(80, 20);
  const view = openView({ ...options, hosts: ['a'] }, screen, fakeTicker());
  view.show(stage('a', 'failed'));
  view.close({ table: true });
  assert.deepEqual(lines(), [
    '',
    'host result        time  time per stage',
    'a    failed        0:00',
    '1 host: 1 failed',
  ]);
});

test('at most ten writes a second, however many events come', () => {
  const { screen, writes } = terminal(60, 20);
  const ticker = fakeTicker();
  const view = openView(options, screen, ticker);
  for (let event = 0; event < 3000; event++) {
    view.show({ event: 'progress', at, host: 'a', stage: 'copy', done_bytes: event });
    ticker.advance(1);
  }
  assert.ok(writes() >= 25 && writes() <= 31, String(writes()));
});

test('a storm of notices is bounded, and says what it dropped', () => {
  const { screen, lines } = terminal(60, 20);
  const ticker = fakeTicker();
  const view = openView(options, screen, ticker);
  for (let event = 0; event < 1500; event++) view.show({ event: 'notice', at, level: 'info', text: `n${event}` });
  ticker.advance(200);
  assert.ok(lines().includes('… 500 lines were not shown'));
});

test('a terminal that becomes narrower loses nothing that stands above', () => {
  const seen: string[] = [];
  const screen = { isTerminal: true, columns: 60, rows: 20, write: (text: string) => void seen.push(text) };
  const ticker = fakeTicker();
  const view = openView(options, screen, ticker);
  view.show(stage('a', 'waking'));
  ticker.advance(100);
  screen.columns = 25;
  ticker.advance(1000);
  const last = seen.at(-1)!;
  // Three lines were drawn; they take at least three rows in a terminal of any width.
  assert.ok(last.startsWith('\u001b[3A\r\u001b[J'), JSON.stringify(last));
  assert.ok(
    last
      .split('\n')
      .slice(1)
      .every((line) => line.length < 25),
  );
});

test('JSON: one event a line, and no byte of it steers a terminal or breaks the line', () => {
  let text = '';
  const screen: Screen = {
    isTerminal: true,
    columns: 80,
    rows: 24,
    write: (part) => {
      text += part;
    },
  };
  const view = openView({ ...options, mode: 'json' }, screen, fakeTicker());
  const events: RunEvent[] = [
    stage('a', 'waking'),
    { event: 'log', at, source: 'x', text: '\u001b[2J\u009b\u2028\u007fé\n' },
  ];
  for (const event of events) view.show(event);
  view.close({ table: true });
  const lines = text.split('\n');
  assert.equal(lines.pop(), '');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    events,
  );
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
});
