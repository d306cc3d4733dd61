import assert from 'node:assert/strict';
import test from 'node:test';
import { type ChildEnd, type FailureCause, watchCause } from './cause.ts';
import type { Phase, Step } from './plan.ts';
import { readProgress } from './progress.ts';
import { readRecording } from './recording.ts';

/** A child that prints these lines and ends so; the certain cause comes first, as in run.ts. */
function explain(lines: readonly string[], end: { status?: number; deadline?: boolean }, phase: Phase = 'disko') {
  const reader = readProgress();
  const watch = watchCause('m1', '10.77.0.2', phase);
  for (const text of lines) {
    reader.read(text, 0);
    const cause = watch.read(text, reader.step);
    if (cause !== undefined) return watch.explain({ kind: 'certain', cause, step: reader.step });
  }
  const { step } = reader;
  const why: ChildEnd = end.deadline
    ? { kind: 'deadline', limitMs: 60_000, step }
    : { kind: 'status', status: end.status ?? 0, step };
  return watch.explain(why);
}

const recorded: [string, FailureCause][] = [
  ['02-wrong-key', 'login-refused'],
  ['03-disk-missing', 'disk-missing'],
  ['06a-crash-in-disko', 'connection-lost'],
  ['06d-crash-in-upload', 'connection-lost'],
  ['06e-crash-in-install', 'connection-lost'],
  ['07-unreachable', 'unreachable'],
  ['13-no-cpio', 'image-incomplete'],
  ['23-never-reboots', 'never-rebooted'],
];
for (const [name, cause] of recorded) {
  test(`cause of recording ${name}`, () => {
    const { lines, status } = readRecording(name);
    const texts = lines.map(({ text }) => text);
    assert.equal(explain(texts, status < 0 ? { deadline: true } : { status }).cause, cause);
  });
}

const keys = '### Uploading install SSH keys ###';
const facts = '### Gathering machine facts ###';
const copying = '### Uploading the system closure ###';
const told: [string, string[], number, FailureCause, RegExp][] = [
  [
    'another host key',
    [keys, '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @'],
    255,
    'other-machine',
    /nothing was sent/,
  ],
  ['a key of another kind', [keys, 'Host key verification failed.'], 255, 'other-machine', /another machine/],
  ['disko with its own status', ['### Formatting hard drive with disko ###', 'oops'], 42, 'disko-failed', /status 42/],
  [
    'sgdisk without a disk',
    ['### Formatting hard drive with disko ###', 'Problem opening /dev/sdx for reading! Error is 2.'],
    4,
    'disk-missing',
    /\/dev\/sdx/,
  ],
  [
    'a mount of an earlier try',
    ['### Formatting hard drive with disko ###', 'umount: /mnt: target is busy.'],
    32,
    'disk-busy',
    /target is busy/,
  ],
  [
    'a full RAM store',
    [facts, 'copying 1 paths...', 'error: writing to file: No space left on device'],
    1,
    'no-space',
    /memory/,
  ],
  ['a full disk', [copying, 'error: writing to file: No space left on device'], 1, 'no-space', /new disk/],
  [
    'a failing copy',
    [copying, "error: cannot add path '/nix/store/x' because it lacks a valid signature"],
    1,
    'copy-failed',
    /valid signature/,
  ],
  [
    'a path that was collected',
    [copying, "error: path '/nix/store/x' is not valid"],
    1,
    'path-missing',
    /is not valid/,
  ],
  [
    'a link that dies in silence',
    ['### Installing NixOS ###', 'Timeout, server 10.0.0.1 not responding.'],
    255,
    'connection-lost',
    /not responding/,
  ],
  ['nixos-install itself', ['### Installing NixOS ###', 'error: boot loader'], 1, 'install-failed', /boot loader/],
  ['no such program', ['sh: 1: exec: /x: not found'], 127, 'not-started', /status 127/],
  ['silent end before the first line', [], 1, 'path-missing', /store path/],
  ['status 0 without Done', [facts], 0, 'broken', /unexpectedly/],
];
for (const [name, lines, status, cause, want] of told) {
  test(`cause: ${name}`, () => {
    const found = explain(lines, { status });
    assert.equal(found.cause, cause);
    assert.match(found.sentence, want);
  });
}

test('trouble in the loop of the keys explains nothing later', () => {
  const lines = [
    keys,
    'ERROR: Connection reset by 10.77.0.2 port 22',
    facts,
    '### Formatting hard drive with disko ###',
  ];
  assert.equal(explain(lines, { status: 42 }).cause, 'disko-failed');
});

test('one refused login is not certain, two are', () => {
  const watch = watchCause('m1', '10.0.0.1', 'disko');
  const text = 'root@10.0.0.1: Permission denied (publickey).';
  assert.equal(watch.read(text, 'keys'), undefined);
  assert.equal(watch.read(text, 'keys'), 'login-refused');
});

test('each end has a sentence', () => {
  const step: Step = 'copy';
  const ends: ChildEnd[] = [
    { kind: 'canceled', step },
    { kind: 'deadline', limitMs: 61_000, step },
    { kind: 'silent', limitMs: 60_000, step },
    { kind: 'signal', signal: 'SIGKILL', step },
    { kind: 'not-started', message: 'ENOENT' },
  ];
  const causes = ends.map((end) => watchCause('m1', '10.0.0.1', 'install').explain(end));
  assert.deepEqual(
    causes.map(({ cause }) => cause),
    ['canceled', 'too-slow', 'silent', 'broken', 'not-started'],
  );
  assert.match(causes[1]!.sentence, /61 s/);
});
