// Shows a run while it goes on: redrawn lines on a terminal, plain lines elsewhere, or one JSON object a line. Thin: what is written comes from
// render.ts, plain-lines.ts and table.ts.
import type { RunEvent } from '../machine/event.ts';
import type { Paint } from './colour.ts';
import { plainLines } from './plain-lines.ts';
import { render } from './render.ts';
import { table } from './table.ts';
import { clean } from './text.ts';
import { newView, see, type ViewState } from './view-state.ts';

/** Where it is written: standard output. */
export interface Screen {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Cells and lines, as they are now. */
  readonly columns: number;
  readonly rows: number;
}

export interface Ticker {
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Calls once after so many milliseconds; the result calls it off. */
  after(milliseconds: number, call: () => void): () => void;
}

export interface View {
  show(event: RunEvent): void;
  /** Writes the table if asked (not for JSON) and leaves the terminal as it was. Safe to call twice, and from a signal's handler. */
  close(how: { readonly table: boolean }): void;
}

export interface ViewOptions {
  readonly mode: 'json' | 'people';
  /** Names in the order of the hosts file. */
  readonly hosts: readonly string[];
  readonly debug: boolean;
  readonly paint: Paint;
}

const redrawMs = 100;
const idleMs = 1000;
/** Lines that wait for the next redraw; a storm of them must not fill the memory. */
const mostWaiting = 1000;
const widestTable = 160;
const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';

export function openView(options: ViewOptions, screen: Screen, ticker: Ticker): View {
  if (options.mode === 'json') {
    return { show: (event) => screen.write(`${jsonLine(event)}\n`), close: () => {} };
  }
  let state: ViewState = newView(options.hosts, ticker.now());
  let closed = false;
  const closing = (before: () => void) => (how: { readonly table: boolean }) => {
    if (closed) return;
    closed = true;
    before();
    if (!how.table) return;
    const width = screen.isTerminal ? Math.max(20, screen.columns) : widestTable;
    screen.write(`\n${table(state, Math.min(width, widestTable), options.paint).join('\n')}\n`);
  };
  if (!screen.isTerminal) {
    const say = plainLines({ debug: options.debug });
    return {
      show: (event) => {
        state = see(state, event);
        const line = say(event);
        if (line !== undefined && !closed) screen.write(`${line}\n`);
      },
      close: closing(() => {}),
    };
  }

  const say = plainLines({ debug: options.debug });
  let waiting: string[] = [];
  let dropped = 0;
  /** Lines that are on the screen now. */
  let drawn = 0;
  let callOff: (() => void) | undefined;
  let drawnAt = Number.NEGATIVE_INFINITY;

  /**
   * Back to the start of what was drawn. A terminal that became narrower has broken the lines into more rows, each in its own way: then some
   * of them stay, which is better than losing a notice that stands above.
   */
  const erase = (): string => (drawn === 0 ? '' : `\u001b[${drawn}A\r\u001b[J`);
  const above = (): string => {
    if (dropped > 0) waiting.push(`… ${dropped} lines were not shown`);
    const text = waiting.map((line) => `${line}\n`).join('');
    waiting = [];
    dropped = 0;
    return text;
  };
  const draw = () => {
    callOff = undefined;
    if (closed) return;
    drawnAt = ticker.now();
    // The last column stays free: some terminals break the line as soon as it is full.
    const lines = render(state, Math.max(10, screen.columns - 1), Math.max(1, screen.rows - 1), drawnAt, options.paint);
    screen.write(`${drawn === 0 ? hideCursor : ''}${erase()}${above()}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
    plan(idleMs);
  };
  const plan = (milliseconds: number) => {
    callOff?.();
    callOff = ticker.after(milliseconds, draw);
  };

  let soon = false;
  const drawSoon = () => {
    if (soon) return;
    soon = true;
    callOff?.();
    callOff = ticker.after(Math.max(0, drawnAt + redrawMs - ticker.now()), () => {
      soon = false;
      draw();
    });
  };
  return {
    show: (event) => {
      if (closed) return;
      state = see(state, event);
      const line = isAbove(event, options.debug) ? say(event) : undefined;
      if (line !== undefined) {
        if (waiting.length < mostWaiting) waiting.push(painted(event, clean(line), options.paint));
        else dropped += 1;
      }
      drawSoon();
    },
    close: closing(() => {
      callOff?.();
      screen.write(`${erase()}${above()}${drawn === 0 ? '' : showCursor}`);
    }),
  };
}

/** JSON.stringify leaves DEL, C1 and the Unicode line ends as they are: a terminal would obey them, a reader of lines break there. */
function jsonLine(event: RunEvent): string {
  return JSON.stringify(event).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What stays on the screen above the redrawn lines. */
function isAbove(event: RunEvent, debug: boolean): boolean {
  return (
    event.event === 'notice' || (debug && (event.event === 'log' || event.event === 'seen' || event.event === 'stage'))
  );
}

function painted(event: RunEvent, line: string, paint: Paint): string {
  if (event.event !== 'notice') return paint('dim', line);
  return event.level === 'error' ? paint('red', line) : event.level === 'warning' ? paint('yellow', line) : line;
}
