import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { drawPlot } from './plot.ts';

test('curves become an SVG with their names', { skip: skipUnless(needPrograms(['gnuplot'])) }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-plot-test-'));
  try {
    const svg = join(folder, "it's a plot.svg");
    const curves = [
      {
        name: "nginx's unicast_1",
        points: [
          [10, 44],
          [100, 364],
        ],
      },
      { name: 'fleet', points: [[10, 15.5]] },
    ] as const;
    drawPlot({ title: 'last machine', x: 'machines', y: 'seconds', curves }, svg);
    const text = readFileSync(svg, 'utf8');
    assert.match(text, /^<\?xml/);
    for (const word of ['nginx&#39;s unicast_1', 'fleet', 'last machine', 'seconds'])
      assert.ok(text.includes(word) || text.includes(word.replace('&#39;', "'")), word);
    assert.throws(() => drawPlot({ title: 't', x: 'x', y: 'y', curves: [] }, svg), /gnuplot/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
