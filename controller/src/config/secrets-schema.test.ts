import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { parseHosts } from './hosts.ts';
import { problemLine } from './problem.ts';

function parse(secrets: unknown) {
  const entry = { m: { mac_address: 'aa:bb:cc:dd:ee:01', secrets } };
  return parseHosts(new TextEncoder().encode(JSON.stringify(entry, null, 1)), 'h');
}

test('where values go and where they are read', () => {
  const result = parse({
    disk_keys: { '/tmp/disk.key': 'file:keys/m' },
    files: { '/etc/a': 'prompt', '/etc/b': { source: 'command:pass "a b"', mode: '440', owner: '01000:100' } },
  });
  assert.ok(result.ok);
  assert.deepEqual(result.hosts[0]?.secrets, {
    diskKeys: [{ path: '/tmp/disk.key', source: { kind: 'file', path: 'keys/m' } }],
    files: [
      { path: '/etc/a', source: { kind: 'prompt' }, mode: 0o600, owner: '0:0' },
      { path: '/etc/b', source: { kind: 'command', argv: ['pass', 'a b'] }, mode: 0o440, owner: '1000:100' },
    ],
  });
});

const source = 'env:X';
const wrong: readonly [name: string, secrets: unknown, line: RegExp][] = [
  ['no object', 'prompt', /\.secrets: found a text .*accepted: an object with "disk_keys" or "files"/],
  ['an unknown key', { disk_key: {} }, /\.disk_key: unknown key; did you mean "disk_keys"\?/],
  ['an array of keys', { disk_keys: [] }, /\.disk_keys: found an array, accepted: an object of paths and sources/],
  ['a number as source', { disk_keys: { '/k': 5 } }, /found a number, accepted: "file:PATH"/],
  [
    'an unknown key of a file',
    { files: { '/k': { sauce: source } } },
    /found an object with 1 entries, accepted: .*"source"/,
  ],
  ['setuid', { files: { '/k': { source, mode: '4755' } } }, /\.mode: found "4755", accepted: permission bits/],
  [
    'a name as owner',
    { files: { '/k': { source, owner: 'root' } } },
    /\.owner: found "root", accepted: numbers as UID:GID/,
  ],
  ['owner -1', { files: { '/k': { source, owner: '4294967295:0' } } }, /\.owner: found "4294967295:0"/],
  ['a path below another', { files: { '/a': source, '/a/b': source } }, /paths none of which lies below another/],
  ['a path below a file of ours', { files: { '/root/.ssh/authorized_keys/x': source } }, /Nixie places|none of which/],
  ['a file where we need a folder', { files: { '/etc/ssh': source } }, /none of which lies below/],
  ['our host key', { files: { '/etc/ssh/ssh_host_ed25519_key': source } }, /Nixie places these itself/],
  [
    'too many',
    { disk_keys: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`/k${i}`, source])) },
    /at most 32/,
  ],
];
for (const [name, secrets, line] of wrong)
  test(`refuses ${name}`, () => {
    const result = parse(secrets);
    assert.ok(!result.ok);
    assert.ok(
      result.problems.map(problemLine).some((each) => line.test(each)),
      result.problems.map(problemLine).join('\n'),
    );
  });

test('refuses paths that a shell on the machine would take for more, at their line', () => {
  const paths = [
    'relative',
    '/',
    '/a/',
    '//a',
    '/a b',
    '/a/../b',
    '/..',
    '/./a',
    '/a$b',
    '/a;b',
    '/a"b',
    '/a`b`',
    '/~a',
    '/a\nb',
    '/é',
    '',
    `/${'a'.repeat(255)}`,
  ];
  for (const path of paths) {
    const result = parse({ disk_keys: { [path]: source } });
    assert.ok(!result.ok, path);
    const text = result.problems.map(problemLine).join('\n');
    assert.match(
      text,
      /^h:6:\d+: \$\.m\.secrets\.disk_keys.*: found ".*accepted: an absolute path on the machine/,
      path,
    );
  }
  for (const path of ['/a', '/a/b.c', '/...', '/a..b/.c', '/-a', '/a@b:c,d=e%f+g_h'])
    assert.ok(parse({ disk_keys: { [path]: source } }).ok, path);
});

test('a value in place of its source is refused and not repeated', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^hunter2[a-z ]{0,30}$/), (value) => {
      for (const secrets of [
        { disk_keys: { '/k': value } },
        { files: { '/k': value } },
        { files: { '/k': { source: value } } },
        { files: { '/k': { sourc: value } } },
        { files: [value] },
        value,
      ]) {
        const result = parse(secrets);
        assert.ok(!result.ok);
        assert.doesNotMatch(result.problems.map(problemLine).join('\n'), /hunter2/);
      }
    }),
    { numRuns: 30 },
  );
});
