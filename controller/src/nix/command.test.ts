import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { killAllGroups } from '../child/groups.ts';
import { nixEnvironment, nixRunner } from './command.ts';

const box = mkdtempSync(join(tmpdir(), 'nixie-command-'));
after(() => rmSync(box, { recursive: true, force: true }));
const program = (text: string) => {
  const dir = mkdtempSync(join(box, 'bin-'));
  for (const name of ['nix', 'nix-store']) {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
  }
  return dir;
};
const env = { PATH: process.env.PATH, HOME: box };
const gone = (pid: number) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};
/** Ends when the process is gone or is a zombie that waits for init. */
const wentAway = async (pid: number) => {
  const { readFile } = await import('node:fs/promises');
  for (const until = performance.now() + 60_000; !gone(pid) && performance.now() < until; ) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
    if (/\) [ZX]/.test(stat)) return true;
    await new Promise((next) => setImmediate(next));
  }
  return gone(pid);
};

test('gives stdout, lines of stderr and the status, with flakes switched on for nix only', async () => {
  const binDir = program('echo "$@"; echo one >&2; printf two >&2; exit 7');
  const run = nixRunner({ env, binDir });
  const lines: string[] = [];
  const nix = await run({
    program: 'nix',
    args: ['eval', 'a b'],
    deadlineMs: 60_000,
    onLine: (line) => lines.push(line),
  });
  assert.deepEqual(nix, {
    ended: 'exited',
    code: 7,
    stdout: '--extra-experimental-features nix-command flakes eval a b\n',
    stderr: 'one\ntwo',
  });
  assert.deepEqual(lines, ['one', 'two']);
  assert.equal((await run({ program: 'nix-store', args: ['-q'], deadlineMs: 60_000 })).stdout, '-q\n');
});

test('the deadline ends the whole group, also what ignores SIGTERM', async () => {
  const binDir = program('trap "" TERM; sleep 1000 & echo $!; wait; sleep 1000');
  const run = nixRunner({ env, binDir, graceMs: 50 });
  const result = await run({ program: 'nix', args: [], deadlineMs: 400 });
  assert.equal(result.ended, 'deadline');
  assert.ok(await wentAway(Number(result.stdout)));
});

test('an abort ends it, and one that came before starts nothing', async () => {
  const run = nixRunner({ env, binDir: program('echo ready >&2; sleep 1000'), graceMs: 1_000 });
  const stop = new AbortController();
  const call = { program: 'nix', args: [], deadlineMs: 60_000, signal: stop.signal } as const;
  assert.equal((await run({ ...call, onLine: () => stop.abort() })).ended, 'aborted');
  assert.equal((await run(call)).ended, 'aborted');
});

test('a grandchild that keeps the pipes does not hold the call', async () => {
  const run = nixRunner({ env, binDir: program('sleep 1000 & echo $!; exit 0'), graceMs: 50 });
  const result = await run({ program: 'nix', args: [], deadlineMs: 60_000 });
  assert.equal(result.code, 0);
  assert.ok(await wentAway(Number(result.stdout)));
});

test('a program that is not there and one killed by a signal are told apart', async () => {
  assert.equal(
    (await nixRunner({ env, binDir: join(box, 'nothing') })({ program: 'nix', args: [], deadlineMs: 9_000 })).ended,
    'missing',
  );
  const killed = nixRunner({ env, binDir: program('kill -9 $$') });
  assert.equal((await killed({ program: 'nix', args: [], deadlineMs: 60_000 })).ended, 'signalled');
});

test('at the end of the program all groups can be killed at once', async () => {
  const run = nixRunner({ env, binDir: program('trap "" TERM; echo ready >&2; sleep 1000') });
  const killed: number[] = [];
  const result = await run({
    program: 'nix',
    args: [],
    deadlineMs: 60_000,
    onLine: () => killed.push(killAllGroups()),
  });
  assert.equal(result.ended, 'signalled');
  assert.deepEqual(killed, [1]);
  assert.equal(killAllGroups(), 0);
});

test('too much output ends it', async () => {
  const run = nixRunner({ env, binDir: program('yes'), maxStdoutBytes: 100_000, graceMs: 500 });
  const result = await run({ program: 'nix', args: [], deadlineMs: 60_000 });
  assert.equal(result.ended, 'too-much-output');
  assert.ok(result.stdout.length <= 100_000);
});

test('the environment is what nix needs and no more', () => {
  const from = {
    PATH: '/p',
    HOME: '/root',
    NIX_PATH: 'x',
    SECRET: 's',
    SUDO_UID: '7',
    XDG_CACHE_HOME: '/c',
    TMPDIR: '/t',
    https_proxy: 'p',
  };
  assert.deepEqual(nixEnvironment(from), {
    PATH: '/p',
    HOME: '/root',
    NIX_PATH: 'x',
    SUDO_UID: '7',
    XDG_CACHE_HOME: '/c',
    TMPDIR: '/t',
    https_proxy: 'p',
  });
  const op = { uid: 1000, gid: 100, name: 'op', home: '/home/op' };
  assert.deepEqual(nixEnvironment(from, op, '/private'), {
    PATH: '/p',
    HOME: '/home/op',
    USER: 'op',
    LOGNAME: 'op',
    NIX_PATH: 'x',
    https_proxy: 'p',
  });
  // Only git is to see the private HOME.
  const home = nixEnvironment({ HOME: '/root' }, undefined, '/private');
  assert.equal(home.HOME, '/private');
  assert.equal(home.XDG_CONFIG_HOME, '/root/.config');
  assert.match(home.PATH ?? '', /usr\/bin/);
});

test('a child runs as the operator, and as ourselves where that is asked for', {
  skip: process.getuid?.() === 0 ? false : 'needs root',
}, async () => {
  const binDir = program('id -u');
  chmodSync(box, 0o755);
  chmodSync(binDir, 0o755);
  const run = nixRunner({ env, binDir, as: { uid: 65_534, gid: 65_534, name: 'nobody', home: '/' } });
  assert.equal((await run({ program: 'nix', args: [], deadlineMs: 60_000 })).stdout, '65534\n');
  assert.equal((await run({ program: 'nix', args: [], deadlineMs: 60_000, as: 'self' })).stdout, '0\n');
});
