import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { kernelWord, screenText, urlWord, WordRefused } from './words.ts';

test('kernel words that people use pass unchanged', () => {
  for (const word of [
    'console=ttyS0,115200n8',
    'init=/nix/store/abc-nixos-system-machine1-25.11/init',
    'root=fstab',
    'systemd.setenv=A=B',
    'ip=dhcp',
    'memmap=64M!4G',
    'dyndbg="file drivers/net/* +p"',
    'rd.luks.name={uuid}=x',
  ]) {
    assert.equal(kernelWord(word, 'boot word'), word);
  }
});

test('what iPXE or the kernel would take otherwise is refused with its place', () => {
  const table: readonly [string, number][] = [
    ['', 0],
    ['two words', 3],
    ['a\nb', 1],
    [`x=\${net0/mac}`, 2],
    ['$(reboot)', 0],
    ['&&', 0],
    ['a||b', 1],
    ['#x', 0],
    ["it's", 2],
    ['back\\slash', 4],
    ['`x`', 0],
    ['open="a b', 9],
    ['two="a  b"', 7],
    ['ümlaut', 0],
    ['nul\0', 3],
  ];
  for (const [word, offset] of table) {
    assert.throws(
      () => kernelWord(word, 'boot word of m1'),
      (error) =>
        error instanceof WordRefused && error.offset === offset && error.message.startsWith('boot word of m1: '),
      JSON.stringify(word),
    );
  }
});

test('no accepted word can end a command, start another or expand', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab="$&|#\\\n\t{}\';` '), maxLength: 12 }), (word) => {
      try {
        kernelWord(word, 'word');
      } catch (error) {
        assert.ok(error instanceof WordRefused);
        return;
      }
      assert.doesNotMatch(word, /[$&|#\\\n\t'`]/);
      assert.doesNotMatch(word.replace(/"[^"]*"/g, ''), / /);
    }),
    { numRuns: 3000 },
  );
});

test('URLs and text for the screen', () => {
  assert.equal(urlWord('http://10.0.0.1:7480/f/ab/kernel', 'kernel'), 'http://10.0.0.1:7480/f/ab/kernel');
  for (const url of ['https://x/', 'http://x', 'http://x/ y', `http://x/\${y}`, 'http://x/a?b', '']) {
    assert.throws(() => urlWord(url, 'kernel'), WordRefused, url);
  }
  assert.equal(screenText(`no \${token} && reboot\n#`), 'no ??token? ?? reboot ?');
  assert.equal(screenText('x'.repeat(500)).length, 200);
});
