import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { addGroup, killAllGroups, sessionGroups, signalGroup } from './groups.ts';

test('groups of a session, also with strange program names and processes that end in between', () => {
  const proc = mkdtempSync(join(tmpdir(), 'nixie-proc-'));
  try {
    const put = (pid: number, stat: string) => {
      mkdirSync(join(proc, String(pid)));
      writeFileSync(join(proc, String(pid), 'stat'), stat);
    };
    put(10, '10 (bash) S 1 10 10 0');
    put(11, '11 (a) b (c)) S 10 11 10 0');
    put(12, '12 (ssh) S 11 11 10 0');
    put(13, '13 (other) S 1 13 13 0');
    mkdirSync(join(proc, '14'));
    mkdirSync(join(proc, 'self'));
    assert.deepEqual(sessionGroups(10, proc), [10, 11]);
    const signals: string[] = [];
    signalGroup(10, 'SIGTERM', (pid, signal) => void signals.push(`${signal} ${pid}`), proc);
    assert.deepEqual(signals, ['SIGTERM -10', 'SIGTERM -11']);
  } finally {
    rmSync(proc, { recursive: true });
  }
});

test('our own group and everybody are never signalled', () => {
  for (const pid of [1, 0, -1, -5, Number.NaN]) {
    assert.throws(() => signalGroup(pid, 'SIGTERM', () => assert.fail('signalled')), /above 1/);
  }
});

test('all children that are left are killed, with the ones that timeout put into another group', async () => {
  const child = spawn('sh', ['-c', 'echo up; timeout 60 sh -c "echo up; sleep 60"; :'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  for await (const bytes of child.stdout) {
    said += bytes;
    if (said === 'up\nup\n') {
      addGroup(child.pid!);
      assert.ok(sessionGroups(child.pid!).length >= 2);
      assert.equal(killAllGroups(), 1);
    }
  }
  // The output ended, so nobody is left who holds it.
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL');
  assert.equal(killAllGroups(), 0);
});
