import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
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

/** Takes the lock in a process that may write no byte to any file; prints what it was told, or why it has none, and what it saw. */
const onFullDisk = (state: string, full: boolean) =>
  execFileSync(
    '/bin/sh',
    [
      '-c',
      'ulimit -f 0; exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      `const { takeLock } = await import(${JSON.stringify(import.meta.resolve('./lock.ts'))});
      const { readlinkSync } = await import('node:fs');
      const [state, full] = process.argv.slice(1);
      const told = [];
      try {
        const release = takeLock(state, undefined, undefined, full === 'true' ? { full: (why) => told.push(why) } : {});
        told.push(readlinkSync(state + '/lock'));
        try { takeLock(state); } catch (error) { told.push(error.name) }
        try { takeLock(state, undefined, undefined, { full() {} }); } catch (error) { told.push(error.name) }
        release();
      } catch (error) { told.push(error.message); }
      console.log(JSON.stringify(told));`,
      state,
      String(full),
    ],
    { encoding: 'utf8', timeout: 30_000 },
  );

test('without room on the disk a lock is taken by who can do without, and holds', (t) => {
  const state = folder(t);
  assert.match(JSON.parse(onFullDisk(state, false)).join(), /^write .*lock\.\d+\.new: EFBIG/);
  assert.deepEqual(readdirSync(state), []);
  const [why, link, plainly, again] = JSON.parse(onFullDisk(state, true));
  assert.match(why, /^EFBIG/);
  assert.match(link, /^\d+ \d+ [0-9a-f-]{36}$/);
  assert.ok(link.length < 60, 'what lies in an inode of ext4');
  assert.match(plainly, /^Error$/);
  assert.equal(again, 'StateTaken');
  assert.deepEqual(readdirSync(state), [], 'given back');
  // A living one's holds also for who has room, a dead one's for nobody.
  symlinkSync('10 100 boot-1', join(state, 'lock'));
  assert.throws(() => takeLock(state, seenBy(11, { 10: '100', 11: '110' })), StateTaken);
  takeLock(state, seenBy(11, { 10: '999', 11: '110' }))();
  assert.deepEqual(readdirSync(state), []);
  symlinkSync('garbage', join(state, 'lock'));
  takeLock(state, seenBy(11, { 11: '110' }))();
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
