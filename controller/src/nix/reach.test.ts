import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import type { Runner } from '../child/program.ts';
import { barriers, type Need } from './reach.ts';

const box = mkdtempSync(join(tmpdir(), 'nixie-reach-'));
after(() => rmSync(box, { recursive: true, force: true }));
chmodSync(box, 0o755);
const ourselves = { uid: process.getuid!(), gid: process.getgid!(), name: 'op', home: box };
const other = { uid: 64_321, gid: 64_321, name: 'op', home: box };
const env = { PATH: '/usr/bin:/bin', HOME: box };
const program = (name: string, text: string, mode = 0o755) => {
  const file = join(box, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
};

test('what can be reached is no barrier, whatever a program that was started says', async () => {
  const fails = program('fails', '#!/bin/sh\nexit 1\n');
  const needs: Need[] = [
    { kind: 'find', what: 'sh' },
    { kind: 'start', what: fails, word: '--help' },
    { kind: 'read', what: box },
    { kind: 'read', what: fails },
    { kind: 'write', what: box },
  ];
  assert.deepEqual(await barriers(needs, ourselves, env), []);
});

test('each thing that is missing is named', async () => {
  const needs: Need[] = [
    { kind: 'find', what: 'no-such-program' },
    { kind: 'start', what: program('lost', '#!/no/such/shell\n'), word: '--help' },
    { kind: 'start', what: join(box, 'nowhere'), word: '-V' },
    { kind: 'find', what: 'sh' },
    { kind: 'read', what: join(box, 'no file') },
    { kind: 'write', what: '/nonexistent' },
    { kind: 'git', what: box },
  ];
  assert.deepEqual(await barriers(needs, ourselves, env), [
    'no no-such-program is in a folder of PATH that op may enter',
    `op can't execute ${box}/lost (its mode, its interpreter, or a file system mounted noexec)`,
    `op can't execute ${box}/nowhere (its mode, its interpreter, or a file system mounted noexec)`,
    `op can't read ${box}/no file`,
    "/nonexistent, the home of op, is missing or can't be written",
    `git refuses ${box} to op: it belongs to somebody else`,
  ]);
});

test('a folder of root on the way is named, also behind a link', {
  skip: process.getuid?.() === 0 ? false : 'only root can be somebody else',
}, async () => {
  mkdirSync(join(box, 'closed/bin'), { recursive: true });
  chmodSync(join(box, 'closed'), 0o700);
  const inside = program('closed/bin/tool', '#!/bin/sh\n');
  symlinkSync(inside, join(box, 'link'));
  const key = program('key', '', 0o600);
  const server = createServer().listen(join(box, 'socket'));
  await once(server, 'listening');
  chmodSync(join(box, 'socket'), 0o660);
  const needs: Need[] = [
    { kind: 'start', what: inside, word: '--help' },
    { kind: 'start', what: join(box, 'link'), word: '--help' },
    { kind: 'find', what: 'tool' },
    { kind: 'read', what: key },
    { kind: 'socket', what: join(box, 'socket') },
  ];
  const walls = barriers(needs, other, { ...env, PATH: `${env.PATH}:${box}/closed/bin` });
  assert.deepEqual(await walls, [
    `op may not enter ${box}/closed, on the way to ${inside}`,
    `op may not enter ${box}/closed, on the way to ${box}/link`,
    'no tool is in a folder of PATH that op may enter',
    `op can't read ${key}`,
    `op may not connect to ${box}/socket, and what op may by another group doesn't count`,
  ]);
  assert.deepEqual(await barriers(needs.slice(-1), ourselves, env), []);
  server.close();
});

test('where nothing can be asked, that is the barrier', async () => {
  const ran = { status: 0, stdout: '', stderr: '', timedOut: false };
  const asked = (run: Runner) => barriers([{ kind: 'find', what: 'nix' }], ourselves, env, run);
  assert.deepEqual(await asked(async () => ({ ...ran, timedOut: true })), [
    'what op can reach was not found out within 30 s',
  ]);
  assert.deepEqual(await asked(async () => ({ ...ran, stdout: '0\t\n' })), ['nothing can be started as op: status 0']);
  assert.deepEqual(
    await asked(async () => {
      throw new Error('spawn EPERM');
    }),
    ['nothing can be started as op: spawn EPERM'],
  );
});
