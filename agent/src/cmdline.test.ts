import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { readBootWords, readEndpoint, readMac, splitCommandLine, withoutSecrets } from './cmdline.ts';

const fingerprint = 'ab'.repeat(32);
const token = '0123456789abcdef0123456789abcdef';

test('reads what the boot script wrote, in whatever company', () => {
  const words = readBootWords(
    `initrd=\\initrd console=ttyS0,115200 foo="a b" BOOTIF=01-AA-bb-CC-dd-ee-ff nixie.controller=10.77.0.1:7481 nixie.fingerprint=${fingerprint.toUpperCase()} nixie.token=${token} nixie.mac=aa:bb:cc:dd:ee:01 nixie.later=x initrd=initrd.img\n\0`,
  );
  assert.deepEqual(words, {
    controllers: ['10.77.0.1:7481'],
    fingerprint,
    token,
    mac: 'aa:bb:cc:dd:ee:01',
    bootMac: 'aa:bb:cc:dd:ee:ff',
    problems: [],
  });
});

test('malformed words are named and not used', () => {
  const { problems, ...rest } = readBootWords(
    'nixie.controller=:: nixie.fingerprint=12 nixie.token=zz nixie.mac=1 nixie.refused=no BOOTIF=hello',
  );
  assert.deepEqual(rest, { controllers: [] });
  assert.deepEqual(
    problems.map((problem) => problem.split('=')[0]),
    ['nixie.controller', 'nixie.fingerprint', 'nixie.token', 'nixie.mac', 'nixie.refused', 'BOOTIF'],
  );
});

test('the last well-formed word wins', () => {
  assert.equal(
    readBootWords('nixie.mac=aa:bb:cc:dd:ee:01 nixie.mac=aa:bb:cc:dd:ee:02 nixie.mac=x').mac,
    'aa:bb:cc:dd:ee:02',
  );
});

test('several controllers', () => {
  assert.deepEqual(readBootWords('nixie.controller=10.0.0.1:1,[fd00::1]:2').controllers, ['10.0.0.1:1', '[fd00::1]:2']);
});

for (const [given, want] of [
  ['10.0.0.1:7481', { host: '10.0.0.1', port: 7481 }],
  ['10.0.0.1', { host: '10.0.0.1', port: 7481 }],
  ['[fd00::1]:99', { host: 'fd00::1', port: 99 }],
  ['[fe80::1%eth0]:99', { host: 'fe80::1%eth0', port: 99 }],
  ['10.0.0.1:0', undefined],
  ['10.0.0.1:65536', undefined],
  ['a b:1', undefined],
  ['', undefined],
] as const)
  test(`endpoint ${given}`, () => assert.deepEqual(readEndpoint(given), want));

for (const [given, want] of [
  ['01-52-54-00-12-34-56', '52:54:00:12:34:56'],
  ['52-54-00-12-34-56', '52:54:00:12:34:56'],
  ['52:54:00:12:34:56', '52:54:00:12:34:56'],
  ['01:52:54:00:12:34:56', '52:54:00:12:34:56'],
] as const)
  test(`BOOTIF=${given}`, () => assert.equal(readBootWords(`BOOTIF=${given}`).bootMac, want));

test('a MAC in other spellings', () => {
  assert.equal(readMac('AABB.CCDD.EEFF'), 'aa:bb:cc:dd:ee:ff');
  assert.equal(readMac('aabbccddee'), undefined);
});

test('quotes keep blanks together', () => {
  assert.deepEqual(splitCommandLine(' a="b c" "d e"=f  g\n'), ['a=b c', 'd e=f', 'g']);
});

test('any text is read without throwing, and the token never survives cleaning', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      readBootWords(text);
      readBootWords(`nixie.token=${text} nixie.controller=${text} BOOTIF=${text}`);
      assert.ok(!withoutSecrets(`x ${text} nixie.token=${token} ${text}`).includes(token));
    }),
  );
});

test('blanks in the middle of a command line cost no more than their number', () => {
  const began = process.cpuUsage();
  assert.equal(withoutSecrets(`a${' '.repeat(500_000)}b\n\0`).length, 500_002);
  // Of the processor's time: others may be at work as well.
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 5_000_000, `${user + system} µs`);
});
