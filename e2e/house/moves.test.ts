// The diagram of a machine's life in ARCHITECTURE.md is the table of moves. NIXIE_WRITE_DOCS=1 writes it anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { moves } from '../../controller/src/machine/life.ts';
import { waySteps } from '../../controller/src/machine/stage.ts';

const file = join(import.meta.dirname, '../../ARCHITECTURE.md');
const block = /<!-- moves -->\n[\s\S]*<!-- \/moves -->/;

function diagram(): string {
  const lines = waySteps.flatMap((from) =>
    Object.entries(moves[from]).map(([kind, to]) => `    ${from} --> ${to}: ${kind}`),
  );
  return [
    '<!-- moves -->',
    '```mermaid',
    'stateDiagram-v2',
    '    [*] --> planned',
    ...lines,
    '```',
    '<!-- /moves -->',
  ].join('\n');
}

test('the diagram in ARCHITECTURE.md is the table of moves', () => {
  const text = readFileSync(file, 'utf8');
  if (process.env.NIXIE_WRITE_DOCS === '1') writeFileSync(file, text.replace(block, diagram()));
  assert.equal(readFileSync(file, 'utf8').match(block)?.[0], diagram());
});
