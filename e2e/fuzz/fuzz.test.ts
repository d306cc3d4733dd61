// The corpus once through all decoders, the search on faults that were put there, and that no decoder was forgotten.
import assert from 'node:assert/strict';
import test from 'node:test';
import { read, trackedFiles } from '../house/tracked.ts';
import { loadTarget, mostCorpusBytes, readCorpus, targetNames } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { growsTooFast } from './growth.ts';
import { hunt } from './hunt.ts';
import { decodeWithBug, parseTooSlowly } from './planted.ts';
import { bytesOf, failureOf, type Target, text } from './target.ts';

const coverage = new Coverage();
test.after(() => coverage.close());

const planted = (run: Target['run'], ...seeds: string[]): Target => ({
  name: 'planted',
  seeds: seeds.map(bytesOf),
  dictionary: [],
  allowed: [],
  run,
});

test('the search finds a fault four conditions deep, and makes the input small', async () => {
  const options = {
    corpus: [],
    seed: 1,
    coverage,
    forMs: 600_000,
    mostExecutions: 200_000,
    firstFailure: true,
    blocksOnly: true,
  };
  const hunted = await hunt(planted(decodeWithBug, 'hello'), options);
  const [failure] = hunted.failures;
  assert.match(failure?.message ?? `nothing in ${hunted.executions} executions`, /^TypeError: planted/);
  assert.equal(failure!.input.length >= 6 && failure!.input.length < 40, true);
  assert.ok(hunted.edges >= 5);
  assert.ok(hunted.corpus.length >= 2);
});

test('time that grows with the square of the input is found, even growth is not', async () => {
  const growing = { head: bytesOf('{'), piece: bytesOf('a '), tail: bytesOf('}') };
  const slow = planted((bytes) => parseTooSlowly(text(bytes)));
  assert.match(
    (await growsTooFast(slow, growing)) ?? 'nothing',
    /^time grows faster than the input: .*repeated is "a "/,
  );
  const even = planted((bytes) => text(bytes).split(' ').join(',').length);
  assert.equal(await growsTooFast(even, growing), undefined);
});

test('the same seed gives the same inputs', async () => {
  const run = async (): Promise<string[]> => {
    const seen: string[] = [];
    const target = planted((bytes) => seen.push(Buffer.from(bytes).toString('hex')), 'hello world');
    await hunt(target, { corpus: [], seed: 7, coverage, forMs: 120_000, mostExecutions: 50, blocksOnly: true });
    return seen.slice(0, 50);
  };
  const before = await run();
  assert.equal(before.length, 50);
  assert.deepEqual(await run(), before);
});

test('the corpus is small, and every input of it is taken by its decoder', async () => {
  coverage.forget();
  coverage.start();
  coverage.poll(false);
  let all = 0;
  for (const name of targetNames()) {
    const target = await loadTarget(name);
    assert.equal(target.name, name);
    const corpus = readCorpus(name);
    const bytes = corpus.reduce((sum, input) => sum + input.length, 0);
    assert.ok(bytes <= mostCorpusBytes, `${name}: ${bytes} bytes`);
    all += bytes;
    for (const input of [...target.seeds, ...corpus]) {
      const error = await failureOf(target, input);
      assert.equal(
        error,
        undefined,
        `${name}: ${Buffer.from(input).toString('base64').slice(0, 300)}\n${error?.stack}`,
      );
    }
  }
  coverage.poll();
  coverage.stop();
  assert.ok(all < 1_000_000 && all > 10_000);
});

/** Decoders by name that no target runs, and why. */
const leftOut: Readonly<Record<string, string>> = {
  'agent/src/inventory/image.ts#reader': 'for tests',
  'agent/src/inventory/kernel-errors.ts#readKernelErrors': 'opens a device; readKernelRecord decodes what it holds',
  'agent/src/inventory/kernel-memory.ts#readNow': 'the bytes of a file as they are',
  'agent/src/kmsg.ts#readOne': 'the bytes of a record as they are',
};

test('every reader of what comes from outside is run by a target', () => {
  const places = /^(?:controller\/src\/(?:wire|explain|nix|config)|agent\/src)\/.*\.ts$/;
  const exported = trackedFiles()
    .filter((path) => places.test(path) && !path.endsWith('.test.ts'))
    .flatMap((path) =>
      [...read(path).matchAll(/^export (?:async )?function ((?:decode|parse|read)\w*)/gm)].map(
        (match) => `${path}#${match[1]}`,
      ),
    );
  assert.ok(exported.length > 50);
  const ran = new Set(
    [...coverage.functions].map((entry) => entry.replace(/^.*\/(?=(?:controller|agent)\/src\/)/, '')),
  );
  assert.deepEqual(
    exported.filter((entry) => !ran.has(entry) && leftOut[entry] === undefined),
    [],
  );
  assert.deepEqual(
    Object.keys(leftOut).filter((entry) => ran.has(entry)),
    [],
    'left out and run all the same',
  );
});
