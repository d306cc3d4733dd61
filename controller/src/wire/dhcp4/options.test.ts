import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { optionName, optionShape, type Shape } from './names.ts';
import {
  addressesBytes,
  integerBytes,
  readAddresses,
  readArchitectures,
  readInteger,
  readIpxeFeatures,
  readSubOptions,
  readText,
  readUserClasses,
  readUuid,
  terminatedText,
  uuidBytes,
} from './options.ts';
import { latin1Bytes } from './packet.ts';
import { hexBytes, parseValue, printValue, shapes } from './shapes.ts';

const hex = (text: string): Uint8Array => hexBytes(text.replaceAll(' ', ''))!;

test('option 97 is little-endian in its first three fields', () => {
  const wire = hex('00 04030201 0605 0807 090a0b0c0d0e0f10');
  assert.equal(readUuid(wire), '01020304-0506-0708-090a-0b0c0d0e0f10');
  assert.deepEqual(uuidBytes('01020304-0506-0708-090a-0b0c0d0e0f10'), wire);
  assert.equal(readUuid(wire.subarray(1)), '01020304-0506-0708-090a-0b0c0d0e0f10', '16 octets');
  for (const none of [
    hex(''),
    hex('00'),
    new Uint8Array(17),
    new Uint8Array(16).fill(255),
    hex(`00${'ff'.repeat(16)}`),
  ]) {
    assert.equal(readUuid(none), undefined);
  }
});

test('user class: bare and length-prefixed', () => {
  const table: [string, Uint8Array, string[]][] = [
    ['bare', latin1Bytes('iPXE'), ['iPXE']],
    ['RFC 3004', hex('04 69505845'), ['iPXE']],
    ['two', hex('01 61 02 6263'), ['a', 'bc']],
    ['empty', hex(''), []],
    ['length past the end', hex('09 69'), ['\ti']],
    ['length 0', hex('00 69'), ['\0i']],
  ];
  for (const [name, given, want] of table) assert.deepEqual(readUserClasses(given), want, name);
});

test('text loses appended NULs and 0xff, and gets one NUL when we send it', () => {
  assert.equal(readText(hex('61 62 00')), 'ab');
  assert.equal(readText(hex('61 62 ff ff')), 'ab');
  assert.equal(readText(hex('00 00')), '');
  assert.deepEqual(terminatedText('ab'), hex('61 62 00'));
});

test('architectures: a list of 16-bit numbers', () => {
  assert.deepEqual(readArchitectures(hex('0007 0010')), [7, 16]);
  assert.equal(readArchitectures(hex('00')), undefined);
  assert.equal(readArchitectures(hex('')), undefined);
});

test('sub-options stop at what does not fit', () => {
  assert.deepEqual(readSubOptions(hex('01 04 6c616e32')), [[1, latin1Bytes('lan2')]]);
  assert.deepEqual(readSubOptions(hex('01 01 61 02 09 61')), [[1, hex('61')]]);
  assert.deepEqual(readSubOptions(hex('06 01 08 ff 01 01 01'), true), [[6, hex('08')]]);
  assert.deepEqual(readSubOptions(hex('ff 01 08')), [[255, hex('08')]]);
});

test('features of the recorded iPXE', () => {
  const features = readIpxeFeatures(hex('b105011af41000eb03010000170101240101130101110101270101290101150101120101'));
  assert.deepEqual(
    [...features].sort((a, b) => a - b),
    [17, 18, 19, 21, 23, 36, 39, 41],
  );
});

test('numbers and addresses go both ways', () => {
  assert.equal(readInteger(hex('ff00')), 65280);
  assert.equal(readInteger(hex('ffffffff')), 0xffffffff);
  assert.equal(readInteger(hex('ffffff')), undefined);
  assert.deepEqual(integerBytes(0xfffffffe, 4), hex('fffffffe'));
  assert.deepEqual(readAddresses(addressesBytes(['10.0.0.1', '255.255.255.255'])), ['10.0.0.1', '255.255.255.255']);
  assert.equal(readAddresses(hex('0a0000')), undefined);
});

test('every shape: what is printed is parsed to the same octets', () => {
  const names = Object.keys(shapes) as Shape[];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 255 }), (shape, value) => {
      assert.deepEqual(parseValue(shape, printValue(shape, value)), value);
    }),
    { numRuns: 2000 },
  );
});

test('values as people see them', () => {
  const table: [number, string, string][] = [
    [1, 'ffffff00', '255.255.255.0'],
    [3, '0a4d00010a4d0002', '10.77.0.1 10.77.0.2'],
    [51, '00000e10', '3600 (32 bit)'],
    [53, '02', 'OFFER'],
    [53, '63', 'hex 63'],
    [55, '0103', '1 3'],
    [57, '05c0', '1472 (16 bit)'],
    [60, '505845436c69656e74', '"PXEClient"'],
    [61, '01525400770001', 'ethernet 52:54:00:77:00:01'],
    [61, '00525400770001', 'hex 00525400770001'],
    [67, '61220a00', '"a\\x22\\x0a\\x00"'],
    [82, '01046c616e32', 'circuit=6c616e32'],
    [93, '0007000b', '7:x64-efi 11:arm64-efi'],
    [94, '01030a', 'UNDI 3.10'],
    [97, '00'.repeat(17), `hex ${'00'.repeat(17)}`],
    [43, '060108ff', 'discovery-control=08 end'],
    [175, 'b00101', 'no-pxedhcp=01'],
    [224, '', 'hex'],
  ];
  for (const [code, given, want] of table)
    assert.equal(printValue(optionShape(code), hex(given)), want, optionName(code));
});
