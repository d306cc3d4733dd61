import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { listProcesses, loginProcesses, type Process, readStat, usersOf } from './processes.ts';
import { cryptNames, swapDevices } from './reset-disks.ts';

test('a name may hold blanks and parentheses', () => {
  const fields = Array.from({ length: 30 }, (_, index) => index + 4).join(' ');
  assert.deepEqual(readStat(`42 (a) b (c) S 7 ${fields}`), { pid: 42, parent: 7, name: 'a) b (c', startedAt: '21' });
  assert.equal(readStat('nonsense'), undefined);
});

const list = (rows: readonly (readonly [number, number, string])[]): Process[] =>
  rows.map(([pid, parent, name]) => ({ pid, parent, name, startedAt: '1' }));

test('logins and all below them, but neither the listener nor the agent nor its children', () => {
  const all = list([
    [1, 0, 'systemd'],
    [10, 1, 'sshd'],
    [11, 10, 'sshd-session'],
    [12, 11, 'sshd-session'],
    [13, 12, 'sh'],
    [14, 13, 'nixos-install'],
    [20, 1, 'nixie-agent'],
    [21, 20, 'journalctl'],
    [30, 1, 'dropbear'],
    [31, 30, 'dropbear'],
    [32, 31, 'sh'],
    [40, 2, 'kworker'],
  ]);
  assert.deepEqual(
    loginProcesses(all, 20).map(({ pid }) => pid),
    [11, 12, 13, 14, 31, 32],
  );
});

test('an agent that was started by hand over ssh does not end itself', () => {
  const all = list([
    [10, 1, 'sshd'],
    [11, 10, 'sshd'],
    [12, 11, 'nixie-agent'],
    [13, 12, 'umount'],
  ]);
  assert.deepEqual(
    loginProcesses(all, 12).map(({ pid }) => pid),
    [11],
  );
});

test('loops in the table end', () => {
  const process = fc.record({
    pid: fc.nat(8),
    parent: fc.nat(8),
    name: fc.constantFrom('sshd', 'sh', 'sshd-session'),
    startedAt: fc.constant('1'),
  });
  fc.assert(
    fc.property(fc.array(process, { maxLength: 9 }), fc.nat(8), (all, self) => {
      assert.ok(loginProcesses(all, self).every(({ pid }) => pid !== self));
    }),
  );
});

test('swap of the installer itself stays', () => {
  const swaps = 'Filename\t\tType\n/dev/zram0 partition 1 0 100\n/dev/vda3   partition 1 0 -2\n';
  assert.deepEqual(swapDevices(swaps), ['/dev/vda3']);
  assert.deepEqual(swapDevices(''), []);
});

test('names of open LUKS devices', () => {
  assert.deepEqual(cryptNames('crypted\t(254:0)\nroot-2 (254, 11)\n'), ['crypted', 'root-2']);
  assert.deepEqual(cryptNames('No devices found\n'), []);
});

test('what works on the target is found, though no login has it any more', async (t) => {
  const target = mkdtempSync(join(tmpdir(), 'nixie-target-'));
  t.after(() => rmSync(target, { recursive: true, force: true }));
  const held = `exec 7>'${target}/db'; echo there; exec sleep 60`;
  const inside = spawn('sh', ['-c', 'echo there; exec sleep 60'], { cwd: target });
  const holding = spawn('sh', ['-c', held], { cwd: '/' });
  const beside = spawn('sh', ['-c', 'echo there; exec sleep 60'], { cwd: '/' });
  const three = [inside, holding, beside];
  t.after(() => three.map((child) => child.kill('SIGKILL')));
  await Promise.all(three.map((child) => once(child.stdout, 'data')));
  const found = (self: number) => usersOf('/', target, listProcesses('/'), self).map(({ pid }) => pid);
  assert.deepEqual(found(process.pid), [], 'never what we started');
  // By an agent that is none of their parents.
  assert.deepEqual(new Set(found(beside.pid!)), new Set([inside.pid, holding.pid]));
  assert.deepEqual(usersOf('/', `${target}x`, listProcesses('/'), beside.pid!), []);
});
