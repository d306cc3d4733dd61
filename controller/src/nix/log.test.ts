import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { type NixLog, nixLog, storeName } from './log.ts';
import { parseNixLog } from './log-format.ts';
import type { NixProgress } from './types.ts';

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8').split('\n');
function replay(lines: readonly string[], stepMs: number): { log: NixLog; progress: NixProgress[] } {
  const log = nixLog();
  const progress: NixProgress[] = [];
  lines.forEach((line, i) => {
    const one = log.line(line, i * stepMs);
    if (one) progress.push(one);
  });
  return { log, progress };
}

for (const version of ['2.8', '2.26']) {
  test(`a build of nix ${version} that failed names the derivation and its last lines`, () => {
    const { log, progress } = replay(fixture(`build-${version}.log`), 300);
    const failures = log.failures();
    assert.equal(failures.length, 1);
    assert.match(failures[0]!.drv, /-dep-bad\.drv$/);
    assert.match(failures[0]!.text, /^builder for '.*-dep-bad\.drv' failed with exit code 3$/);
    assert.deepEqual(failures[0]!.log, ['line one', 'no compiler here']);
    // The one that only waited for it is told, and isn't a culprit.
    assert.match(log.told(), /dependencies of derivation '.*top-fails\.drv' failed/);
    assert.equal(log.builds, 4);
    assert.ok(progress.some((one) => one.text.startsWith('building ') && one.unit === 'builds'));
    assert.equal(progress.at(-1)!.done, 3);
    assert.equal(progress.at(-1)!.total, 5);
  });

  test(`the evaluation error of nix ${version} is the bare text`, () => {
    const { log } = replay(fixture(`eval-error-${version}.log`), 300);
    assert.match(log.errorText(), /^cannot coerce an integer to a string/);
    assert.doesNotMatch(log.errorText(), /while|\u001b/);
  });

  test(`a substitution of nix ${version} counts its bytes`, () => {
    const { progress } = replay(fixture(`substitute-${version}.log`), 300);
    const copies = progress.filter((one) => one.text.startsWith('copying '));
    assert.ok(copies.some((one) => one.text === 'copying linux-toy'));
    assert.ok(copies.every((one) => one.unit === 'bytes'));
    const most = Math.max(...copies.map((one) => one.done ?? 0));
    assert.ok(most > 5_000_000 && most < 5_200_000, String(most));
    for (const one of copies) assert.ok(one.done! <= one.total!);
  });
}

test('at most four updates a second, however much nix prints', () => {
  const lines = [
    '@nix {"action":"start","id":1,"type":101,"level":4,"text":"downloading \'https://example.org/x.tar.gz\'","fields":["x"]}',
    ...Array.from(
      { length: 3_600 },
      (_, i) => `@nix {"action":"result","id":1,"type":105,"fields":[${i * 65_536},235929600,0,0]}`,
    ),
  ];
  // A second in all.
  const { progress } = replay(lines, 1_000 / 3_601);
  assert.ok(progress.length <= 4, String(progress.length));
  assert.equal(progress[0]!.unit ?? 'bytes', 'bytes');
});

test('the form of newer versions: the reason below the derivation, and waiting for a dependency', () => {
  const log = nixLog();
  const message = (msg: string) =>
    log.line(`@nix ${JSON.stringify({ action: 'msg', level: 0, msg, raw_msg: msg })}`, 0);
  message(
    "Cannot build '/nix/store/1566qws0l4c0x0v63w0m5bmlzi93zqg2-dep-bad.drv'.\nReason: builder failed with exit code 3.\nLast 2 log lines:\n> line one\n> no compiler here",
  );
  message("Cannot build '/nix/store/fx38c33cl6z6zj44xzz9r1c13pl18sf3-top.drv'.\nReason: 1 dependency failed.");
  message("build of resolved derivation '/nix/store/fx38c33cl6z6zj44xzz9r1c13pl18sf3-top.drv' failed");
  const failures = log.failures();
  assert.deepEqual(
    failures.map((one) => storeName(one.drv)),
    ['dep-bad'],
  );
  assert.deepEqual(failures[0]!.log, ['line one', 'no compiler here']);
});

test('what is kept is bounded', () => {
  const log = nixLog();
  for (let i = 0; i < 20_000; i++) {
    log.line(`@nix {"action":"start","id":${i},"type":105,"text":"","fields":["/nix/store/${i}.drv"]}`, 0);
    log.line(`@nix {"action":"result","id":${i},"type":101,"fields":["${'x'.repeat(5_000)}"]}`, 0);
    log.line(`plain text ${i} ${'y'.repeat(5_000)}`, 0);
    log.line(`@nix {"action":"msg","level":0,"msg":"error: builder for '/nix/store/${i}.drv' failed"}`, 0);
  }
  assert.ok(log.failures().length <= 1_000);
  assert.ok(log.told().length < 2_000_000);
});

test('any line is taken without a throw, and what it gives has the promised shape', () => {
  const field = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.object());
  const entry = fc.record(
    {
      action: fc.constantFrom('start', 'stop', 'result', 'msg', 'other'),
      id: fc.oneof(fc.nat(5), fc.string()),
      type: fc.oneof(fc.constantFrom(100, 101, 102, 103, 104, 105, 106, 107, 108, 112, 113), fc.string()),
      text: fc.oneof(fc.string(), fc.constant(7)),
      level: fc.oneof(fc.nat(7), fc.string()),
      msg: fc.oneof(fc.string(), fc.constantFrom("error: builder for '/nix/store/x.drv' failed", 'error: x')),
      raw_msg: fc.string(),
      fields: fc.oneof(fc.array(field), fc.string()),
    },
    { requiredKeys: [] },
  );
  const line = fc.oneof(
    fc.string(),
    fc.string().map((text) => `@nix ${text}`),
    entry.map((value) => `@nix ${JSON.stringify(value)}`),
    fc.json().map((text) => `@nix ${text}`),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
      const { log, progress } = replay(lines, 300);
      for (const one of progress) {
        assert.equal(typeof one.text, 'string');
        assert.doesNotMatch(one.text, /\u001b/);
        if (one.unit) assert.ok(Number.isFinite(one.done) && Number.isFinite(one.total));
      }
      for (const failure of log.failures()) assert.match(failure.drv, /^\/nix\/store\/.*\.drv$/);
    }),
  );
});

test('a line of this format is read as it was written', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(),
      fc.string(),
      fc.array(fc.oneof(fc.integer(), fc.string())),
      (id, type, text, fields) => {
        assert.deepEqual(
          parseNixLog(`@nix ${JSON.stringify({ action: 'start', id, type, text, fields, parent: 1 })}`),
          {
            kind: 'start',
            id,
            type,
            text,
            fields,
          },
        );
      },
    ),
  );
  assert.equal(parseNixLog('building …'), undefined);
  assert.equal(parseNixLog('@nix {"action":'), undefined);
});
