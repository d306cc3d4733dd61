// A real journal: a flood, lines of every odd kind, and a journalctl that is killed in the middle.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { needPrograms, needRoot, skipUnless } from '../lab/need.ts';
import type { RealJournal } from '../lab/real-journal.ts';

const skip = skipUnless(needRoot, needPrograms(['unshare', 'mount', 'journalctl', 'systemd-cat']), () =>
  existsSync('/lib/systemd/systemd-journald') ? undefined : 'needs systemd-journald',
);

test('100,000 lines of a real journal come complete and in order, once each', { skip, timeout: 400_000 }, (t) => {
  const lines = 100_000;
  const program = join(import.meta.dirname, '../lab/real-journal.ts');
  const said = execFileSync('unshare', ['--mount', process.execPath, program, String(lines)], {
    encoding: 'utf8',
    timeout: 390_000,
  });
  const found = JSON.parse(said) as RealJournal;
  assert.deepEqual([found.lines, found.inOrder, found.dropped, found.kills], [lines, true, 0, 2]);
  assert.ok(found.most < 5000, `${found.most} lines waited`);
  const odd = found.odd.map(([text]) => text);
  // journald breaks a line of 1 MiB at 48 KiB, and we keep 8 KiB of each piece.
  const pieces = odd.filter((text) => /^6 .*xxxx/.test(text));
  assert.ok(pieces.length > 20);
  const others = odd.filter((text) => !pieces.includes(text));
  // Of two programs journald takes what it sees first.
  const worse = others.filter((text) => text.startsWith('3 '));
  assert.deepEqual(worse, ['3 worse']);
  assert.deepEqual(
    others.filter((text) => !worse.includes(text)),
    ['6 colour red', '6 broken \ufffd\ufffd utf-8', '6 tab here'],
  );
  assert.ok(found.odd.every(([, length]) => length <= 8192));
  t.diagnostic(`${found.seconds.toFixed(1)} s with two pauses, ${found.rssMib} MiB`);
});
