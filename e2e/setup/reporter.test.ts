import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const reporter = fileURLToPath(new URL('./reporter.mjs', import.meta.url));

/** Runs files of tests with the spec reporter and ours, as `npm test` does. */
function runTests(files: Readonly<Record<string, string>>): { status: number | null; lines: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-reporter-'));
  try {
    const head = "import test from 'node:test'; import assert from 'node:assert';\n";
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), head + text);
    const options = ['spec', reporter].flatMap((name) => [
      `--test-reporter=${name}`,
      '--test-reporter-destination=stdout',
    ]);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env; // else it would report to the runner that runs this test
    const ran = spawnSync(process.execPath, ['--test', ...options, ...Object.keys(files)], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
      env,
    });
    return { status: ran.status, lines: ran.stdout.trimEnd().split('\n') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the last line counts over all files, and the exit status is right', () => {
  const { status, lines } = runTests({
    'a.test.mjs': "test('one', () => {}); test('two', { skip: 'no tap device' }, () => {});",
    'b.test.mjs': "test('three', () => {}); test('four', () => assert.equal(1, 2));",
  });
  assert.equal(lines.at(-1), '2 passed, 1 failed, 1 skipped');
  assert.equal(status, 1);
  assert.ok(lines.includes('  two: no tap device'), 'the reason of a skip is told');
});

test('a test that was cancelled counts as failed', () => {
  const { status, lines } = runTests({
    'a.test.mjs': "test('outer', async (t) => { t.test('inner', { timeout: 5 }, () => new Promise(() => {})); });",
  });
  assert.match(lines.at(-1) ?? '', /^0 passed, [12] failed, 0 skipped$/);
  assert.equal(status, 1);
});

test('a file that cannot be loaded is a failure', () => {
  const { status, lines } = runTests({ 'a.test.mjs': 'nonsense(' });
  assert.equal(lines.at(-1), '0 passed, 1 failed, 0 skipped');
  assert.equal(status, 1);
});

test('all green is exit status 0 and lists the slowest tests', () => {
  const { status, lines } = runTests({
    'a.test.mjs':
      "test('quick', () => {}); test('slow', async () => { const end = Date.now() + 120; while (Date.now() < end); });",
  });
  assert.equal(status, 0);
  assert.equal(lines.at(-1), '2 passed, 0 failed, 0 skipped');
  const head = lines.indexOf('The 2 slowest tests');
  const listed = lines.slice(head + 1, head + 3).map((line) => /^ +(\d+\.\d) s {2}(\w+) /.exec(line) ?? []);
  const seconds = new Map(listed.map(([, time, name]) => [name, Number(time)]));
  // On a busy computer both take longer, and any of them the longest.
  assert.deepEqual([...seconds.keys()].sort(), ['quick', 'slow']);
  assert.ok(seconds.get('slow')! >= 0.1, lines.join('\n'));
  const [first, second] = [...seconds.values()];
  assert.ok(first! >= second!, lines.join('\n'));
});
