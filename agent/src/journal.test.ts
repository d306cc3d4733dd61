import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { realClock } from './host.ts';
import { followJournal, type JournalLine, readJournalLine } from './journal.ts';

const entry = (more: object): string =>
  JSON.stringify({ __REALTIME_TIMESTAMP: '1700000000123456', MESSAGE: 'hello', _PID: '7', ...more });

test('kernel, unit and identifier name the source; our own lines are left out', () => {
  const at = 1_700_000_000_123;
  assert.deepEqual(readJournalLine(entry({ _TRANSPORT: 'kernel' }), 1), {
    unixMs: at,
    source: 'kernel',
    text: 'hello',
  });
  assert.deepEqual(readJournalLine(entry({ _SYSTEMD_UNIT: 'sshd.service' }), 1), {
    unixMs: at,
    source: 'sshd.service',
    text: 'hello',
  });
  assert.equal(readJournalLine(entry({ SYSLOG_IDENTIFIER: 'x' }), 1)?.source, 'x');
  assert.equal(readJournalLine(entry({}), 7), undefined);
  assert.equal(readJournalLine(entry({ MESSAGE: [104, 105, 195, 188] }), 1)?.text, 'hiü');
  assert.equal(readJournalLine(entry({ MESSAGE: null }), 1), undefined);
});

test('no text makes it throw', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void readJournalLine(text, 1)));
});

test('where there is no journalctl it ends at once; one that ends is started again from where it was', async () => {
  await followJournal(() => assert.fail(), realClock, new AbortController().signal, '/nonexistent/journalctl');
  const folder = mkdtempSync(join(tmpdir(), 'nixie-journal-'));
  try {
    const program = join(folder, 'journalctl');
    writeFileSync(program, `#!/bin/sh\nfor a; do c="$a"; done\necho '{"MESSAGE":"'"$c"'","__CURSOR":"s=1;i=2"}'\n`);
    chmodSync(program, 0o755);
    const stop = new AbortController();
    const lines: JournalLine[] = [];
    const clock = { ...realClock, sleep: async () => void (lines.length >= 2 && stop.abort()) };
    await followJournal((line) => lines.push(line), clock, stop.signal, program);
    assert.deepEqual(
      lines.map(({ text }) => text),
      ['300', '--after-cursor=s=1;i=2'],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
