import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { adviceFor, type Cause, causeOf, lastError, plain } from './causes.ts';
import { nixLog } from './log.ts';

// Texts of nix 2.8 and 2.26 where both are known.
const cases: [Cause, string][] = [
  ['build-failed', "error: builder for '/nix/store/x.drv' failed with exit code 3"],
  ['build-failed', "error: 1 dependencies of derivation '/nix/store/x.drv' failed to build"],
  ['build-failed', "error: Cannot build '/nix/store/x.drv'.\n       Reason: builder failed with exit code 1."],
  [
    'missing-attribute',
    "error: flake 'path:/x' does not provide attribute 'packages.x86_64-linux.nixosConfigurations'",
  ],
  ['no-network', "warning: unable to download 'https://x/nix-cache-info': Couldn't resolve host name (6)"],
  ['no-network', 'Could not resolve host: github.com'],
  ['untrusted-key', "error: cannot add path '/nix/store/x' because it lacks a valid signature"],
  ['untrusted-key', "error: cannot add path '/nix/store/x' because it lacks a signature by a trusted key"],
  ['link-lost', 'error: writing to file: Broken pipe'],
  ['disk-full', 'error: writing to file: No space left on device'],
  // A full disk makes builds fail: it is the cause.
  ['disk-full', "cp: No space left on device\nerror: builder for '/nix/store/x.drv' failed with exit code 1"],
  ['foreign-owner', "error: repository path '/home/op/fleet' is not owned by current user"],
  ['foreign-owner', "error: program 'git' failed with exit code 129"],
  ['foreign-owner', "fatal: detected dubious ownership in repository at '/home/op/fleet'"],
  [
    'features-off',
    "error: experimental Nix feature 'nix-command' is disabled; use '--extra-experimental-features nix-command'",
  ],
  [
    'wrong-platform',
    "error: a 'aarch64-linux' with features {} is required to build '/nix/store/x.drv', but I am a 'x86_64-linux' with features {kvm}",
  ],
  ['hash-mismatch', "error: hash mismatch in fixed-output derivation '/nix/store/x.drv':"],
  ['not-a-flake', "error: path '/home/op' does not contain a 'flake.nix' file"],
  ['not-a-flake', "error: getting status of '/nix/store/x-source/flake.nix': No such file or directory"],
  ['untracked-file', 'error: Path \'hosts/m1.nix\' in the repository "/home/op/fleet" is not tracked by Git.'],
  ['daemon-refused', "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused"],
  ['unknown', 'error: something new'],
];
for (const [want, text] of cases) {
  test(`cause ${want}: ${text.slice(0, 60)}`, () => assert.equal(causeOf(text), want));
}

test('an unknown text has the cause that the caller gives', () => {
  assert.equal(causeOf('error: attribute x missing', 'evaluation'), 'evaluation');
  assert.equal(adviceFor('evaluation'), undefined);
});

test('the last error: counts, without the way that led there', () => {
  const trace = [
    '\u001b[31;1merror:\u001b[0m',
    "       … while calling the 'throw' builtin",
    '         at /nix/store/x-source/flake.nix:15:87:',
    '',
    '       \u001b[31;1merror:\u001b[0m no such option',
  ].join('\n');
  assert.equal(lastError(trace), 'no such option');
  assert.equal(lastError('error: one\nerror: two\nmore\n'), 'two\nmore');
  assert.equal(lastError('just\nwords\n'), 'just\nwords');
  assert.equal(lastError(''), '');
});

test('plain leaves no escape and no control character but line ends and tabs', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(plain(text), /[\u0000-\u0008\u000b-\u001f\u007f]/);
      assert.equal(plain(plain(text)), plain(text));
      lastError(text);
    }),
  );
  assert.equal(plain('\u001b[35;1mred\u001b[0m \u001b]8;;x\u0007link'), 'red link');
});

test('long lines cost no more than their length', () => {
  // With a pattern that begins anew at each word these would take minutes.
  const began = process.cpuUsage();
  for (const line of [
    `path '/nix/store${'/a-source'.repeat(20_000)}' is gone`,
    'build of '.repeat(60_000),
    `'/nix/store/x${'.drv!'.repeat(60_000)}`,
    'dependency of '.repeat(60_000),
  ]) {
    assert.equal(causeOf(line), 'unknown');
    nixLog().line(`@nix ${JSON.stringify({ action: 'msg', level: 0, msg: `error: ${line}` })}`, 0);
  }
  // Of the processor's time: others may be at work as well.
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 5_000_000, `${user + system} µs`);
});
