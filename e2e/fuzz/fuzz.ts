// `npm run fuzz -- [--seconds N] [--target NAME]… [--seed N] [--keep] [--json] [--replay FILE]`: every decoder of the project is given
// inputs that nobody would send, guided by which code they run.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { hashOf, loadTarget, targetNames, writeCorpus } from './corpus.ts';
import { type Growing, growsTooFast } from './growth.ts';
import type { Failure, Hunted } from './hunt.ts';
import { failureOf } from './target.ts';
import { sharedHead, type Work } from './worker.ts';

const usage = `npm run fuzz [-- FLAGS]
  --seconds N     of the whole run, over all targets alike; default 60
  --target NAME   only this one; may be repeated
  --seed N        of the pseudo-random numbers; default 1
  --keep          write the inputs that run new code into e2e/fuzz/corpus
  --json          one JSON object a target
  --replay FILE   run one input of e2e/fuzz/failures again, with --target`;

const failuresFolder = join(import.meta.dirname, 'failures');
const root = join(import.meta.dirname, '../..');
/** One input may take so long, with coverage on, before it counts as endless. */
const hangMs = 20_000;
const memoryMb = 512;

interface Flags {
  readonly seconds: number;
  readonly targets: readonly string[];
  readonly seed: number;
  readonly keep: boolean;
  readonly json: boolean;
  readonly replay?: string;
}

function readFlags(argv: readonly string[]): Flags | string {
  let values: {
    seconds: string;
    target?: string[];
    seed: string;
    keep: boolean;
    json: boolean;
    replay?: string;
    help: boolean;
  };
  try {
    values = parseArgs({
      args: [...argv],
      options: {
        seconds: { type: 'string', default: '60' },
        target: { type: 'string', multiple: true },
        seed: { type: 'string', default: '1' },
        keep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        replay: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return `fuzz: ${(error as Error).message}\n\n${usage}`;
  }
  if (values.help) return usage;
  const all = targetNames();
  const unknown = values.target?.find((name) => !all.includes(name));
  if (unknown !== undefined) return `fuzz: --target: found ${JSON.stringify(unknown)}, accepted: ${all.join(', ')}`;
  for (const name of ['seconds', 'seed'] as const)
    if (!/^[0-9]{1,6}$/.test(values[name]) || Number(values[name]) < 1)
      return `fuzz: --${name}: found ${JSON.stringify(values[name])}, accepted: a whole number from 1 to 999999`;
  if (values.replay !== undefined && values.target?.length !== 1) return 'fuzz: --replay needs one --target';
  const { seconds, target, seed, keep, json, replay } = values;
  return {
    seconds: Number(seconds),
    seed: Number(seed),
    targets: target ?? all,
    keep,
    json,
    ...(replay !== undefined && { replay }),
  };
}

/** One target in its thread; the thread is ended when an input takes too long. */
function huntInThread(work: Omit<Work, 'shared'>): Promise<Hunted> {
  const shared = new SharedArrayBuffer(sharedHead + (1 << 20));
  const head = new Int32Array(shared, 0, 2);
  const last = (): Uint8Array => new Uint8Array(shared, sharedHead, head[1]).slice();
  return new Promise((resolve) => {
    const worker = new Worker(join(import.meta.dirname, 'worker.ts'), {
      workerData: { ...work, shared } satisfies Work,
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    });
    let seen = -1;
    let sinceMs = performance.now();
    const settle = (hunted: Hunted): void => {
      clearInterval(timer);
      void worker.terminate();
      resolve(hunted);
    };
    const broken = (failure: Failure): void =>
      settle({ executions: head[0]!, perSecond: 0, edges: 0, growths: 0, corpus: [], failures: [failure] });
    const timer = setInterval(() => {
      const now = Atomics.load(head, 0);
      if (now !== seen) sinceMs = performance.now();
      seen = now;
      if (performance.now() - sinceMs < hangMs) return;
      broken({ kind: 'hang', message: `${head[1]} bytes: no end within ${hangMs / 1000} s`, input: last() });
    }, 250);
    worker.once('message', settle);
    worker.once('error', (error: NodeJS.ErrnoException) => {
      const memory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      const message = memory
        ? `more than ${memoryMb} MB of memory`
        : `outside of a run: ${error.stack ?? error.message}`;
      broken({ kind: memory ? 'memory' : 'error', message, input: last() });
    });
  });
}

interface Recipe {
  readonly head: string;
  readonly piece: string;
  readonly tail: string;
  readonly numberAt?: number;
}

/** Writes a failure down; returns the command that shows it again. */
function keepFailure(name: string, failure: Failure): string {
  mkdirSync(failuresFolder, { recursive: true });
  const { growing } = failure;
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const recipe: Recipe | undefined = growing && {
    ...growing,
    head: base64(growing.head),
    piece: base64(growing.piece),
    tail: base64(growing.tail),
  };
  const file = join(failuresFolder, `${name}-${failure.kind}-${hashOf(failure.input)}${recipe ? '.json' : '.bin'}`);
  writeFileSync(file, recipe ? JSON.stringify(recipe) : failure.input);
  return `npm run fuzz -- --target ${name} --replay ${relative(root, file)}`;
}

async function replay(name: string, file: string): Promise<number> {
  const target = await loadTarget(name);
  const bytes = new Uint8Array(readFileSync(join(root, file)));
  const began = performance.now();
  let found: string | undefined;
  if (file.endsWith('.json')) {
    const recipe = JSON.parse(Buffer.from(bytes).toString('utf8')) as Recipe;
    const decode = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
    const { head, piece, tail } = recipe;
    const growing: Growing = { ...recipe, head: decode(head), piece: decode(piece), tail: decode(tail) };
    found = await growsTooFast(target, growing);
  } else found = (await failureOf(target, bytes))?.stack;
  console.log(found ?? `${name}: no failure, ${(performance.now() - began).toFixed(1)} ms`);
  return found === undefined ? 0 : 1;
}

const columns = ['target', 'executions', 'a second', 'edges', 'grown', 'corpus', 'failures'];
const row = (cells: readonly (string | number)[]): string =>
  cells.map((cell, index) => (index === 0 ? String(cell).padEnd(20) : String(cell).padStart(11))).join('');

async function main(flags: Flags): Promise<number> {
  if (flags.replay !== undefined) return await replay(flags.targets[0]!, flags.replay);
  if (!flags.json)
    console.log(`seed ${flags.seed}, ${flags.seconds} s over ${flags.targets.length} targets\n${row(columns)}`);
  const until = performance.now() + flags.seconds * 1000;
  let failed = 0;
  let executions = 0;
  for (const [index, name] of flags.targets.entries()) {
    // Starting a thread takes time too: what one target took too much is taken off the rest.
    const forMs = Math.max(500, (until - performance.now()) / (flags.targets.length - index) - 400);
    const hunted = await huntInThread({ name, seed: flags.seed, forMs });
    const { corpus, failures } = hunted;
    executions += hunted.executions;
    failed += failures.length;
    const told = failures.map((failure) => ({ ...failure, again: keepFailure(name, failure) }));
    if (flags.keep && failures.length === 0) writeCorpus(name, corpus);
    if (flags.json) {
      const { perSecond, edges, growths } = hunted;
      const shown = told.map(({ kind, message, again }) => ({ kind, message, again }));
      const line = { target: name, executions: hunted.executions, perSecond, edges, growths };
      console.log(JSON.stringify({ ...line, corpus: corpus.length, failures: shown }));
      continue;
    }
    const numbers = [hunted.executions, hunted.perSecond, hunted.edges, hunted.growths, corpus.length, failures.length];
    console.log(row([name, ...numbers]));
    for (const { kind, message, again } of told) console.log(`  ${kind}: ${message}\n  again: ${again}`);
  }
  if (!flags.json) console.log(`${executions} executions, ${failed === 0 ? 'no failures' : `${failed} failures`}`);
  return failed === 0 ? 0 : 1;
}

const flags = readFlags(process.argv.slice(2));
if (typeof flags === 'string') {
  console.error(flags);
  process.exitCode = 2;
} else process.exitCode = await main(flags);
