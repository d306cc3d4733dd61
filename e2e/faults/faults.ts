// `npm run faults`: the real Nixie on real firmware, once for each kind of fault; the table goes to the terminal, and to docs/faults.md with the last
// row of each fault.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installLab } from '../lab/scenario.ts';
import type { Fault } from './fault.ts';
import { faults } from './kinds.ts';
import { strike, Unexpected } from './strike.ts';
import { page, plainHead, plainRow, type Row } from './table.ts';

const docs = fileURLToPath(new URL('../../docs', import.meta.url));
const cache = fileURLToPath(new URL('../../.cache', import.meta.url));
const usage = `npm run faults [-- FLAGS]
  --only NAME    this fault, or all whose names begin with it (may be repeated)
  --json         one JSON object a line
  --list         the names

${faults.map(({ name }) => `  ${name}`).join('\n')}`;

async function one(fault: Fault): Promise<Row> {
  const at = new Date().toISOString();
  try {
    return { fault, at, good: true, outcome: await strike([fault]) };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const whole = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const kept = join(tmpdir(), `nixie-fault-${fault.name}.log`);
    writeFileSync(kept, whole);
    if (cause instanceof Unexpected)
      return { fault, at, good: false, outcome: cause.outcome, why: `${cause.outcome.wrong.join('; ')} (see ${kept})` };
    return { fault, at, good: false, why: `${whole.split('\n')[0]} (see ${kept})` };
  }
}

/** The last row of each fault, whichever run it is from. */
function keep(row: Row): Row[] {
  const file = join(cache, 'faults.json');
  type Kept = Record<string, Omit<Row, 'fault'>>;
  const kept: Kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Kept) : {};
  const { fault, ...rest } = row;
  kept[fault.name] = rest;
  mkdirSync(cache, { recursive: true });
  writeFileSync(file, JSON.stringify(kept, null, 1));
  return faults.flatMap((each) => (kept[each.name] === undefined ? [] : [{ fault: each, ...kept[each.name]! }]));
}

async function main(): Promise<number> {
  let given: { only?: string[]; json?: boolean; list?: boolean };
  try {
    const options = {
      only: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      list: { type: 'boolean' },
    } as const;
    given = parseArgs({ options }).values;
  } catch (error) {
    console.error(`faults: ${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (given.list === true) {
    console.log(usage);
    return 0;
  }
  const { only, json = false } = given;
  const chosen = faults.filter(({ name }) => only === undefined || only.some((each) => name.startsWith(each)));
  if (chosen.length === 0) {
    console.error(`faults: --only: no fault has this name\n\n${usage}`);
    return 2;
  }
  const missing = installLab.map((need) => need()).filter((why) => why !== undefined);
  if (missing.length > 0) {
    console.error(`faults: this can't run here:\n  ${missing.join('\n  ')}`);
    return 3;
  }
  const rows: Row[] = [];
  if (!json) console.log(plainHead);
  for (const fault of chosen) {
    const row = await one(fault);
    rows.push(row);
    mkdirSync(docs, { recursive: true });
    writeFileSync(join(docs, 'faults.md'), page(keep(row), faults.length));
    if (json) {
      const { name, what, where } = row.fault;
      console.log(JSON.stringify({ name, what, where, good: row.good, why: row.why, ...row.outcome }));
    } else console.log(plainRow(row));
  }
  const good = rows.filter((row) => row.good).length;
  if (!json) console.log(`\n${good} of ${rows.length} as expected`);
  return good === rows.length ? 0 : 1;
}

process.exit(await main());
