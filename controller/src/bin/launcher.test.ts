import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { checkedOutCommit } from '../../bin/commit.js';

const root = join(import.meta.dirname, '../../..');
const launcher = join(root, 'controller/bin/nixie.js');
const { version } = JSON.parse(readFileSync(join(root, 'controller/package.json'), 'utf8')) as { version: string };
const deadlineMs = 60_000;
function versionLine(): string {
  const commit = checkedOutCommit(root).slice(0, 12);
  return `nixie ${version} (${commit === '' ? '' : `commit ${commit}, `}Node ${process.version})\n`;
}

/** The PATH without this repository's programs: what an operator's shell has. */
const systemPath = (process.env.PATH ?? '')
  .split(':')
  .filter((folder) => !folder.includes('node_modules'))
  .join(':');
const env = { ...process.env, PATH: systemPath };

test('npm finds this nixie, and it runs under the repository’s Node', () => {
  const { status, stdout, stderr } = spawnSync('npm', ['exec', '--offline', '--', 'nixie', '--version'], {
    cwd: root,
    env,
    encoding: 'utf8',
    timeout: deadlineMs,
  });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, versionLine());
});

/** A Node of another version can't be had everywhere; one that only says so can: it fakes the number before the launcher reads it. */
function asOldNode(t: test.TestContext): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-launcher-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const preload = join(folder, 'old.cjs');
  writeFileSync(
    preload,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });",
  );
  return ['--require', preload];
}

/** Processes whose parent is this one. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        return readFileSync(`/proc/${each}/status`, 'utf8').includes(`\nPPid:\t${pid}\n`);
      } catch {
        return false;
      }
    });
}

test('under an old Node the launcher starts the repository’s, and passes output and status on', (t) => {
  const old = asOldNode(t);
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [...old, launcher, ...args], { env, encoding: 'utf8', timeout: deadlineMs });
  assert.equal(run('--version').stdout, versionLine());
  const wrong = run('frobnicate');
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /^nixie: found "frobnicate", which is no command/);
});

test('a signal to the launcher reaches the program, and its status comes back; no child is left', async (t) => {
  const old = asOldNode(t);
  // `--hosts` on a pipe that nobody writes to: the program waits in its first read until the signal ends it.
  const fifo = join(mkdtempSync(join(tmpdir(), 'nixie-fifo-')), 'hosts.json');
  t.after(() => rmSync(join(fifo, '..'), { recursive: true }));
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  const child = spawn(process.execPath, [...old, launcher, 'check', '--flake', '.', '--hosts', fifo], {
    env,
    stdio: 'ignore',
  });
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  const until = Date.now() + deadlineMs;
  let inner: number | undefined;
  while (inner === undefined && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    inner = childrenOf(child.pid!)[0];
  }
  assert.ok(inner !== undefined, 'the launcher has started a child');
  child.kill('SIGTERM');
  assert.equal(await ended, 143);
  assert.equal(existsSync(`/proc/${inner}`), false);
});

test('without the repository’s Node it says what to do', (t) => {
  const old = asOldNode(t);
  const folder = mkdtempSync(join(tmpdir(), 'nixie-bare-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  for (const name of ['nixie.js', 'commit.js'])
    writeFileSync(join(folder, name), readFileSync(join(root, 'controller/bin', name)));
  const { status, stderr } = spawnSync(process.execPath, [...old, join(folder, 'nixie.js'), '--version'], {
    encoding: 'utf8',
  });
  assert.equal(status, 3);
  assert.match(stderr, /needs Node 24.*pnpm@.* install --frozen-lockfile/);
  symlinkSync(launcher, join(folder, 'link'));
  assert.equal(spawnSync(process.execPath, [join(folder, 'link'), '--version'], { encoding: 'utf8' }).status, 0);
});

test('where what it prints can not be written it says so, and ends as what it did', {
  skip: !existsSync('/dev/full'),
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-launcher-'));
  const full = openSync('/dev/full', 'w');
  t.after(() => {
    closeSync(full);
    rmSync(folder, { recursive: true });
  });
  const into = (...words: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'controller/src/bin/nixie.ts'), ...words], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
      timeout: deadlineMs,
    });
    return { status, stderr };
  };
  const said =
    /^nixie: write standard output: ENOSPC: no space left on device, write; what is said from here on is lost\n$/;
  const completion = into('completion', 'bash');
  assert.equal(completion.status, 1);
  assert.match(completion.stderr, said);

  // A run that can't begin: it ends with the status that it has elsewhere, and not by what it could not print.
  const hosts = join(folder, 'hosts.json');
  writeFileSync(hosts, '{"m1": {"mac_address": "52:54:00:00:00:01"}}');
  const run = into(
    ...['install', '--installer', `path:${folder}#i`, '--flake', `path:${folder}`, '--hosts', hosts, '--json'],
    ...['--state', join(folder, 'state'), '--interface', 'none0'],
  );
  assert.equal(run.status, 3, run.stderr);
  assert.doesNotMatch(run.stderr, /\n {4}at /);
});
