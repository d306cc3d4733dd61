import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { type HostLine, origins } from '../machine/host-line.ts';
import { ends, waySteps } from '../machine/stage.ts';
import { type LogFilesOptions, openLogFiles } from './log-files.ts';
import { logFileName, logFilesOf, makeRunLogs, runFolders, sweepRuns } from './log-folders.ts';
import { lineText, readLine } from './log-format.ts';
import { linesOf, linesOfFiles } from './log-reader.ts';
import { beginRunLogs } from './run-logs.ts';

function folderOf(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'nixie-logs-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function open(t: TestContext, more: Partial<LogFilesOptions> = {}) {
  const folder = makeRunLogs(folderOf(t), 0);
  const troubles: string[] = [];
  let ticks = 0;
  const files = openLogFiles({
    folder,
    onTrouble: (text) => troubles.push(text),
    ticks: () => ticks,
    lossLine: (lines, why) => `lost ${lines}: ${why}\n`,
    leaveFreeBytes: 0,
    ...more,
  });
  t.after(() => files.close());
  return {
    files,
    folder,
    troubles,
    pass: (ms: number) => {
      ticks += ms;
    },
  };
}

const line = (text: string, more: Partial<HostLine> = {}): HostLine => ({
  at: 1_700_000_000_123,
  stage: 'copy',
  origin: 'journal',
  source: 'sshd.service',
  text,
  ...more,
});

test('a line is read as it was written', () => {
  assert.equal(
    lineText(line('hi: there', { severity: 3 })),
    '2023-11-14T22:13:20.123Z copy journal/3 sshd.service: hi: there',
  );
  const text = fc.string({ unit: 'binary', maxLength: 40 }).map((each) => each.replace(/[\n\r]/g, ''));
  fc.assert(
    fc.property(
      fc.record(
        {
          at: fc.integer({ min: 0, max: 4e12 }),
          stage: fc.constantFrom(...waySteps, ...ends),
          origin: fc.constantFrom(...origins),
          source: text,
          text,
          severity: fc.integer({ min: 0, max: 7 }),
        },
        { requiredKeys: ['at', 'stage', 'origin', 'source', 'text'] },
      ),
      (given) => {
        assert.deepEqual(readLine(lineText(given)), { ...given, source: given.source.replaceAll(':', '_') });
      },
    ),
  );
  for (const odd of ['', 'x', '2023-11-14T22:13:20.123Z copy nobody x: y', '2023-99-14T22:13:20.123Z copy core x: y'])
    assert.equal(readLine(odd), undefined);
  fc.assert(fc.property(fc.string(), (any) => void readLine(any)));
});

test('names stay in the folder, and no two hosts share a file', () => {
  assert.equal(logFileName('web-1.example_x'), 'web-1.example_x.log');
  assert.equal(logFileName(undefined), '_run.log');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ minLength: 1 }), (one, other) => {
      assert.match(logFileName(one), /^[A-Za-z0-9%-][A-Za-z0-9._%-]*\.log$/);
      if (one.toWellFormed() === one && one !== other) assert.notEqual(logFileName(one), logFileName(other));
    }),
  );
  for (const name of ['..', '../x', '.hidden', '_run', '/etc/passwd']) assert.match(logFileName(name), /^%/);
});

test('files are for their owner alone; they hold the lines in order', async (t) => {
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const { files, folder } = open(t);
  files.write('m1', ['a\n', 'b\n']);
  files.write('m2', ['x\n']);
  files.write('m1', ['c\n']);
  files.write(undefined, ['run\n']);
  await files.close();
  files.write('m1', ['too late\n']);
  assert.equal(readFileSync(join(folder, 'm1.log'), 'utf8'), 'a\nb\nc\n');
  assert.deepEqual(readdirSync(folder).sort(), ['_run.log', 'm1.log', 'm2.log']);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, 'm1.log')).mode & 0o777, 0o600);
});

test('a reader gets what was written before he asked, and nothing that comes later, also over a change of files', async (t) => {
  const { files } = open(t, { largestBytes: 1, mostBytes: 1 });
  const said = (count: number, from: number) =>
    Array.from({ length: count }, (_, i) => `${lineText(line(`${from + i} ${'x'.repeat(1000)}`))}\n`);
  files.write('m1', said(300, 0));
  await files.read('m1').then((all) => Promise.all(all.map(({ file }) => file.close())));
  files.write('m1', said(10, 300));
  const asked = files.read('m1');
  files.write('m1', said(10, 310));
  const got: string[] = [];
  for (const { file, bytes } of await asked)
    for await (const lines of linesOf(file, bytes, {})) got.push(...lines.map(({ text }) => text.split(' ')[0]!));
  assert.deepEqual(
    got,
    Array.from({ length: 310 }, (_, i) => String(i)),
  );
  assert.deepEqual(await files.read('nobody'), []);
});

test('a host that says too much loses its oldest lines, not the disk', async (t) => {
  const { files, folder } = open(t, { largestBytes: 1, mostBytes: 1 });
  for (let i = 0; i < 12; i++) {
    files.write('m1', [`${'y'.repeat(100_000)}\n`]);
    for (const { file } of await files.read('m1')) await file.close();
  }
  await files.close();
  assert.deepEqual(readdirSync(folder).sort(), ['m1.log', 'm1.log.1']);
  const sum = readdirSync(folder).reduce((bytes, name) => bytes + statSync(join(folder, name)).size, 0);
  assert.ok(sum <= 2 * (256 * 1024 + 100_001), `${sum}`);
});

test('a full disk costs lines, which are counted; it is tried again later', async (t) => {
  let free = 0;
  const { files, folder, troubles, pass } = open(t, { leaveFreeBytes: 100, freeBytes: () => free });
  const turn = async () => {
    for (const { file } of await files.read('m1')) await file.close();
  };
  files.write('m1', ['a\n', 'b\n']);
  await turn();
  files.write('m1', ['c\n']);
  await turn();
  assert.match(troubles.join('\n'), /^write logs to .*: only 0 MiB are free; what is said until/);
  assert.equal(files.lost, 3);
  free = 1000;
  files.write('m1', ['d\n']);
  await turn();
  assert.equal(existsSync(join(folder, 'm1.log')), false);
  pass(10_001);
  files.write('m1', ['e\n']);
  await turn();
  assert.equal(readFileSync(join(folder, 'm1.log'), 'utf8'), 'lost 4: only 0 MiB are free\ne\n');
  assert.match(troubles[1]!, /are written to .* again; 4 lines are missing$/);
});

test('a folder that is gone, and a link in place of a file, cost lines and nothing else', async (t) => {
  const { files, folder, troubles } = open(t);
  writeFileSync(join(folder, 'victim'), 'safe');
  symlinkSync(join(folder, 'victim'), join(folder, 'm1.log'));
  files.write('m1', ['a\n']);
  await files.read('m1').catch(() => []);
  assert.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'safe');
  assert.match(troubles[0]!, /ELOOP/);
  rmSync(folder, { recursive: true });
  files.write('m2', ['a\n']);
  await files.close();
  assert.equal(troubles.length, 1);
});

test('what waits for the disk is bounded; who asks for room waits until there is some', async (t) => {
  const { files, folder } = open(t, { mostWaiting: 1000 });
  await files.room();
  for (let i = 0; i < 20; i++) files.write('m1', [`${String(i).padStart(99)}\n`]);
  assert.equal(files.lost, 10);
  let room = false;
  const waited = files.room().then(() => {
    room = true;
  });
  await Promise.resolve();
  assert.equal(room, false);
  await files.close();
  await waited;
  const lines = readFileSync(join(folder, 'm1.log'), 'utf8').split('\n');
  assert.equal(lines[0], 'lost 10: too many at once');
  assert.equal(lines.length, 12);
});

test('runs have folders by their time; the oldest are removed, and nothing else', (t) => {
  const logDir = join(folderOf(t), 'logs');
  const day = (n: number) => Date.UTC(2026, 0, n);
  const made = [1, 2, 2, 3].map((n) => makeRunLogs(logDir, day(n)));
  assert.deepEqual(
    made.map((each) => each.slice(logDir.length + 1)),
    ['20260101T000000Z', '20260102T000000Z', '20260102T000000Z-1', '20260103T000000Z'],
  );
  assert.deepEqual(runFolders(logDir), [...made].reverse());
  mkdirSync(join(logDir, 'mine'));
  symlinkSync(join(logDir, 'mine'), join(logDir, '20250101T000000Z'));
  for (const folder of made) {
    writeFileSync(join(folder, 'm1.log'), 'x'.repeat(1000));
    for (const path of [join(folder, 'm1.log'), folder]) utimesSync(path, 5, 5);
  }
  const keep = { mostRuns: 3, mostBytes: 1e9, untouchedMs: 1000 };
  assert.deepEqual(sweepRuns(logDir, { ...keep, untouchedMs: 1e15 }, day(9)), []);
  assert.equal(runFolders(logDir).length, 4);
  sweepRuns(logDir, keep, day(9));
  assert.deepEqual(runFolders(logDir), [made[3], made[2], made[1]]);
  sweepRuns(logDir, { ...keep, mostBytes: 1500 + 4096 }, day(9));
  assert.deepEqual(runFolders(logDir), [made[3]]);
  assert.deepEqual(readdirSync(logDir).sort(), ['20250101T000000Z', '20260103T000000Z', 'mine']);
  assert.deepEqual(sweepRuns(join(logDir, 'nowhere'), keep, 0), []);
});

test('files are read with a filter, whatever else is in them', async (t) => {
  const folder = folderOf(t);
  const texts = [
    lineText(line('one', { at: 1000 })),
    'torn',
    '\u001b[31m\u0000'.repeat(50),
    'x'.repeat(200_000),
    lineText(line('ü two', { at: 2000, stage: 'disko' })),
    lineText(line('three', { at: 3000 })),
    'no line end',
  ];
  writeFileSync(join(folder, 'm1.log'), texts.join('\n'));
  const read = async (filter = {}) => {
    const found: string[] = [];
    for await (const lines of linesOfFiles(logFilesOf(folder, 'm1'), filter))
      found.push(...lines.map(({ text }) => text));
    return found;
  };
  assert.deepEqual(await read(), ['one', 'ü two', 'three']);
  assert.deepEqual(await read({ since: 2000 }), ['ü two', 'three']);
  assert.deepEqual(await read({ since: 2000, stage: 'copy' }), ['three']);
  await assert.rejects(async () => {
    for await (const _ of linesOfFiles([join(folder, 'none')], {}));
  }, /^Error: read .*none: ENOENT/);
});

test('where no folder can be made a run goes on without', (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'file'), '');
  const told: string[] = [];
  const begin = (logDir: string) =>
    beginRunLogs({ logDir, now: () => 0, ticks: () => 0, warn: (text) => told.push(text) });
  assert.equal(begin(join(folder, 'file')), undefined);
  assert.match(told[0]!, /^make log folder in .*file: .*; this run goes on without log files$/);
  chmodSync(folder, 0o700);
  assert.equal(begin(join(folder, 'logs'))?.folder, join(folder, 'logs/19700101T000000Z'));
});
