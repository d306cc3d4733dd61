// Closes a test run: the ten slowest tests, the skipped ones with their reasons, and a plain last line `N passed, N failed, N skipped`.

const shown = 10;

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* reporter(source) {
  const slowest = [];
  const skipped = [];
  let counts;
  for await (const { type, data } of source) {
    if (type === 'test:pass' || type === 'test:fail') {
      if (data.skip !== undefined) skipped.push({ name: data.name, why: data.skip });
      else if (data.details?.type !== 'suite')
        slowest.push({ name: data.name, file: data.file, ms: data.details?.duration_ms ?? 0 });
      if (slowest.length > 1000) keep(slowest);
    }
    // Each file gives a summary of its own; the one of the whole run names no file.
    if (type === 'test:summary' && data.file === undefined) counts = data.counts;
  }
  keep(slowest);
  yield `\nThe ${slowest.length} slowest tests\n`;
  for (const { name, file, ms } of slowest) {
    yield `${(ms / 1000).toFixed(1).padStart(8)} s  ${name}${file === undefined ? '' : `  (${file.replace(`${process.cwd()}/`, '')})`}\n`;
  }
  if (skipped.length > 0) yield '\nSkipped\n';
  for (const { name, why } of skipped) yield `  ${name}: ${why === true ? 'no reason given' : why}\n`;
  if (counts === undefined) yield '\n0 passed, 1 failed, 0 skipped (the run did not reach its end)\n';
  else
    yield `\n${counts.passed} passed, ${counts.failed + counts.cancelled} failed, ${counts.skipped + counts.todo} skipped\n`;
}

function keep(tests) {
  tests.sort((a, b) => b.ms - a.ms);
  tests.length = Math.min(tests.length, shown);
}
