import assert from 'node:assert/strict';
import test from 'node:test';
import { demoUsage, readDemoOptions } from './demo-options.ts';

const plain = { dhcp: 'proxy', relay: false, ra: false, keep: false, again: false, forgetful: false };

for (const [argv, want] of [
  ['', { ...plain, firmware: ['uefi'] }],
  ['--machines 2 --firmware bios,uefi --dhcp range', { ...plain, firmware: ['bios', 'uefi'], dhcp: 'range' }],
  ['--firmware uefi,bios,http --ra', { ...plain, firmware: ['uefi', 'bios', 'http'], ra: true }],
  ['--relay', { ...plain, firmware: ['uefi'], relay: true }],
  ['--machines 3 --firmware bios,uefi', { ...plain, firmware: ['bios', 'uefi', 'bios'] }],
  ['--machines 1 --firmware bios,uefi', { ...plain, firmware: ['bios'] }],
] as const) {
  test(`demo ${argv || 'without flags'}`, () => {
    assert.deepEqual(readDemoOptions(argv.split(' ').filter(Boolean)), want);
  });
}

for (const [argv, want] of [
  ['--firmware efi', /"efi" is none of/],
  ['--machines 0', /from 1 to 8/],
  ['--machines two', /"two" is not a number/],
  ['--dhcp off', /neither proxy nor range/],
  ['--fast', /--fast/],
] as const) {
  test(`demo ${argv} is refused with a reason`, () => {
    const read = readDemoOptions(argv.split(' '));
    assert.ok(typeof read === 'string');
    assert.match(read, want);
  });
}

test('demo --help is the usage', () => assert.equal(readDemoOptions(['--help']), demoUsage));
