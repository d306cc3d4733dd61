// docs/doctor.md is the doctor's two lists. NIXIE_WRITE_DOCS=1 writes it anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { causes } from '../../controller/src/doctor/causes.ts';
import { steps } from '../../controller/src/doctor/diagnose.ts';
import { obstacles } from '../../controller/src/doctor/obstacles.ts';

const file = join(import.meta.dirname, '../../docs/doctor.md');
const readme = join(import.meta.dirname, '../../README.md');
const block = /<!-- doctor -->\n[\s\S]*<!-- \/doctor -->/;
/** Those that are met most often. */
const shown = [
  'nothing-heard',
  'no-address',
  'other-proxy',
  'tftp-mtu',
  'script-not-fetched',
  'agent-silent',
  'network-before-disk',
] as const;
const cell = (text: string) => text.replaceAll('|', '\\|');
const row = (...cells: string[]) => `| ${cells.map(cell).join(' | ')} |`;

function page(): string {
  return [
    '# What nixie doctor finds',
    '',
    'Written by `NIXIE_WRITE_DOCS=1 node --test e2e/house/doctor.test.ts` from the lists that the program has. The words in the first columns are the `id`s of',
    '`--json`; they never change.',
    '',
    '## A machine: `nixie doctor [HOST]`',
    '',
    'How far its newest boot came is one of these steps; from the agent on it is the stage of its life.',
    '',
    ...steps.map((step, index) => `${index}. ${step}`),
    '',
    row('id', 'what the trail shows', 'likely cause', 'what to try'),
    row('---', '---', '---', '---'),
    ...Object.entries(causes).map(([id, { symptom, cause, advice }]) => row(`\`${id}\``, symptom, cause, advice)),
    '',
    '## Before a run: `nixie doctor --interface NAME`',
    '',
    'A note stops nothing, and is not counted in the exit status.',
    '',
    row('id', '', 'what is found', 'what to try'),
    row('---', '---', '---', '---'),
    ...Object.entries(obstacles).map(([id, { level, what, advice }]) => row(`\`${id}\``, level, what, advice)),
    '',
  ].join('\n');
}

test("docs/doctor.md is the doctor's lists", () => {
  if (process.env.NIXIE_WRITE_DOCS === '1') writeFileSync(file, page());
  assert.equal(readFileSync(file, 'utf8'), page());
});

function few(): string {
  const rows = shown.map((id) => row(causes[id].symptom, causes[id].cause));
  return ['<!-- doctor -->', row('what was seen', 'likely cause'), row('---', '---'), ...rows, '<!-- /doctor -->'].join(
    '\n',
  );
}

test('the table in README.md is a part of them', () => {
  const text = readFileSync(readme, 'utf8');
  if (process.env.NIXIE_WRITE_DOCS === '1') writeFileSync(readme, text.replace(block, few()));
  assert.equal(readFileSync(readme, 'utf8').match(block)?.[0], few());
});
