import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { openJournal } from './journal.ts';

test('one that grows too large is set aside while it is written, and no line is lost in between', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'journal');
  const journal = openJournal(file, { largestBytes: 100, onTrouble: (text) => assert.fail(text) });
  const lines = (name: string) => readFileSync(name, 'utf8').trim().split('\n');
  for (let number = 0; number < 16; number++) journal.write({ number });
  journal.close();
  assert.ok(readFileSync(`${file}.1`).length > 100 && readFileSync(`${file}.1`).length < 130);
  const kept = [...lines(`${file}.1`), ...lines(file)].map((line) => JSON.parse(line).number);
  assert.deepEqual(
    kept,
    Array.from({ length: 16 }, (_, number) => number),
  );
});
