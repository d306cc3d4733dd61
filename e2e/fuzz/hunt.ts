// The search in one target: inputs that run new blocks are kept, those that break it are made small, and inputs are grown to see whether
// the time grows with them.
import type { Coverage } from './coverage.ts';
import { costOf, type Growing, growsTooFast, randomGrowing } from './growth.ts';
import { mutate, randomOf } from './mutate.ts';
import { bytesOf, failureOf, type Target } from './target.ts';

export interface Failure {
  /** `hang` and `memory` are seen from outside of the thread. */
  readonly kind: 'error' | 'slow' | 'growth' | 'hang' | 'memory';
  readonly message: string;
  readonly input: Uint8Array;
  readonly growing?: Growing;
}

export interface HuntOptions {
  readonly corpus: readonly Uint8Array[];
  readonly seed: number;
  readonly coverage: Coverage;
  /** Of the whole search; a fifth of it measures growth. */
  readonly forMs: number;
  /** Ends the search for blocks earlier. */
  readonly mostExecutions?: number;
  /** Growth is not measured. */
  readonly blocksOnly?: boolean;
  /** Ends at the first failure. */
  readonly firstFailure?: boolean;
  /** Told of each input before it is run. */
  readonly before?: (input: Uint8Array) => void;
}

export interface Hunted {
  readonly executions: number;
  /** While searching for blocks. */
  readonly perSecond: number;
  readonly edges: number;
  readonly growths: number;
  /** The smallest inputs that together run all blocks; seeds are left out. */
  readonly corpus: readonly Uint8Array[];
  readonly failures: readonly Failure[];
}

const longest = 4096;
const mostFailures = 10;
/** One input of at most `longest` bytes, without coverage. */
const slowMs = 100;
const minimiseTries = 600;

export async function hunt(target: Target, options: HuntOptions): Promise<Hunted> {
  const { coverage, forMs, before = () => {}, mostExecutions = Number.POSITIVE_INFINITY } = options;
  const random = randomOf(options.seed);
  const dictionary = target.dictionary.map(bytesOf);
  const kept: Uint8Array[] = [...target.seeds, ...options.corpus];
  const failures = new Map<string, Failure>();
  const began = performance.now();
  const growFrom = began + forMs * 0.8;
  let executions = 0;

  const one = async (input: Uint8Array): Promise<void> => {
    executions++;
    before(input);
    const from = performance.now();
    const error = await failureOf(target, input);
    if (failures.size >= mostFailures) return;
    if (error !== undefined) {
      const key = keyOf(error);
      if (failures.has(key)) return;
      const small = await minimise(target, input, key, before);
      const shown = (await failureOf(target, small)) ?? error;
      failures.set(key, { kind: 'error', message: `${shown.name}: ${shown.message}\n${frames(shown)}`, input: small });
    } else if (performance.now() - from > slowMs * 4 && !failures.has('slow')) {
      coverage.stop();
      let ms = Number.POSITIVE_INFINITY;
      for (let tries = 0; tries < 3; tries++) ms = Math.min(ms, await costOf(target, input));
      coverage.start();
      if (ms > slowMs)
        failures.set('slow', { kind: 'slow', message: `${input.length} bytes take ${ms.toFixed(0)} ms`, input });
    }
  };
  const over = (): boolean =>
    performance.now() >= growFrom ||
    executions >= mostExecutions ||
    (options.firstFailure === true && failures.size > 0);

  coverage.start();
  for (const input of [...kept]) await one(input);
  coverage.poll();
  let batch = 16;
  while (!over()) {
    const from = performance.now();
    const inputs: Uint8Array[] = [];
    for (let index = 0; index < batch && !over(); index++) {
      // What was found last is built upon more often.
      const recent = random(3) === 0 ? Math.max(0, kept.length - 8) : 0;
      const base = kept[recent + random(kept.length - recent)] ?? new Uint8Array(0);
      const input = mutate(base, random, { corpus: kept, dictionary, longest });
      inputs.push(input);
      await one(input);
    }
    const spent = performance.now() - from;
    if (spent < 40 && batch < 512) batch *= 2;
    else if (spent > 160 && batch > 4) batch /= 2;
    if (!coverage.poll(false)) continue;
    for (const input of inputs) {
      await one(input);
      if (coverage.poll()) kept.push(input);
    }
  }
  const huntedMs = performance.now() - began;
  const edges = coverage.edges;
  const corpus = await distil(target, kept, coverage, before);
  coverage.stop();

  let growths = 0;
  while (
    options.blocksOnly !== true &&
    performance.now() < began + forMs &&
    !(options.firstFailure === true && failures.size > 0)
  ) {
    growths++;
    const growing = randomGrowing(kept, dictionary, random);
    const message = await growsTooFast(target, growing, before);
    if (message === undefined || failures.size >= mostFailures) continue;
    // The same cause shows with many pieces: two are enough to work with.
    const key = `growth ${[...failures.keys()].filter((each) => each.startsWith('growth')).length % 2}`;
    if (!failures.has(key)) failures.set(key, { kind: 'growth', message, input: growing.piece, growing });
  }
  return {
    executions,
    perSecond: Math.round((executions / huntedMs) * 1000),
    edges,
    growths,
    corpus,
    failures: [...failures.values()],
  };
}

/** Seeds first, then the shortest: each that still runs a new block is kept. */
async function distil(
  target: Target,
  kept: readonly Uint8Array[],
  coverage: Coverage,
  before: (input: Uint8Array) => void,
): Promise<Uint8Array[]> {
  coverage.poll();
  coverage.forget();
  for (const seed of target.seeds) {
    before(seed);
    await failureOf(target, seed);
  }
  coverage.poll();
  const rest = kept.slice(target.seeds.length).sort((a, b) => a.length - b.length);
  const wanted: Uint8Array[] = [];
  for (const input of rest) {
    before(input);
    await failureOf(target, input);
    if (coverage.poll()) wanted.push(input);
  }
  return wanted;
}

/** Errors of one kind from one place are one failure. */
function keyOf(error: Error): string {
  return `${error.name} ${frames(error).split('\n')[0]} ${error.name === 'Broken' ? error.message.slice(0, 60) : ''}`;
}

function frames(error: Error): string {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return lines
    .filter((line) => !line.includes('node:internal') && !line.includes('/e2e/fuzz/target.ts'))
    .slice(0, 4)
    .join('\n');
}

/** Takes away what is not needed for the same failure: halves, quarters, … single octets. */
async function minimise(
  target: Target,
  input: Uint8Array,
  key: string,
  before: (input: Uint8Array) => void,
): Promise<Uint8Array> {
  let best = input;
  let tries = 0;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.length && tries < minimiseTries; ) {
      const smaller = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + size)]);
      tries++;
      before(smaller);
      const error = await failureOf(target, smaller);
      if (error !== undefined && keyOf(error) === key) best = smaller;
      else at += size;
    }
  }
  return best;
}
