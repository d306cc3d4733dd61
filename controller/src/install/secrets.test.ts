import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import type { Host, SecretSource } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { makeRunFolder } from './folders.ts';
import { withPatience } from './plan.ts';
import { makeRedactor } from './redact.ts';
import { runPhase } from './run.ts';
import { largestSecretBytes, readSource } from './secret-source.ts';
import { Secrets, secretName, withoutSecrets } from './secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-secrets-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const host = (diskKeys: Record<string, SecretSource>, files: Record<string, SecretSource> = {}): Host => ({
  name: 'm1',
  flakeAttr: 'm1',
  macs: ['aa:bb:cc:dd:ee:01' as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
  secrets: {
    diskKeys: Object.entries(diskKeys).map(([path, source]) => ({ path, source })),
    files: Object.entries(files).map(([path, source]) => ({ path, source, mode: 0o440, owner: '7:8' })),
  },
});
const command = (...argv: string[]): SecretSource => ({ kind: 'command', argv });
const file = (path: string): SecretSource => ({ kind: 'file', path });

function secrets(more: { env?: Record<string, string>; prompted?: Map<string, Buffer>; limitMs?: number } = {}) {
  const redactor = makeRedactor();
  const warnings: string[] = [];
  const it = new Secrets({
    folder,
    env: { PATH: process.env.PATH, ...more.env },
    prompted: more.prompted ?? new Map(),
    redactor,
    warn: (name, text) => warnings.push(`${name}: ${text}`),
    ...(more.limitMs === undefined ? {} : { limitMs: more.limitMs }),
  });
  return { it, redactor, warnings };
}

/** What a program reads that opens the descriptors by name, each twice. */
async function keysOf(it: Secrets, given: Host): Promise<string[]> {
  const run = await makeRunFolder(folder);
  const keys = await it.openDiskKeys(given, run);
  try {
    assert.deepEqual(readdirSync(run.keys), [], 'no file has a name');
    return keys!.descriptors.map((descriptor) => {
      const once = readFileSync(`/proc/self/fd/${descriptor}`, 'latin1');
      assert.equal(readFileSync(`/proc/self/fd/${descriptor}`, 'latin1'), once, 'a second reader gets it as well');
      return once;
    });
  } finally {
    keys?.close();
    await run.remove();
  }
}

test('keys of disks: a file byte by byte, of all else one line end is cut', async () => {
  writeFileSync(join(folder, 'key'), 'from-a-file\n');
  const prompted = new Map([[secretName('disk key', '/p', 'm1'), Buffer.from('typed-by-hand')]]);
  const { it } = secrets({ env: { KEY: 'from-env\n\n' }, prompted });
  const given = host({
    '/f': file('key'),
    '/c': command('printf', 'from a command\n'),
    '/e': { kind: 'env', name: 'KEY' },
    '/p': { kind: 'prompt' },
  });
  assert.deepEqual(await keysOf(it, given), ['from-a-file\n', 'from a command', 'from-env\n', 'typed-by-hand']);
  it.forget(given);
  assert.equal((await keysOf(it, given))[3], 'typed-by-hand', 'what was typed is there for a second try');
});

test('a child inherits the descriptors from 3 on, and finds no value in its arguments or environment', async () => {
  const { it } = secrets();
  const run = await makeRunFolder(folder);
  const keys = (await it.openDiskKeys(
    host({ '/a': command('echo', 'value-one'), '/b': command('echo', 'value-two') }),
    run,
  ))!;
  const program = join(folder, 'child');
  writeFileSync(
    program,
    '#!/bin/sh\nls -l /proc/self/fd 2>/dev/null | sed "s/.*-> //" | grep -c deleted; stat -L -c %a /dev/fd/3; cat /dev/fd/3 /dev/fd/4; cat /dev/fd/4; tr "\\0" " " < /proc/$$/cmdline; echo; echo "### Done! ###"\n',
    { mode: 0o755 },
  );
  const result = await runPhase({
    plan: {
      host: 'm1',
      phase: 'disko',
      program,
      argv: ['--disk-encryption-keys', '/a', '/dev/fd/3'],
      env: { PATH: '/usr/bin:/bin' },
      tmp: run.tmp,
      patience: withPatience(),
    },
    address: '10.0.0.7',
    descriptors: keys.descriptors,
  });
  keys.close();
  await run.remove();
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.tail, [
    '2',
    '600',
    `value-onevalue-twovalue-two/bin/sh ${program} --disk-encryption-keys /a /dev/fd/3 `,
    '### Done! ###',
  ]);
  assert.throws(() => closeSync(keys.descriptors[0]!), 'closed');
});

test('files: mode, owner, folders on the way, content untouched', async () => {
  const { it } = secrets({ env: { S: 'secret' } });
  const run = await makeRunFolder(folder);
  const before = process.umask(0o077);
  try {
    const top = join(run.path, 'extra');
    mkdirSync(join(top, 'root/.ssh'), { recursive: true, mode: 0o700 });
    const given = host(
      {},
      {
        '/etc/a/b': command('printf', 'x\n\n'),
        '/root/.ssh/k': { kind: 'env', name: 'S' },
        '/var/lib/private/s': command('echo', 'y'),
      },
    );
    const owners = await it.stage(given, top, run);
    assert.deepEqual(owners[0], { path: '/etc/a/b', owner: '7:8' });
    assert.equal(readFileSync(join(top, 'etc/a/b'), 'utf8'), 'x\n\n');
    const modes = ['etc', 'etc/a', 'etc/a/b', 'root', 'root/.ssh', 'root/.ssh/k', 'var/lib', 'var/lib/private'].map(
      (path) => `${(statSync(join(top, path)).mode & 0o7777).toString(8)} ${path}`,
    );
    assert.deepEqual(modes, [
      '755 etc',
      '755 etc/a',
      '440 etc/a/b',
      '700 root',
      '700 root/.ssh',
      '440 root/.ssh/k',
      '755 var/lib',
      '700 var/lib/private',
    ]);
  } finally {
    process.umask(before);
    await run.remove();
  }
});

test('what fails names the secret and its source, never a value', async () => {
  writeFileSync(join(folder, 'large'), Buffer.alloc(largestSecretBytes + 1));
  writeFileSync(join(folder, 'empty'), '');
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const rows: [SecretSource, RegExp][] = [
    [file('nowhere'), /^read disk key \/k of m1 \(file:nowhere\): \S+nowhere: there is no such file$/],
    [file('.'), /expected a file/],
    [file('pipe'), /expected a file/],
    [file('/dev/zero'), /expected a file/],
    [file('large'), /1048577 bytes, expected at most 1048576/],
    [file('empty'), /it is empty/],
    [{ kind: 'env', name: 'NOT_SET' }, /\(env:NOT_SET\): the variable NOT_SET is not set/],
    [
      command('sh', '-c', 'echo hunter2-out; echo hunter2-err >&2; exit 3'),
      /\(command:sh …\): sh: it ended with status 3/,
    ],
    [command('/nowhere/program'), /there is no such program/],
    [command('true'), /it is empty/],
    [command('yes', 'hunter2-flood'), /it printed more than 1048576 bytes/],
    [command('sh', '-c', 'sleep 1000 & sleep 1000'), /it did not end in 0.5 s/],
    [{ kind: 'prompt' }, /it was not asked for/],
  ];
  for (const [source, want] of rows) {
    const { it } = secrets({ limitMs: source.kind === 'command' && source.argv[2]?.includes('sleep') ? 500 : 60_000 });
    await assert.rejects(it.read(host({ '/k': source })), (error: Error) => {
      assert.match(error.message, want);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
});

test('a command: its folder, a clean environment, called off with its children', async () => {
  const { it } = secrets({ env: { SECRET_OF_ANOTHER: 'x', VAULT_ADDR: 'https://vault' } });
  const given = host({ '/k': command('sh', '-c', 'pwd; env | cut -d= -f1 | sort | tr "\\n" " "') });
  const [said] = await keysOf(it, given);
  assert.match(said!, new RegExp(`^${folder}\n`));
  assert.match(said!, /VAULT_ADDR/);
  assert.doesNotMatch(said!, /SECRET_OF_ANOTHER/);

  const abort = new AbortController();
  const marker = join(folder, 'started');
  const reading = it.read(host({ '/s': command('sh', '-c', `touch ${marker}; sleep 1000`) }), abort.signal);
  const poll = setInterval(() => existsSync(marker) && abort.abort(), 5);
  await assert.rejects(reading, /called off/);
  clearInterval(poll);
});

test('a command runs as the user who called sudo', {
  skip: process.getuid?.() === 0 ? false : 'only root can',
}, async () => {
  const as = { uid: 65534, gid: 65534, name: 'nobody', home: '/nonexistent' };
  const world = { env: { PATH: process.env.PATH, HOME: '/root' }, as };
  const ids = ['sh', '-c', 'id -u; id -g; id -G; echo $HOME'];
  const said = await readSource({ kind: 'command', argv: ids }, { ...world, folder: '/' });
  assert.equal(said.toString(), '65534\n65534\n65534\n/nonexistent\n');
  // The folder of the hosts file may be root's alone.
  assert.equal((await readSource({ kind: 'command', argv: ['pwd'] }, { ...world, folder })).toString(), `${folder}\n`);
  writeFileSync(join(folder, 'of-root'), '#!/bin/sh\n', { mode: 0o700 });
  await assert.rejects(readSource({ kind: 'command', argv: ['./of-root'] }, { ...world, folder }), {
    message: 'start ./of-root: nobody may not run it',
  });
});

test('a command runs once a run, and values are masked from then on', async () => {
  const { it, redactor } = secrets();
  const count = join(folder, 'count');
  const given = host(
    { '/k': command('sh', '-c', `echo x >> ${count}; echo opensesame`) },
    { '/f': command('echo', 'another-value') },
  );
  await it.read(given);
  await it.read(given);
  assert.deepEqual(await keysOf(it, given), ['opensesame']);
  assert.equal(readFileSync(count, 'utf8'), 'x\n');
  assert.equal(redactor.text('opensesame and another-value'), '[disk key /k of m1] and [file /f of m1]');
  it.forget(given, 'disk key');
  assert.deepEqual(await keysOf(it, given), ['opensesame'], 'read once more when it is needed once more');
});

test('a short value is used, with a warning', async () => {
  const { it, warnings } = secrets();
  await it.read(host({ '/k': command('echo', '1234') }));
  assert.deepEqual(warnings, [
    "m1: disk key /k of m1 is shorter than 6 bytes: it can't be masked where a program repeats it",
  ]);
});

test('where nothing is in memory, nothing is handed over', async () => {
  const { it } = secrets({ env: { S: 'secret' } });
  const run = await makeRunFolder(join(folder, 'on-disk'), []);
  const given = host({ '/k': { kind: 'env', name: 'S' } }, { '/f': { kind: 'env', name: 'S' } });
  await assert.rejects(it.openDiskKeys(given, run), /may not reach a disk/);
  await assert.rejects(it.stage(given, run.path, run), /may not reach a disk/);
  await run.remove();
});

test('variables that are sources go to no child', () => {
  assert.deepEqual(withoutSecrets({ A: '1', B: '2' }, [host({ '/k': { kind: 'env', name: 'A' } })]), { B: '2' });
});
