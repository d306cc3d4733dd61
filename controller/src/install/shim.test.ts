import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import fc from 'fast-check';
import { knownHostsText, pinnedOptions, writeShim } from './shim.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-shim-'));
after(() => rmSync(folder, { recursive: true }));
const fake = join(folder, "real ssh's");
writeFileSync(fake, '#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n');
chmodSync(fake, 0o755);
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFk';
const options = ['ProxyCommand=nc %h %p'];
const shim = await writeShim({ folder, realSsh: fake, hostKeys: [`${key} root@m1`], options });

/** What the real ssh gets, without the part that is always in front. */
function through(argv: readonly string[]): string[] {
  const words = execFileSync(shim, argv, { encoding: 'utf8' }).split('\0').slice(0, -1);
  const front = [
    '-F',
    '/dev/null',
    ...[...pinnedOptions(join(folder, 'known_hosts')), ...options].flatMap((option) => ['-o', option]),
  ];
  assert.deepEqual(words.slice(0, front.length), front);
  return words.slice(front.length);
}

// The words that nixos-anywhere puts first.
const fixed = [
  '-o',
  'IdentitiesOnly=yes',
  '-i',
  '/t/nixos-anywhere',
  '-o',
  'UserKnownHostsFile=/dev/null',
  '-o',
  'StrictHostKeyChecking=no',
];
const kept = ['-o', 'IdentitiesOnly=yes', '-i', '/t/nixos-anywhere'];

const cases: [name: string, given: string[], want: string[]][] = [
  [
    'a remote command',
    ['-T', ...fixed, 'root@h', 'enableDebug=', 'sh', '--'],
    ['-T', ...kept, 'root@h', 'enableDebug=', 'sh', '--'],
  ],
  [
    'options behind the host',
    ['-T', ...fixed, 'root@h', '-o', 'ConnectTimeout=10', 'sh'],
    ['-T', ...kept, 'root@h', '-o', 'ConnectTimeout=10', 'sh'],
  ],
  ['the question about settings', [...fixed, '-G', 'root@h'], [...kept, '-G', 'root@h']],
  [
    'nix 2.8',
    ['root@h', '-x', '-a', ...fixed, '-C', 'nix-store --serve --write'],
    ['root@h', '-x', '-a', ...kept, 'nix-store --serve --write'],
  ],
  ['nix 2.26, the check', ['root@h', ...fixed, '-C', '-O', 'check'], ['root@h', ...kept, '-O', 'check']],
  [
    'nix 2.26, the copy',
    [
      'root@h',
      '-x',
      ...fixed,
      '-C',
      '-oPermitLocalCommand=yes',
      '-oLocalCommand=echo started',
      '--',
      'nix-store',
      '--serve',
      '-C',
    ],
    [
      'root@h',
      '-x',
      ...kept,
      '-oPermitLocalCommand=yes',
      '-oLocalCommand=echo started',
      '--',
      'nix-store',
      '--serve',
      '-C',
    ],
  ],
  [
    'ssh-copy-id',
    [
      '-o',
      'IdentitiesOnly=no',
      '-o',
      'ConnectTimeout=10',
      ...fixed,
      '-o',
      'ControlPath=none',
      'root@h',
      "exec sh -c 'cd ; umask 077'",
    ],
    [
      '-o',
      'IdentitiesOnly=no',
      '-o',
      'ConnectTimeout=10',
      ...kept,
      '-o',
      'ControlPath=none',
      'root@h',
      "exec sh -c 'cd ; umask 077'",
    ],
  ],
  [
    'the remote command keeps its own -C and -o',
    ['root@h', 'tar', '-C', '/mnt', '-o', 'StrictHostKeyChecking=no'],
    ['root@h', 'tar', '-C', '/mnt', '-o', 'StrictHostKeyChecking=no'],
  ],
  [
    'glued and blank forms, in any case',
    ['-oStrictHostKeyChecking=no', '-o', 'userknownhostsfile /dev/null', '-oGLOBALKNOWNHOSTSFILE=/x', 'h'],
    ['h'],
  ],
  [
    'C among other letters',
    ['-xCa', '-Cp', '22', '-aC4p22', 'h', '-CT', 'cmd'],
    ['-xa', '-p', '22', '-a4', '-p22', 'h', '-T', 'cmd'],
  ],
  ['a value that looks like an option', ['-i', '-C', '-p', '--', 'h', 'cmd'], ['-i', '-C', '-p', '--', 'h', 'cmd']],
  ['another settings file', ['-F', '/etc/ssh/ssh_config', '-F/x', 'h'], ['h']],
  ['-- in front of the host', ['--', 'h', '-C', '-oStrictHostKeyChecking=no', 'cmd', '-C'], ['--', 'h', 'cmd', '-C']],
  [
    'words with blanks, quotes, lines and nothing',
    ['h', '-o', "User=a 'b'", '', 'x\ny', '*'],
    ['h', '-o', "User=a 'b'", '', 'x\ny', '*'],
  ],
  ['an option without its value', ['h', '-o'], ['h', '-o']],
  [
    'a name that only begins like ours',
    ['-o', 'StrictHostKeyCheckingX=1', 'h'],
    ['-o', 'StrictHostKeyCheckingX=1', 'h'],
  ],
  ['nothing', [], []],
];
for (const [name, given, want] of cases) test(`ssh shim: ${name}`, () => assert.deepEqual(through(given), want));

test('ssh shim: a login that is open is shared, but not by nix where it waits for words that only its own login says', async () => {
  const controlPath = join(folder, 'login');
  const sharing = await writeShim({ folder, realSsh: fake, hostKeys: [key], controlPath });
  const pathOf = (...argv: string[]) =>
    execFileSync(sharing, argv, { encoding: 'utf8' })
      .split('\0')
      .filter((word) => word.startsWith('ControlPath='))[0];
  assert.equal(pathOf(...fixed, 'root@h', 'enableDebug=', 'sh', '--'), `ControlPath=${controlPath}`);
  assert.equal(pathOf('root@h', '-x', '-a', ...fixed, '-C', 'nix-store --serve --write'), `ControlPath=${controlPath}`);
  assert.equal(pathOf('-o', 'ControlPath=none', 'root@h', 'exec sh'), `ControlPath=${controlPath}`);
  assert.equal(pathOf('root@h', ...fixed, '-C', '-O', 'check'), 'ControlPath=none');
  const copy = ['root@h', '-x', ...fixed, '-oPermitLocalCommand=yes', '-oLocalCommand=echo started', '--', 'nix-store'];
  assert.equal(pathOf(...copy), 'ControlPath=none');
  const login = ['-o', 'ControlPath=none', '-o', 'PreferredAuthentications=publickey', 'root@h', 'exit'];
  assert.equal(pathOf(...login), `ControlPath=${controlPath}`);
  const version = ['-v', '-o', "PreferredAuthentications=','", '-o', 'ControlPath=none', 'root@h'];
  assert.equal(pathOf(...version), 'ControlPath=none');
  assert.equal(pathOf('h', 'cmd', '-O', 'check'), `ControlPath=${controlPath}`, 'a remote command');
  await writeShim({ folder, realSsh: fake, hostKeys: [`${key} root@m1`], options });
});

test('no remote command is changed, whatever its words are', () => {
  const word = fc.oneof(
    fc.constantFrom('-C', '-o', '--', '-oStrictHostKeyChecking=no', 'h', '-xC'),
    fc.string({ unit: 'grapheme-ascii' }),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (words) => {
      const command = ['run', ...words];
      assert.deepEqual(through(['-C', 'root@h', '-x', ...command]), ['root@h', '-x', ...command]);
    }),
    { numRuns: 40 },
  );
});

test('the files: private, one line a key, any name', () => {
  assert.equal(readFileSync(join(folder, 'known_hosts'), 'utf8'), `* ${key}\n`);
  assert.equal(statSync(shim).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, 'known_hosts')).mode & 0o777, 0o600);
});

test('a host key that would write more than one line is refused', () => {
  for (const bad of [
    '',
    'ssh-ed25519',
    `${key}\n* ssh-rsa AAAA`,
    '@cert-authority * ssh-rsa AAAA',
    'ssh-ed25519 AA AA\nx',
  ]) {
    assert.throws(() => knownHostsText([bad]), /expected "ssh-ed25519/);
  }
  assert.throws(() => knownHostsText([]), /at least one/);
});
