import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  checkoutOf,
  type FolderProbe,
  installerAttrPath,
  parseAttrPath,
  parseFlakeRef,
  printAttrPath,
} from './flake-ref.ts';

const disk = (...paths: string[]): FolderProbe => ({ exists: (path) => paths.includes(path) });
const probe = disk('/home/op/fleet/examples/flake.nix', '/home/op/fleet/.git');
const cwd = '/home/op/fleet';

const cases: [string, { url: string; attrPath?: string[]; folder?: string }][] = [
  [
    './examples#nixosConfigurations.installer',
    { url: `${cwd}/examples`, attrPath: ['nixosConfigurations', 'installer'], folder: `${cwd}/examples` },
  ],
  ['./examples#installer', { url: `${cwd}/examples`, attrPath: ['installer'], folder: `${cwd}/examples` }],
  ['./examples', { url: `${cwd}/examples`, folder: `${cwd}/examples` }],
  ['examples', { url: `${cwd}/examples`, folder: `${cwd}/examples` }],
  ['elsewhere', { url: 'elsewhere' }],
  ['nixpkgs/nixos-25.11#hello', { url: 'nixpkgs/nixos-25.11', attrPath: ['hello'] }],
  ['.', { url: cwd, folder: cwd }],
  ['..', { url: '/home/op', folder: '/home/op' }],
  ['../x?dir=y', { url: '/home/op/x?dir=y', folder: '/home/op/x/y' }],
  ['#installer', { url: cwd, attrPath: ['installer'], folder: cwd }],
  ['/srv/fleet#a."b.c"', { url: '/srv/fleet', attrPath: ['a', 'b.c'], folder: '/srv/fleet' }],
  ['path:../x', { url: 'path:/home/op/x', folder: '/home/op/x' }],
  ['path:/x?dir=y', { url: 'path:/x?dir=y', folder: '/x/y' }],
  ['git+file:.?ref=main', { url: 'git+file:///home/op/fleet?ref=main', folder: cwd }],
  ['git+file:///srv/a?dir=b', { url: 'git+file:///srv/a?dir=b', folder: '/srv/a/b' }],
  ['github:x/y?dir=z#attr', { url: 'github:x/y?dir=z', attrPath: ['attr'] }],
  ['git+ssh://git@example.org/x.git', { url: 'git+ssh://git@example.org/x.git' }],
  ['https://example.org/x.tar.gz#i', { url: 'https://example.org/x.tar.gz', attrPath: ['i'] }],
];
for (const [given, want] of cases) {
  test(`reference ${given}`, () => {
    assert.deepEqual(parseFlakeRef(given, cwd, probe), { attrPath: [], ...want });
  });
}

test('what cannot be a reference says what is accepted', () => {
  assert.throws(() => parseFlakeRef('', cwd, probe), /empty; accepted are/);
  assert.throws(() => parseFlakeRef('./my flake', cwd, probe), /holds a space/);
  assert.throws(() => parseFlakeRef('.#a."b', cwd, probe), /quote is open/);
});

test('an installer reference names a configuration', () => {
  assert.deepEqual(installerAttrPath([]), ['nixosConfigurations', 'installer']);
  assert.deepEqual(installerAttrPath(['small']), ['nixosConfigurations', 'small']);
  assert.deepEqual(installerAttrPath(['packages', 'x86_64-linux', 'i']), ['packages', 'x86_64-linux', 'i']);
});

test('the checkout is the nearest folder upwards with .git', () => {
  assert.equal(checkoutOf('/home/op/fleet/examples/lab', probe), '/home/op/fleet');
  assert.equal(checkoutOf('/home/op/fleet', probe), '/home/op/fleet');
  assert.equal(checkoutOf('/home/op', probe), undefined);
});

test('attribute paths survive print and parse', () => {
  const part = fc.string({ minLength: 1 }).filter((text) => !text.includes('"'));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      assert.deepEqual(parseAttrPath(printAttrPath(parts)), parts);
    }),
  );
});

test('any text gives a reference or a clear error', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const ref = parseFlakeRef(text, cwd, probe);
        assert.ok(!ref.url.includes('#'));
      } catch (error) {
        assert.match((error as Error).message, /^(?:flake reference|attribute) /);
      }
    }),
  );
});

test('a folder in an URL is written as URLs are', () => {
  assert.deepEqual(parseFlakeRef('path:./my%20flake%3f?dir=a', '/w', probe), {
    url: 'path:/w/my%20flake%3F?dir=a',
    attrPath: [],
    folder: '/w/my flake?/a',
  });
});
