import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type Processes, realProcesses, StateTaken, takeLock } from './lock.ts';

function folder(t: { after(call: () => void): void }): string {
  const made = mkdtempSync(join(tmpdir(), 'nixie-lock-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}
/** As seen by process `self`, when these live. */
const seenBy = (self: number, living: Record<number, string>, bootId = 'boot-1'): Processes => ({
  self,
  began: (pid) => living[pid],
  bootId: () => bootId,
});

test('one run at a time; the next one after its end', (t) => {
  const state = folder(t);
  const living = { 10: '100', 11: '110' };
  const release = takeLock(state, seenBy(10, living));
  assert.throws(
    () => takeLock(state, seenBy(11, living)),
    (error: Error) => {
      assert.ok(error instanceof StateTaken);
      assert.match(error.message, /in use by a nixie that runs already \(process 10\).*--state/);
      return true;
    },
  );
  release();
  takeLock(state, seenBy(11, living))();
  assert.equal(existsSync(join(state, 'lock')), false);
});

test('a lock that can not be written names the file', (t) => {
  const gone = join(folder(t), 'gone');
  assert.throws(() => takeLock(gone, seenBy(10, { 10: '100' })), /^Error: write .*gone\/lock\.10\.new: ENOENT/);
});

test('a lock of the dead is taken: killed, another process of that number, another boot, garbage', (t) => {
  const state = folder(t);
  takeLock(state, seenBy(10, { 10: '100' }));
  takeLock(state, seenBy(11, { 11: '110' }));
  takeLock(state, seenBy(12, { 11: '999', 12: '120' }));
  takeLock(state, seenBy(13, { 12: '120', 13: '130' }, 'boot-2'));
  writeFileSync(join(state, 'lock'), 'garbage');
  const release = takeLock(state, seenBy(14, { 14: '140' }));
  // Somebody else's lock is not given back.
  writeFileSync(join(state, 'lock'), JSON.stringify({ pid: 9, began: '9', bootId: 'boot-1' }));
  release();
  assert.equal(existsSync(join(state, 'lock')), true);
});

test('what root locks can be read by whom the folder belongs to, and is no dead lock for him', {
  skip: process.getuid?.() !== 0 && 'only root takes locks in folders of others',
}, (t) => {
  const state = folder(t);
  chownSync(state, 12345, 12346);
  takeLock(state, seenBy(10, { 10: '100' }));
  const { uid, mode } = statSync(join(state, 'lock'));
  assert.deepEqual([uid, mode & 0o777], [12345, 0o600]);
});

test('the real table of processes knows this one', () => {
  assert.match(realProcesses.began(process.pid) ?? '', /^\d+$/);
  assert.equal(realProcesses.began(0x7fff_fff0), undefined);
});
