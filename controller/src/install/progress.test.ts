import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Step } from './plan.ts';
import { type PhaseEvent, readProgress } from './progress.ts';
import { readRecording } from './recording.ts';

function follow(name: string, sizes?: ReadonlyMap<string, number>) {
  const reader = readProgress(sizes);
  const events: PhaseEvent[] = [];
  for (const { text, atMs } of readRecording(name).lines) events.push(...reader.read(text, atMs));
  return { reader, events };
}
const stepsOf = (events: readonly PhaseEvent[]) =>
  events.flatMap((event) => (event.kind === 'step' ? [event.step] : []));

const recorded: [string, Step[]][] = [
  ['10-store-paths', ['keys', 'facts', 'upload', 'disko', 'copy', 'install', 'done']],
  ['12c-nix28-storepaths', ['keys', 'facts', 'upload', 'disko', 'copy', 'install', 'done']],
  ['02-wrong-key', ['keys']],
  ['03-disk-missing', ['keys', 'facts', 'upload', 'disko']],
  ['06a-crash-in-disko', ['keys', 'facts', 'upload', 'disko']],
  ['06d-crash-in-upload', ['keys', 'facts', 'upload', 'disko', 'copy']],
  ['06e-crash-in-install', ['keys', 'facts', 'upload', 'disko', 'copy', 'install']],
  ['07-unreachable', ['keys']],
  ['13-no-cpio', ['keys', 'facts']],
  ['22-linkcut-while-waiting', ['keys', 'facts', 'upload', 'disko', 'copy', 'install', 'reboot', 'waiting', 'done']],
  ['23-never-reboots', ['keys', 'facts', 'upload', 'disko', 'copy', 'install', 'reboot', 'waiting']],
];
for (const [name, steps] of recorded) {
  test(`steps of recording ${name}`, () => assert.deepEqual(stepsOf(follow(name).events), steps));
}

test('a copy counts the bytes of the paths that are through', () => {
  const sizes = new Map([
    ['/nix/store/7nb6cdndi79iw9sd7ri6v065nr7ci07v-initrd-linux-6.1.0', 400],
    ['/nix/store/y8qi3r5mxiyxqik4hcxadqqa1yms3nrl-bin', 200],
    ['/nix/store/f62vcfzf9gnxv1c1p9d5zc1wkrhq49d3-toolbox', 50],
    ['/nix/store/znw8dpfk9ikivsmli1sbl52zgl2myhg7-linux-6.1.0-toy', 300],
    ['/nix/store/rjm5xjv4gapyykzwlkjjdkgic2f04bbh-nixos-system-machine1-24.05.toy', 50],
  ]);
  const { events } = follow('10-store-paths', sizes);
  const copies = events.filter((event) => event.kind === 'copy' && event.step === 'copy');
  // bin, initrd, toolbox, linux, system in this order; then the next heading ends the copy.
  assert.deepEqual(
    copies.map((event) => event.kind === 'copy' && event.doneBytes),
    [0, 0, 200, 600, 650, 950, 1000],
  );
  assert.deepEqual(
    copies.map((event) => event.kind === 'copy' && event.donePaths),
    [0, 0, 1, 2, 3, 4, 5],
  );
  assert.ok(
    copies.every((event) => event.kind === 'copy' && event.totalBytes === 1000 && event.totalPaths !== undefined),
  );
});

test('a copy that finds everything there ends full', () => {
  const reader = readProgress(new Map([['/nix/store/a', 10]]));
  reader.read('### Uploading the system closure ###', 0);
  reader.read('copying 0 paths...', 1);
  const events = reader.read('### Installing NixOS ###', 2);
  assert.deepEqual(events[1], {
    kind: 'copy',
    step: 'copy',
    atMs: 2,
    donePaths: 0,
    totalPaths: 0,
    doneBytes: 10,
    totalBytes: 10,
    pathBytes: 0,
    fetched: 0,
    pushed: 0,
  });
});

test('all forms of a copied path, each path once', () => {
  const reader = readProgress();
  reader.read('### Uploading the system closure ###', 0);
  reader.read("copying path '/nix/store/a' to 'ssh://root@10.0.0.1'...", 0);
  reader.read("copying path '/nix/store/b' from 'http://10.0.0.2'...", 0);
  reader.read("copying path '/nix/store/c' to 'local'...", 0);
  reader.read("copying path '/nix/store/c' to 'local'...", 0);
  assert.equal(reader.copy.path, '/nix/store/c');
  assert.equal(reader.copy.donePaths, 2);
  assert.deepEqual([reader.copy.fetched, reader.copy.pushed], [1, 1]);
});

test('of paths that are fetched at once, the largest are taken to be under way', () => {
  const sizes = new Map(Array.from({ length: 40 }, (_, i) => [`/nix/store/${i}`, i === 0 ? 1000 : 10] as const));
  const reader = readProgress(sizes);
  reader.read('### Uploading the system closure ###', 0);
  for (let i = 0; i < 16; i++) reader.read(`copying path '/nix/store/${i}' from 'http://10.0.0.2:7480/nix'...`, i);
  assert.deepEqual([reader.copy.doneBytes, reader.copy.pathBytes], [0, 1150]);
  for (let i = 16; i < 40; i++) reader.read(`copying path '/nix/store/${i}' from 'http://10.0.0.2:7480/nix'...`, i);
  assert.deepEqual(
    [reader.copy.doneBytes, reader.copy.pathBytes],
    [240, 1150],
    'the large one may still be on its way',
  );
  reader.read('copying 1 paths...', 50);
  assert.equal(reader.copy.totalPaths, 41);
  reader.read("copying path '/nix/store/3' to 'ssh://root@10.0.0.1'...", 51);
  assert.deepEqual([reader.copy.doneBytes, reader.copy.pathBytes], [1380, 10], 'it failed the one way');
  assert.deepEqual([reader.copy.fetched, reader.copy.pushed], [40, 1]);
  const [, end] = reader.read('### Installing NixOS ###', 60);
  assert.ok(end?.kind === 'copy' && end.doneBytes === 1390 && end.pathBytes === 0);
});

test('copying lines of other steps, and headings that are not ours, move nothing', () => {
  const reader = readProgress();
  for (const text of [
    "copying path '/nix/store/a' to 'local'...",
    '### hello ###',
    'x ### Done! ###',
    '### Done! ### x',
  ]) {
    assert.deepEqual(
      reader.read(text, 0).map((event) => event.kind),
      ['line'],
    );
  }
  assert.equal(reader.step, 'start');
});

test('any lines: the first event is the line, done never passes total and never goes back', () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '### Gathering machine facts ###',
      '### Uploading the system closure ###',
      '### Done! ###',
      'copying 2 paths...',
    ),
    fc.nat(3).map((number) => `copying path '/nix/store/${number}' to 'local'...`),
    fc.nat(30).map((number) => `copying path '/nix/store/${number}' from 'http://10.0.0.2'...`),
    fc.nat(30).map((number) => `copying path '/nix/store/${number}' to 'ssh://root@10.0.0.1'...`),
  );
  const sizes = new Map(Array.from({ length: 25 }, (_, i) => [`/nix/store/${i}`, (i * 7) % 60] as const));
  fc.assert(
    fc.property(fc.array(line), (texts) => {
      const reader = readProgress(sizes);
      let before = 0;
      for (const text of texts) {
        const [first, ...others] = reader.read(text, 3);
        assert.deepEqual(first, { kind: 'line', text, atMs: 3 });
        for (const event of others) {
          if (event.kind === 'step') before = 0;
          if (event.kind !== 'copy') continue;
          assert.ok(event.doneBytes + event.pathBytes <= event.totalBytes!);
          assert.ok(event.doneBytes >= before, 'never backwards');
          before = event.doneBytes;
        }
      }
    }),
  );
});
