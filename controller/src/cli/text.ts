// Text for a terminal: cleaned of what could steer it, measured in cells, cut to a width, times and sizes for people.
import { stripVTControlCharacters } from 'node:util';

/**
 * One line of harmless text from what a machine, a firmware or a program sent: escape sequences and control bytes (C0, C1, line and
 * direction marks) are gone, tabs and line ends are spaces. At most `longest` UTF-16 units.
 */
export function clean(text: string, longest = 2000): string {
  return (
    stripVTControlCharacters(text.slice(0, longest * 2))
      .replace(/[\t\n\r\u2028\u2029]+/g, ' ')
      // What the stripping left of broken sequences, and marks that turn the direction of text around.
      .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
      .trimEnd()
      .slice(0, longest)
  );
}

/** Two cells: East Asian wide and full-width forms and pictures, in blocks (Unicode TR 11). */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const markOrJoiner = /\p{M}|\u200c|\u200d/u;
const sgr = /\u001b\[[0-9;]*m/g;

function cellsOf(character: string): number {
  if (character < '\u0300') return 1;
  return markOrJoiner.test(character) ? 0 : wide.test(character) ? 2 : 1;
}

/** Cells that a line takes; colours take none. */
export function width(text: string): number {
  let cells = 0;
  for (const character of text.replace(sgr, '')) cells += cellsOf(character);
  return cells;
}

/** The longest beginning that takes at most so many cells. */
function beginning(text: string, cells: number): string {
  let used = 0;
  let result = '';
  for (const character of text) {
    used += cellsOf(character);
    if (used > cells) break;
    result += character;
  }
  return result;
}

/** The text if it fits, else its beginning with `…` as the last cell. Not for text with colours. */
export function cut(text: string, cells: number): string {
  if (width(text) <= cells) return text;
  return cells < 1 ? '' : `${beginning(text, cells - 1)}…`;
}

/** Cut and filled with spaces on the right. */
export function cell(text: string, cells: number): string {
  const short = cut(text, cells);
  return short + ' '.repeat(Math.max(0, cells - width(short)));
}

/** Lines of at most `cells`, broken between words; a longer word is broken inside. */
export function wrap(text: string, cells: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    if (line !== '' && width(line) + 1 + width(word) <= cells) {
      line += ` ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    while (width(word) > cells && cells > 1) {
      const piece = beginning(word, cells);
      lines.push(piece);
      word = word.slice(piece.length);
    }
    line = word;
  }
  if (line !== '' || lines.length === 0) lines.push(line);
  return lines;
}

/** `0:07`, `12:34`, `1:02:03` */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** `512 B`, `1.2 MB`, `118 MB`: powers of 1000, at most three digits. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = Math.max(0, bytes);
  let unit = 0;
  // 999.5 would be shown as 1000.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
