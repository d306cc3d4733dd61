import assert from 'node:assert/strict';
import test from 'node:test';
import { readRefusals, syscalls, unexpected } from './refusals.ts';

// As Linux 6.1 wrote them.
const line = (exe: string, syscall: number) =>
  `[  130.393066] audit: type=1326 audit(1795257364.940:15): auid=4294967295 uid=62346 gid=62346 ses=4294967295 subj=unconfined pid=231 comm="MainThread" exe="${exe}" sig=0 arch=c000003e syscall=${syscall} compat=0 ip=0x7f727a6c08d9 code=0x50000`;

test('what the kernel tells of refused calls', () => {
  const log = [
    '[    1.472632] audit: type=1409 audit(1795257232.496:2): netlabel: auid=0 ses=0 subj=unconfined',
    line('/packages/x-nodejs/bin/node', syscalls.clone3),
    line('/packages/x-nodejs/bin/node', syscalls.socket),
    line('/packages/x-busybox/bin/busybox', syscalls.setuid),
  ];
  assert.deepEqual(readRefusals(log.join('\n')), [
    { program: 'node', syscall: 435 },
    { program: 'node', syscall: 41 },
    { program: 'busybox', syscall: 105 },
  ]);
  assert.deepEqual(unexpected(readRefusals(log.join('\n'))), []);
});

test('what nobody expects is named once', () => {
  const log = [line('/x/node', syscalls.mprotect), line('/x/node', syscalls.mprotect), line('/x/nix', syscalls.socket)];
  assert.deepEqual(unexpected(readRefusals(log.join('\n'))), ['node: system call 10', 'nix: system call 41']);
});
