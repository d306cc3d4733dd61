import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { realClock } from './host.ts';
import { followJournal } from './journal.ts';
import { readJournalLine } from './journal-line.ts';
import { LogQueue } from './log-queue.ts';

const entry = (more: object): string =>
  JSON.stringify({ __MONOTONIC_TIMESTAMP: '5123456', MESSAGE: 'hello', _PID: '7', ...more });
const read = (more: object, pid = 1) => readJournalLine(entry(more), pid).line;

test('kernel, unit and identifier name the source; our own lines are left out', () => {
  assert.deepEqual(read({ _TRANSPORT: 'kernel', PRIORITY: '4' }), {
    monotonicMs: 5123.456,
    severity: 4,
    source: 'kernel',
    text: 'hello',
  });
  assert.equal(read({ _SYSTEMD_UNIT: 'sshd.service', SYSLOG_IDENTIFIER: 'sshd' })?.source, 'sshd.service');
  assert.equal(read({ SYSLOG_IDENTIFIER: 'x', PRIORITY: '9' })?.source, 'x');
  assert.equal(read({ PRIORITY: '9' })?.severity, undefined);
  assert.deepEqual(readJournalLine(entry({ __CURSOR: 's=1' }), 7), { cursor: 's=1' });
  assert.equal(read({ MESSAGE: [104, 105, 195, 188] })?.text, 'hiü');
  assert.equal(read({ MESSAGE: ['first', 'second'] })?.text, 'first');
  assert.equal(read({ MESSAGE: [[104, 105], [1]] })?.text, 'hi');
  for (const odd of [null, [256], [1.5], {}, 5, [{}]]) assert.equal(read({ MESSAGE: odd }), undefined);
});

test('of a line that was cut what is whole is read, and the beginning of the message', () => {
  const long = entry({ __CURSOR: 's=1;i=2', _TRANSPORT: 'kernel', MESSAGE: `"quoted" \\ü${'x'.repeat(100)}` });
  for (let cut = long.length - 1; cut > 0; cut--) {
    const { line } = readJournalLine(long.slice(0, cut), 1);
    if (line !== undefined) assert.ok('"quoted" \\ü'.startsWith(line.text) || line.text.startsWith('"quoted" \\ü'));
  }
  const front = `{"__CURSOR":"s=1;i=2","_TRANSPORT":"kernel","__MONOTONIC_TIMESTAMP":"7000","MESSAGE":`;
  const cut = readJournalLine(`${front}"a\\u00fc\\"_PID\\":\\"1\\" ${'y'.repeat(90_000)}`, 1).line;
  assert.deepEqual([cut?.monotonicMs, cut?.source, cut?.text.slice(0, 15)], [7, 'kernel', 'aü"_PID":"1" yy']);
  assert.ok(cut!.text.length > 8192 && cut!.text.length < 65_536);
  const octets = readJournalLine(`${front}[ 104, 105, 255, 1`, 1);
  assert.deepEqual([octets.cursor, octets.line?.text], ['s=1;i=2', 'hi\ufffd']);
});

test('no text makes it throw', () => {
  const anywhere = fc.tuple(fc.json(), fc.nat(200)).map(([json, cut]) => `{"MESSAGE":${json}`.slice(0, cut));
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), anywhere), (text) => void readJournalLine(text, 1)));
});

/** A program that does what the script says, in place of journalctl. */
async function withProgram(script: string, use: (program: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-journal-'));
  try {
    const program = join(folder, 'journalctl');
    writeFileSync(program, `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o755);
    await use(program);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const now = { ticks: 0, unixMs: 0 };

test('where there is no journalctl it says so; one that ends is started again from where it was', async () => {
  const queue = new LogQueue({ stream: 1n });
  const given = { sink: queue, clock: realClock, ownPid: 1 };
  assert.equal(
    await followJournal({ ...given, signal: new AbortController().signal, program: '/nonexistent/journalctl' }),
    'missing',
  );
  await withProgram(`echo '{"MESSAGE":"'"$*"'","__CURSOR":"s=1;i=2"}'`, async (program) => {
    const stop = new AbortController();
    const clock = { ...realClock, sleep: async () => void (queue.length >= 2 && stop.abort()) };
    assert.equal(await followJournal({ ...given, clock, signal: stop.signal, program }), 'stopped');
    const said = queue.take(now)!.lines.map(({ text }) => text);
    const fields = '--output-fields=MESSAGE,PRIORITY,_TRANSPORT,_SYSTEMD_UNIT,SYSLOG_IDENTIFIER,_COMM,_PID';
    const always = `--follow --boot --quiet --no-pager --all --output=json ${fields}`;
    assert.deepEqual(said, [`${always} -n 5000`, `${always} --after-cursor=s=1;i=2 --no-tail`]);
  });
});

test('a flood is read as fast as it is taken, and not a line of it is lost', async () => {
  const lines = 100_000;
  const json = '{"MESSAGE":"line %.0f","__CURSOR":"s=1;i=1"}';
  await withProgram(`exec seq -f '${json}' ${lines}`, async (program) => {
    const queue = new LogQueue({ stream: 1n });
    const stop = new AbortController();
    // After the flood it would start anew.
    const clock = { ...realClock, sleep: async () => stop.abort() };
    const over = followJournal({ sink: queue, clock, signal: stop.signal, program, ownPid: 1 });
    let next = 1;
    let most = 0;
    while (next <= lines) {
      most = Math.max(most, queue.length);
      const batch = queue.take(now);
      if (batch === undefined) {
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      for (const { text } of batch.lines) assert.equal(text, `line ${next++}`);
      queue.acknowledge(1n, batch.first + BigInt(batch.lines.length));
    }
    await over;
    assert.equal(queue.dropped, 0);
    assert.ok(most < 5000, `${most} lines waited`);
  });
});
