// A curve of a benchmark as SVG, drawn by gnuplot. Points that are beside each other are joined; both axes are logarithmic, since ratios are what counts.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Plot {
  readonly title: string;
  /** With its unit. */
  readonly x: string;
  readonly y: string;
  /** In the order of the key. */
  readonly curves: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** What gnuplot is told. @param data a file for each curve */
export function plotScript(plot: Plot, svg: string, data: readonly string[]): string {
  const lines = plot.curves.map(
    ({ name }, i) => `${quoted(data[i]!)} using 1:2 with linespoints pt 7 ps 0.4 lw 1.5 title ${quoted(name)}`,
  );
  return [
    // Names are shown as they are, whatever signs they have.
    "set terminal svg size 720,440 font 'sans-serif,12' background rgb 'white' noenhanced",
    `set output ${quoted(svg)}`,
    `set title ${quoted(plot.title)}`,
    `set xlabel ${quoted(plot.x)}`,
    `set ylabel ${quoted(plot.y)}`,
    'set logscale xy',
    'set grid xtics ytics lc rgb "#dddddd"',
    'set key top left',
    `plot ${lines.join(', ')}`,
    '',
  ].join('\n');
}

/** @throws when gnuplot is not there, or takes something for a mistake */
export function drawPlot(plot: Plot, svg: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-plot-'));
  try {
    const data = plot.curves.map(({ points }, i) => {
      const file = join(folder, `${i}.dat`);
      writeFileSync(file, points.map(([x, y]) => `${x} ${y}\n`).join(''));
      return file;
    });
    const { error, status, stderr } = spawnSync('gnuplot', ['-'], {
      input: plotScript(plot, svg, data),
      encoding: 'utf8',
      timeout: 60_000,
      stdio: ['pipe', 'inherit', 'pipe'],
    });
    if (error !== undefined) throw new Error(`plot ${svg}: gnuplot: ${error.message}`);
    if (status !== 0) throw new Error(`plot ${svg}: gnuplot: ${stderr.trim() || `ended with ${status}`}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
