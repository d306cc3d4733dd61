// What the stand-in does before and beside its calls to ssh: refusals, silence, signals. Its runs against a real sshd are in scenarios/install.test.ts.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { sessionGroups, signalGroup } from '../../../controller/src/child/groups.ts';
import { until } from '../patience.ts';

const program = join(import.meta.dirname, 'nixos-anywhere');
const folder = mkdtempSync(join(tmpdir(), 'nixie-standin-G'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (...parts: string[]) => join(folder, ...parts);
for (const name of ['bin', 'home', 'tmp']) mkdirSync(at(name));
for (const name of ['disko', 'system']) writeFileSync(at(name), '');
const fake = (name: string, text: string) => {
  writeFileSync(at('bin', name), `#!/bin/sh\necho "${name} $*" >> ${at('calls')}\n${text}\n`);
  chmodSync(at('bin', name), 0o755);
};
// The flag as a word: the name of a folder can hold "-G", as mkdtemp chooses its letters.
fake('ssh', 'case " $* " in *" -G "*) echo "hostname h";; *) exec sleep 60;; esac');
fake('ssh-copy-id', ':');

const env = { PATH: `${at('bin')}:/usr/bin:/bin`, HOME: at('home'), TMPDIR: at('tmp'), LC_ALL: 'C' };
const paths = ['--store-paths', at('disko'), at('system')];

const refused: [name: string, argv: string[], stderr: RegExp][] = [
  ['no host', paths, /^aborted: ssh-host must be set\n$/],
  ['no store paths', ['root@h'], /^aborted: neither --flake nor --store-paths/],
  ['a path that is not there', ['-s', at('none'), at('system'), 'root@h'], /must both exist/],
  ['a missing parent folder: no word', ['-s', '/nowhere/x/disko', at('system'), 'root@h'], /^$/],
  ['an unknown phase', [...paths, '--phases', 'disko,dance', 'root@h'], /^aborted: Unknown phase: dance\n$/],
  ['a flag without its value', [...paths, '--target-host'], /^aborted: --target-host needs 1/],
  ['a second host', [...paths, 'root@h', 'root@i'], /second host root@i/],
  ['building there', [...paths, '--build-on', 'remote', 'root@h'], /--build-on remote/],
  [
    'a flake without the flag that keeps the target as it is',
    ['--flake', '.#m1', 'root@h'],
    /--no-use-machine-substituters/,
  ],
  ...['--debug', '--copy-host-keys', '--vm-test', '--kexec', '--env-password', '--force-kexec', '--option'].map(
    (flag): [string, string[], RegExp] => [
      flag,
      [...paths, 'root@h', flag],
      new RegExp(`stand-in: ${flag}: not among`),
    ],
  ),
];
for (const [name, argv, stderr] of refused) {
  test(`the stand-in refuses: ${name}`, () => {
    const ended = spawnSync(program, argv, { env, encoding: 'utf8' });
    assert.equal(ended.status, 1);
    assert.equal(ended.stdout, '');
    assert.match(ended.stderr, stderr);
  });
}

test('it says what it is when asked', () => {
  assert.match(spawnSync(program, ['--version'], { env, encoding: 'utf8' }).stdout, /stand-in/);
});

test('no home, no run', () => {
  const { HOME: _, ...homeless } = env;
  const ended = spawnSync(program, [...paths, 'root@h'], { env: homeless, encoding: 'utf8' });
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /HOME: unbound variable/);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`${signal} to it alone: its ssh lives on, the key copy ${signal === 'SIGKILL' ? 'stays' : 'goes'}`, async () => {
    writeFileSync(at('calls'), '');
    const child = spawn(program, [...paths, '--phases', 'disko', '--no-use-machine-substituters', 'root@h'], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const pid = child.pid!;
    try {
      let said = '';
      child.stdout.on('data', (bytes) => {
        said += bytes;
      });
      await until('its first steps', () => said.includes('Gathering'));
      // It says so first and starts ssh then; a signal in between finds none that could live on.
      const asks = () =>
        readFileSync(at('calls'), 'utf8')
          .split('\n')
          .some((call) => /^ssh (?!.* -G )/.test(call));
      await until('its ssh', asks);
      assert.deepEqual(said, '### Uploading install SSH keys ###\n### Gathering machine facts ###\n');
      const [work] = readdirSync(at('tmp'));
      assert.deepEqual(readdirSync(at('tmp', work!)).sort(), ['nixos-anywhere', 'nixos-anywhere.pub']);
      const exited = once(child, 'exit');
      process.kill(pid, signal);
      const [, by] = await exited;
      assert.equal(by, signal);
      assert.ok(sessionGroups(pid).length > 0, 'ssh lives on');
      assert.equal(readdirSync(at('tmp')).length, signal === 'SIGKILL' ? 1 : 0);
    } finally {
      signalGroup(pid, 'SIGKILL');
      for (const name of readdirSync(at('tmp'))) rmSync(at('tmp', name), { recursive: true });
    }
  });
}
