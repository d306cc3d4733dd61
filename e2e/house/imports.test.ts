import assert from 'node:assert/strict';
import { join, normalize } from 'node:path';
import test from 'node:test';
import { importsOf, withoutComments } from './imports.ts';
import { read, trackedFiles } from './tracked.ts';

// From the bottom up: a folder may import itself and what stands above it in this list (that is: below it in the house).
const floors: readonly (readonly string[])[] = [
  ['wire'],
  ['machine'],
  ['answer'],
  ['doctor'],
  ['child', 'clock.ts'],
  ['nix'],
  ['install'],
  ['store'],
  ['core'],
  ['listen'],
  ['config', 'cli', 'explain'],
  [
    'programs.ts',
    'rights.ts',
    'preparation.ts',
    'launch.ts',
    'agent-desk.ts',
    'roster.ts',
    'service.ts',
    'state.ts',
    'sightings.ts',
    'survey.ts',
    'trails.ts',
    'cache.ts',
    'lifetime.ts',
    'run-network.ts',
    'installers.ts',
    'machines.ts',
    'arrivals.ts',
    'doors.ts',
    'run-tasks.ts',
    'operator-desk.ts',
    'builds.ts',
    'relays.ts',
    'daemon.ts',
    'inventory-run.ts',
    'doctor-lab.ts',
    'doctor-cases-firmware.ts',
    'doctor-cases-installer.ts',
    'relay',
  ],
  ['bin'],
];
const base = 'controller/src/';
const floorOf = new Map(floors.flatMap((names, floor) => names.map((name) => [name, floor] as const)));
const sources = trackedFiles().filter((path) => path.startsWith(base) && path.endsWith('.ts'));
const isTest = (path: string) => path.endsWith('.test.ts');
/** A test stands on the floor of what it tests. */
const folderOf = (path: string) =>
  path
    .slice(base.length)
    .split('/')[0]!
    .replace(/\.test\.ts$/, '.ts');

test('every folder of the controller has a floor', () => {
  assert.ok(sources.length > 50);
  assert.deepEqual(
    [...new Set(sources.map(folderOf))].filter((folder) => !floorOf.has(folder)),
    [],
  );
});

test('imports run downwards only', () => {
  const upwards = sources.flatMap((path) =>
    importsOf(read(path))
      .filter((one) => one.from.startsWith('.'))
      .map((one) => ({ ...one, to: normalize(join(path, '..', one.from)) }))
      .filter((one) => {
        if (!one.to.startsWith(base)) return !isTest(path) && !one.to.startsWith('proto/');
        return floorOf.get(folderOf(one.to))! > floorOf.get(folderOf(path))!;
      })
      .map((one) => `${path}:${one.line} imports ${one.to}`),
  );
  assert.deepEqual(upwards, []);
});

test('an import of a file names its ending', () => {
  const bare = trackedFiles()
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) =>
      importsOf(read(path))
        .filter((one) => /^\.{1,2}\//.test(one.from) && !/\.(?:ts|mts|mjs|cjs|js|json)$/.test(one.from))
        .map((one) => `${path}:${one.line} imports ${one.from}`),
    );
  assert.deepEqual(bare, []);
});

// Sealing with HMAC is arithmetic: no clock, no randomness, nothing kept.
const arithmetic = ['controller/src/machine/token.ts node:crypto'];

test('wire imports nothing but itself; machine, answer and doctor nothing of Node but types', () => {
  const found = sources
    .filter((path) => !isTest(path) && ['wire', 'machine', 'answer', 'doctor'].includes(folderOf(path)))
    .flatMap((path) =>
      importsOf(read(path))
        .filter((one) => !one.from.startsWith('.'))
        .filter((one) => folderOf(path) === 'wire' || (!one.typeOnly && isOfNode(one.from)))
        .filter((one) => !arithmetic.includes(`${path} ${one.from}`))
        .map((one) => `${path}:${one.line} imports ${one.from}`),
    );
  assert.deepEqual(found, []);
});

test('the agent and the controller know of each other only by the protocol', () => {
  const across = trackedFiles()
    .filter((path) => /^(?:agent|controller)\/src\/.*\.ts$/.test(path) && !isTest(path))
    .flatMap((path) =>
      importsOf(read(path))
        .filter((one) => one.from.startsWith('.'))
        .map((one) => normalize(join(path, '..', one.from)))
        .filter((to) => to.split('/')[0] !== path.split('/')[0])
        .map((to) => `${path} imports ${to}`),
    );
  assert.deepEqual(across, []);
});

// One who may end the process or read its environment hides it from all that is above.
const mayExit = [/^(?:controller|agent)\/bin\//, /^controller\/src\/bin\//, /^agent\/src\/main\.ts$/];
const mayReadEnv = [
  ...mayExit,
  /^controller\/src\/config\//,
  // What the agent starts inherits its environment; and libuv reads the number of its threads from there before anything else runs.
  /^agent\/src\/(?:child|threads)\.ts$/,
];
for (const [word, allowed] of [
  ['exit', mayExit],
  ['env', mayReadEnv],
] as const) {
  test(`process.${word} is only where the program begins`, () => {
    const pattern = new RegExp(`\\bprocess\\s*\\.\\s*${word}\\b`);
    const found = trackedFiles()
      .filter((path) => /^(?:controller|agent)\/(?:src|bin)\/.*\.[mc]?[jt]s$/.test(path) && !isTest(path))
      .filter((path) => !allowed.some((place) => place.test(path)))
      .flatMap((path) =>
        withoutComments(read(path))
          .split('\n')
          .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}`] : [])),
      );
    assert.deepEqual(found, []);
  });
}

function isOfNode(name: string): boolean {
  return name.startsWith('node:') || ['fs', 'net', 'dgram', 'os', 'path', 'crypto', 'child_process'].includes(name);
}

test('the finder of imports finds each form, and nothing in comments', () => {
  const source = [
    `import a, { b } from './a.ts';`,
    `import type { C } from 'node:c';`,
    `import {`,
    `  d,`,
    `} from "d";`,
    `import './side.ts';`,
    `export * from './e.ts';`,
    `export type { F } from './f.ts';`,
    `// import g from 'g';`,
    `/* import h from 'h'; */ const text = "import i from 'i'";`,
    `const j = await import('./j.ts'), k = require('k');`,
    `const r = /['"]/; const s = '// not a comment';`,
    `import z from 'z';`,
  ].join('\n');
  assert.deepEqual(
    importsOf(source).map((one) => [one.from, one.typeOnly, one.line]),
    [
      ['./a.ts', false, 1],
      ['node:c', true, 2],
      ['d', false, 5],
      ['./side.ts', false, 6],
      ['./e.ts', false, 7],
      ['./f.ts', true, 8],
      ['./j.ts', false, 11],
      ['k', false, 11],
      ['z', false, 13],
    ],
  );
});
