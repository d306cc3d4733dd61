// The view on a terminal as lines of text: (state, width, rows, now) → lines. Pure.
import { type End, isEnd, type Stage, waySteps } from '../machine/stage.ts';
import type { Colour, Paint } from './colour.ts';
import { cell, width as cellsOf, clean, clock, cut, size } from './text.ts';
import { counts, type HostView, type ViewState } from './view-state.ts';

export const colourOfEnd: Readonly<Record<End, Colour>> = {
  proved: 'green',
  skipped: 'green',
  unproved: 'yellow',
  doubtful: 'yellow',
  refused: 'red',
  failed: 'red',
};

const stageCells = 10; // registered
const barCells = 12;

/**
 * One line for each host, and one below that sums up; no line is wider than `width` cells, and there are at most `rows` of them. When not
 * all hosts fit, those in work come first, the furthest on top.
 */
export function render(state: ViewState, width: number, rows: number, now: number, paint: Paint): string[] {
  const lines: string[] = [];
  if (state.prepare !== undefined) lines.push(prepareLine(state, width, now, paint));
  const room = Math.max(0, rows - lines.length - 1);
  const all = [...state.hosts.values()];
  const shown = all.length <= room ? all : chosen(all, room);
  const nameCells = Math.min(24, Math.max(4, ...shown.map(({ name }) => cellsOf(name))));
  for (const host of shown) lines.push(hostLine(host, nameCells, width, now, paint));
  const hidden = all.length - shown.length;
  const inWork = all.filter(({ stage }) => !isEnd(stage)).length - shown.filter(({ stage }) => !isEnd(stage)).length;
  const more = hidden === 0 ? '' : ` (not shown: ${hidden}${inWork > 0 ? `, ${inWork} of them in work` : ''})`;
  const hosts = `${all.length} ${all.length === 1 ? 'host' : 'hosts'}`;
  const left = all.reduce(
    (most, { progress, stage }) => (isEnd(stage) ? most : Math.max(most, progress?.eta_seconds ?? 0)),
    0,
  );
  const eta = left === 0 ? '' : `, ${clock(left)} left`;
  const summary = `${hosts}: ${counts(state)}${more}, ${clock((now - state.began) / 1000)}${eta}`;
  if (rows > 0) lines.push(paint('dim', cut(summary, width)));
  return lines.slice(-Math.max(0, rows));
}

/** Those in work, the furthest first; then those that ended badly, then the rest. Ties keep the order of the file. */
function chosen(hosts: readonly HostView[], room: number): readonly HostView[] {
  const rank = ({ stage }: HostView): number => {
    if (!isEnd(stage)) return -1 - waySteps.indexOf(stage);
    return colourOfEnd[stage] === 'red' ? 0 : colourOfEnd[stage] === 'yellow' ? 1 : 2;
  };
  return hosts.toSorted((a, b) => rank(a) - rank(b)).slice(0, room);
}

function prepareLine(state: ViewState, width: number, now: number, paint: Paint): string {
  const { text, done, total, since } = state.prepare!;
  const count = done === undefined ? '' : total === undefined ? ` ${done}` : ` ${done}/${total}`;
  const tail = `${count}  ${clock((now - since) / 1000)}`;
  if (width < 20 + tail.length) return cut(`prepare ${text}`, width);
  return `${paint('cyan', 'prepare')} ${fill(text, width - 8 - tail.length)}${paint('dim', tail)}`;
}

function hostLine(host: HostView, nameCells: number, width: number, now: number, paint: Paint): string {
  const { stage } = host;
  const name = cell(host.name, nameCells);
  const ended = isEnd(stage);
  const seconds = ended ? totalSeconds(host) : (now - host.since) / 1000;
  const time = stage === 'planned' || seconds === undefined ? '' : clock(seconds).padStart(7);
  const middle = width - nameCells - stageCells - time.length - 3;
  const said = ended || host.progress === undefined ? saidOf(host) : progressOf(host.progress, saidOf(host), middle);
  // Too narrow for anything else: name and stage are what counts.
  if (middle < 4) return cut(`${name} ${stage}`, width);
  return `${name} ${paint(colourOf(stage), cell(stage, stageCells))} ${fill(said, middle)} ${paint('dim', time)}`.trimEnd();
}

function colourOf(stage: Stage): Colour {
  return isEnd(stage) ? colourOfEnd[stage] : stage === 'planned' ? 'dim' : 'cyan';
}

function saidOf(host: HostView): string {
  if (isEnd(host.stage)) return [host.address, host.reason].filter(Boolean).join(' ');
  return host.reason ?? host.detail ?? host.address ?? '';
}

/** Seconds in all stages; without a result, from the first stage to the last. */
export function totalSeconds(host: HostView): number | undefined {
  if (host.result !== undefined) return Object.values(host.result.seconds).reduce((sum, part) => sum + part, 0);
  return host.started === undefined ? undefined : (host.since - host.started) / 1000;
}

/** A bar and what goes with it, as far as there is room; what it said last fills the rest. */
function progressOf(progress: NonNullable<HostView['progress']>, said: string, room: number): string {
  const { percent, done_bytes: done, total_bytes: total, bytes_per_second: rate, eta_seconds: eta } = progress;
  const { stalled_seconds: stalled } = progress;
  if (stalled !== undefined)
    return `stands still for ${clock(stalled)} at ${percent ?? 0}%: ${clean(progress.stalled_why ?? '')}`;
  if (percent === undefined) return done === undefined ? said : size(done);
  const numbers = `${String(percent).padStart(3)}%`;
  const cells = Math.min(barCells, room - numbers.length - 3);
  if (cells < 5) return numbers.trimStart();
  const full = Math.floor((Math.min(100, percent) / 100) * cells);
  const head = full < cells ? '>' : '';
  const words = [`[${'='.repeat(full)}${head}${' '.repeat(cells - full - head.length)}] ${numbers}`];
  if (rate !== undefined && total !== undefined) words.push(`${size(rate)}/s`);
  if (eta !== undefined) words.push(`${clock(eta)} left`);
  if (total !== undefined) words.push(`of ${size(total)}`);
  if (total === undefined && said !== '') words.push(said);
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line}  ${word}`;
    // The last word may be cut, the others come whole or not at all.
    if (cellsOf(longer) > room && word !== said) break;
    line = longer;
  }
  return line;
}

function fill(text: string, cells: number): string {
  return cell(text, Math.max(0, cells));
}
