import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import type { NixCall, NixResult } from './command.ts';
import { NixError } from './failure.ts';
import { pin, readMetadata } from './pin.ts';

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
const narHash = 'sha256-G/CACpsY5e2tgO7JUIatZSpa6VS5uPXbsnqkECl6Bjo=';

for (const version of ['2.8', '2.26']) {
  test(`nix ${version}: a commit is pinned by its locked URL`, () => {
    const flake = readMetadata('/home/op/fleet/machines', fixture(`metadata-clean-${version}.json`));
    const ref = version === '2.8' ? 'main' : 'refs/heads/main';
    const rev = '02c3748b7108bb216d40f23e8421a00e47fe7883';
    assert.deepEqual(flake, {
      given: '/home/op/fleet/machines',
      url: `git+file:///home/op/fleet?dir=machines&ref=${ref}&rev=${rev}`,
      dirty: false,
      narHash,
      revision: rev,
      path: '/nix/store/04nfwhcaylyi0iy58qbjqflb6vqami8j-source',
    });
  });

  test(`nix ${version}: a dirty tree is pinned by its copy in the store`, () => {
    const flake = readMetadata('x', fixture(`metadata-dirty-${version}.json`));
    assert.equal(flake.dirty, true);
    assert.equal(flake.revision, undefined);
    assert.equal(flake.url, 'path:/nix/store/rsy0i2dl3700v5l8hjbp6xbw56l0ndz4-source?dir=machines');
    assert.equal(flake.moving, 'git+file:///home/op/fleet?dir=machines');
  });
}

test('where a path has no dir, the folder itself is read', async () => {
  const calls: NixCall[] = [];
  const answers: NixResult[] = [
    { ended: 'exited', code: 0, stdout: fixture('metadata-dirty-2.8.json'), stderr: '' },
    { ended: 'exited', code: 1, stdout: '', stderr: "error: path URL … has unsupported parameter 'dir'" },
  ];
  const run = async (call: NixCall) => {
    calls.push(call);
    return answers[calls.length - 1]!;
  };
  const ref = { url: '/home/op/fleet/machines', attrPath: [] };
  const flake = await pin(ref, { run, nowMs: () => 0, deadlineMs: 1_000 });
  assert.equal(flake.url, 'git+file:///home/op/fleet?dir=machines');
  assert.ok(!('moving' in flake));
  assert.match(calls[1]!.args.at(-1)!, /^path:.*\?dir=machines$/);
});

test('a download is pinned by URL, a folder by its copy', () => {
  const of = (type: string) =>
    readMetadata('x', JSON.stringify({ url: 'locked', path: '/nix/store/p', locked: { type, narHash }, resolved: {} }))
      .url;
  assert.equal(of('tarball'), 'locked');
  assert.equal(of('path'), 'path:/nix/store/p');
});

test('what is not metadata is an error that names the flake', async () => {
  const given = async (stdout: string): Promise<unknown> =>
    pin(
      { url: '/fleet', attrPath: [] },
      { run: async () => ({ ended: 'exited', code: 0, stdout, stderr: '' }), nowMs: () => 0, deadlineMs: 1_000 },
    ).then(
      () => assert.fail('must be rejected'),
      (error: unknown) => error,
    );
  for (const text of ['', '{}', '[]', 'null', '{"url": 7}']) {
    const error = await given(text);
    assert.ok(error instanceof NixError, text);
    assert.match(error.message, /^read flake \/fleet: /);
    assert.match(error.failure.text, /nix flake metadata: /);
    assert.doesNotMatch(error.failure.text, /undefined|properties/);
  }
});
